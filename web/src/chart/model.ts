/** The data of a chart: read, bounded, stacked, and put on a scale. */
import type { JsonObject } from '../protocol.js';
import { CHART_COLORS, color } from '../widgets/colors.js';
import { isObject } from '../widgets/node.js';
import { objects, oneOf, shown } from '../widgets/read.js';
import { CURVES, type Curve } from './curves.js';

const MAX_ROWS = 400;
const MAX_SERIES = 12;

export interface Series {
  kind: 'bar' | 'area' | 'line';
  label: string;
  color: string;
  curve: Curve;
  stack: string | null;
  /** A value for each row; `null` where there is none. */
  values: (number | null)[];
  /** Where each value begins and ends on the axis: stacked values begin where the last ended. */
  spans: ([number, number] | null)[];
}

export interface ChartModel {
  labels: string[];
  series: Series[];
  hideX: boolean;
  showY: boolean;
  showLegend: boolean;
  showTooltip: boolean;
  barGap: number;
  categoryGap: number | null;
  min: number;
  max: number;
  ticks: number[];
}

export function readChart(props: JsonObject): ChartModel | null {
  const rows = objects(props.data).slice(0, MAX_ROWS);
  const axis = isObject(props.xAxis) ? props.xAxis : { dataKey: props.xAxis };
  const key = shown(axis.dataKey);
  const names = isObject(axis.labels) ? axis.labels : {};
  const labels = rows.map((row) => {
    const value = shown(row[key]);
    return Object.hasOwn(names, value) ? shown(names[value]) : value;
  });
  const series = stacked(
    objects(props.series)
      .slice(0, MAX_SERIES)
      .flatMap((one, index) => readSeries(one, rows, index)),
  );
  if (rows.length === 0 || series.length === 0) return null;
  const ends = series.flatMap(({ spans }) => spans.flatMap((span) => span ?? []));
  const scale = niceScale(Math.min(0, ...ends), Math.max(0, ...ends));
  return {
    labels,
    series,
    hideX: axis.hide === true,
    showY: props.showYAxis === true,
    showLegend: typeof props.showLegend === 'boolean' ? props.showLegend : series.length > 1,
    showTooltip: props.showTooltip !== false,
    barGap: pixels(props.barGap) ?? 2,
    categoryGap: pixels(props.barCategoryGap),
    ...scale,
  };
}

function readSeries(one: JsonObject, rows: readonly JsonObject[], index: number): Series[] {
  const kind = oneOf(one, 'type', ['bar', 'area', 'line']);
  const key = shown(one.dataKey);
  if (!kind || key === '') return [];
  return [
    {
      kind,
      label: shown(one.label) || key,
      color:
        color(one.color, 'chart') ?? CHART_COLORS[index % CHART_COLORS.length] ?? 'currentcolor',
      curve: oneOf(one, 'curveType', CURVES) ?? 'monotone',
      stack: kind === 'line' ? null : shown(one.stack) || null,
      values: rows.map((row) => numeric(row[key])),
      spans: [],
    },
  ];
}

function numeric(value: unknown): number | null {
  const read = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof read === 'number' && Number.isFinite(read) ? read : null;
}

function pixels(value: unknown): number | null {
  return typeof value === 'number' && value >= 0 && value <= 200 ? value : null;
}

/** Values of one stack on top of each other, below the line for those that are less than nothing. */
function stacked(series: Series[]): Series[] {
  const heights = new Map<string, [number[], number[]]>();
  for (const one of series) {
    const id = one.stack === null ? null : `${one.kind} ${one.stack}`;
    const known = id === null ? undefined : heights.get(id);
    const [up, down] = known ?? [[], []];
    if (id !== null && !known) heights.set(id, [up, down]);
    one.spans = one.values.map((value, row) => {
      if (value === null) return null;
      const side = value < 0 ? down : up;
      const from = side[row] ?? 0;
      side[row] = from + value;
      return [from, from + value];
    });
  }
  return series;
}

/** Round numbers that include both ends. */
export function niceScale(
  low: number,
  high: number,
): { min: number; max: number; ticks: number[] } {
  const range = high - low || 1;
  const rough = range / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find((one) => one * power >= rough) ?? 10) * power;
  const min = Math.floor(low / step) * step;
  const max = Math.ceil((high || (low === 0 ? 1 : 0)) / step) * step;
  const count = Math.round((max - min) / step);
  const ticks = Array.from({ length: count + 1 }, (_, index) => min + index * step);
  return { min, max, ticks: ticks.map((tick) => Number(tick.toPrecision(12))) };
}
