/** Where everything of a chart lies, in pixels of its SVG. */

import { type Point, segments } from './curves.js';
import type { ChartModel, Series } from './model.js';

interface Size {
  width: number;
  height: number;
}

export interface Plot extends Size {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const LINE = 18;
const LETTER = 6.6;

/** The frame of the drawing: room for the axes that are shown. */
export function plotOf({ width, height }: Size, model: ChartModel, ticks: readonly string[]): Plot {
  const widest = Math.max(0, ...ticks.map((tick) => tick.length));
  return {
    width,
    height,
    left: model.showY ? Math.min(widest * LETTER + 10, width / 3) : 4,
    right: width - 4,
    top: 8,
    bottom: height - (model.hideX ? 4 : LINE + 6),
  };
}

export function yOf(value: number, plot: Plot, { min, max }: ChartModel): number {
  return plot.bottom - ((value - min) / (max - min || 1)) * (plot.bottom - plot.top);
}

/** The middle of a row. */
export function xOf(row: number, plot: Plot, { labels }: ChartModel): number {
  return plot.left + ((row + 0.5) / labels.length) * (plot.right - plot.left);
}

export function rowAt(x: number, plot: Plot, { labels }: ChartModel): number {
  const share = (x - plot.left) / (plot.right - plot.left);
  return Math.min(Math.max(Math.floor(share * labels.length), 0), labels.length - 1);
}

/** Every so manieth label is written, so that none runs into the next. */
export function labelStep(plot: Plot, { labels }: ChartModel): number {
  const widest = Math.min(Math.max(1, ...labels.map((label) => label.length)), MAX_LABEL);
  const room = (plot.right - plot.left) / labels.length;
  return Math.max(1, Math.ceil((widest * LETTER + 8) / room));
}

/** Longest label that is written out below the axis. */
export const MAX_LABEL = 14;

interface Bar {
  row: number;
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Bars of one series; those of one stack share a place. */
export function barsOf(series: Series, plot: Plot, model: ChartModel): Bar[] {
  const places: (string | Series)[] = [];
  for (const one of model.series.filter(({ kind }) => kind === 'bar')) {
    const place = one.stack ?? one;
    if (!places.includes(place)) places.push(place);
  }
  const slot = (plot.right - plot.left) / model.labels.length;
  const gap = Math.min(model.categoryGap ?? slot * 0.3, slot * 0.8);
  const between = Math.min(model.barGap, (slot - gap) / 2 / places.length);
  const width = Math.max((slot - gap - between * (places.length - 1)) / places.length, 1);
  const shift = gap / 2 + places.indexOf(series.stack ?? series) * (width + between);
  return series.spans.flatMap((span, row) => {
    if (!span) return [];
    const [a, b] = [yOf(span[0], plot, model), yOf(span[1], plot, model)];
    const x = plot.left + row * slot + shift;
    return [{ row, x, y: Math.min(a, b), width, height: Math.max(Math.abs(a - b), 0.5) }];
  });
}

/** Runs of rows that have a value: a line does not go through what is not there. */
function runs(series: Series): number[][] {
  const found: number[][] = [];
  let run: number[] = [];
  series.spans.forEach((span, row) => {
    if (span) run.push(row);
    else if (run.length > 0) {
      found.push(run);
      run = [];
    }
  });
  return run.length > 0 ? [...found, run] : found;
}

function points(
  series: Series,
  run: readonly number[],
  end: 0 | 1,
  plot: Plot,
  model: ChartModel,
): Point[] {
  return run.map((row) => ({
    x: xOf(row, plot, model),
    y: yOf(series.spans[row]?.[end] ?? 0, plot, model),
  }));
}

const move = ({ x, y }: Point): string => `M${x.toFixed(2)} ${y.toFixed(2)}`;

export function linePath(series: Series, plot: Plot, model: ChartModel): string {
  return runs(series)
    .map((run) => {
      const line = points(series, run, 1, plot, model);
      return move(line[0] as Point) + segments(line, series.curve);
    })
    .join('');
}

export function areaPath(series: Series, plot: Plot, model: ChartModel): string {
  return runs(series)
    .map((run) => {
      const top = points(series, run, 1, plot, model);
      const base = points(series, run, 0, plot, model).reverse();
      const first = base[0] as Point;
      const up = segments(top, series.curve).replace(/Z$/, '');
      const back = segments(base, series.curve).replace(/Z$/, '');
      return `${move(top[0] as Point)}${up}L${first.x.toFixed(2)} ${first.y.toFixed(2)}${back}Z`;
    })
    .join('');
}
