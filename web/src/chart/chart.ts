/**
 * Charts: an SVG for the eye, a table of the same numbers for screen readers, and a way through the
 * rows by pointer and by arrow keys.
 */
import { html, nothing, svg, type TemplateResult } from 'lit';
import { AsyncDirective } from 'lit/async-directive.js';
import { type ChildPart, type DirectiveResult, directive } from 'lit/directive.js';
import type { Translate } from '../locales.js';
import type { JsonObject } from '../protocol.js';
import { styled } from '../widgets/style.js';
import css from './chart.css';
import { type ChartModel, readChart, type Series } from './model.js';
import {
  areaPath,
  barsOf,
  labelStep,
  linePath,
  MAX_LABEL,
  type Plot,
  plotOf,
  rowAt,
  xOf,
  yOf,
} from './plot.js';

export const styles = css;

interface ChartContext {
  t: Translate;
  locale: string;
}

class ChartDirective extends AsyncDirective {
  #props: JsonObject = {};
  #model: ChartModel | null = null;
  #context: ChartContext | null = null;
  #size = { width: 560, height: 220 };
  #active: number | null = null;
  #observer: ResizeObserver | null = null;
  #part: ChildPart | null = null;

  override update(part: ChildPart, [props, context]: [JsonObject, ChartContext]): unknown {
    this.#part = part;
    const shown = this.render(props, context);
    queueMicrotask(() => this.#observe());
    return shown;
  }

  render(props: JsonObject, context: ChartContext): unknown {
    if (props !== this.#props) this.#model = readChart(props);
    this.#props = props;
    this.#context = context;
    return this.#template();
  }

  override disconnected(): void {
    this.#observer?.disconnect();
    this.#observer = null;
  }

  override reconnected(): void {
    this.#observe();
  }

  #observe(): void {
    if (this.#observer || !this.isConnected || !this.#model) return;
    const box = this.#part?.startNode?.parentElement?.querySelector('.w-plot');
    if (!box) return;
    this.#observer = new ResizeObserver(([entry]) => {
      const { width = 0, height = 0 } = entry?.contentRect ?? {};
      if (width < 1 || height < 1) return;
      if (width === this.#size.width && height === this.#size.height) return;
      this.#size = { width, height };
      this.#redraw();
    });
    this.#observer.observe(box);
  }

  #redraw(): void {
    if (this.isConnected) this.setValue(this.#template());
  }

  #template(): unknown {
    const model = this.#model;
    const context = this.#context;
    if (!model || !context) return nothing;
    const format = new Intl.NumberFormat(context.locale, { maximumFractionDigits: 2 });
    const short = new Intl.NumberFormat(context.locale, { notation: 'compact' });
    const ticks = model.ticks.map((tick) => short.format(tick));
    const plot = plotOf(this.#size, model, ticks);
    const names = model.series.map(({ label }) => label).join(', ');
    const name = context.t('widget.chart', { names });
    const { width, height } = plot;
    return html`<div class="w-plot" role="group" tabindex="0" dir="ltr" aria-label=${name}
        @pointermove=${(event: PointerEvent) => this.#point(event, plot)} @pointerleave=${() => this.#activate(null)}
        @keydown=${this.#onKey} @blur=${() => this.#activate(null)}>
        <svg viewBox="0 0 ${width} ${height}" width=${width} height=${height} aria-hidden="true" focusable="false">
          ${axes(model, plot, ticks)} ${this.#cursor(model, plot)}
          ${model.series.map((series) => seriesView(series, plot, model))} ${this.#dots(model, plot)}
        </svg>
        ${this.#tooltip(model, plot, format)}
      </div>
      ${model.showLegend ? legend(model) : nothing} ${table(model, name, format)}`;
  }

  #cursor(model: ChartModel, plot: Plot): unknown {
    if (this.#active === null) return nothing;
    const slot = (plot.right - plot.left) / model.labels.length;
    const x = xOf(this.#active, plot, model) - slot / 2;
    return svg`<rect class="w-cursor" x=${x} y=${plot.top} width=${slot} height=${plot.bottom - plot.top}></rect>`;
  }

  #dots(model: ChartModel, plot: Plot): unknown {
    const row = this.#active;
    if (row === null) return nothing;
    return model.series
      .filter(({ kind, spans }) => kind !== 'bar' && spans[row])
      .map(
        ({ color, spans }) => svg`<circle class="w-dot" r="4" cx=${xOf(row, plot, model)}
          cy=${yOf(spans[row]?.[1] ?? 0, plot, model)} ${styled({ '--series': color })}></circle>`,
      );
  }

  #tooltip(model: ChartModel, plot: Plot, format: Intl.NumberFormat): TemplateResult {
    const row = this.#active;
    if (row === null || !model.showTooltip) return html`<div class="sr-only" role="status"></div>`;
    const x = xOf(row, plot, model);
    const before = x > plot.width / 2;
    const style = before ? { right: `${plot.width - x + 12}px` } : { left: `${x + 12}px` };
    return html`<div class="w-tooltip" role="status" ${styled(style)}>
      <div class="w-tooltip-title" dir="auto">${model.labels[row]}</div>
      ${model.series.map(({ label, color, values }) => {
        const value = values[row] ?? null;
        return html`<div class="w-tooltip-row"><span class="w-swatch" ${styled({ '--series': color })}></span>
          <span dir="auto">${label}</span><strong>${value === null ? '–' : format.format(value)}</strong></div>`;
      })}
    </div>`;
  }

  #point(event: PointerEvent, plot: Plot): void {
    const model = this.#model;
    if (!model || !(event.currentTarget instanceof Element)) return;
    this.#activate(
      rowAt(event.clientX - event.currentTarget.getBoundingClientRect().left, plot, model),
    );
  }

  #activate(row: number | null): void {
    if (row === this.#active) return;
    this.#active = row;
    this.#redraw();
  }

  readonly #onKey = (event: KeyboardEvent): void => {
    const last = (this.#model?.labels.length ?? 0) - 1;
    const row = this.#active;
    const moves: Record<string, number | null> = {
      ArrowRight: Math.min((row ?? -1) + 1, last),
      ArrowLeft: Math.max((row ?? last + 1) - 1, 0),
      Home: 0,
      End: last,
      Escape: null,
    };
    if (!(event.key in moves) || (event.key === 'Escape' && row === null)) return;
    event.preventDefault();
    event.stopPropagation();
    this.#activate(moves[event.key] ?? null);
  };
}

function axes(model: ChartModel, plot: Plot, ticks: readonly string[]): unknown {
  const step = labelStep(plot, model);
  const grid = model.ticks.map((tick, index) => {
    const y = yOf(tick, plot, model);
    return svg`<line class=${tick === 0 ? 'w-zero' : 'w-grid'} x1=${plot.left} x2=${plot.right} y1=${y} y2=${y}></line>
      ${model.showY ? svg`<text class="w-tick" x=${plot.left - 6} y=${y + 4} text-anchor="end">${ticks[index]}</text>` : nothing}`;
  });
  const names = model.hideX
    ? nothing
    : model.labels.map((label, row) =>
        row % step === 0
          ? svg`<text class="w-tick" x=${xOf(row, plot, model)} y=${plot.height - 5} text-anchor="middle">${short(label)}</text>`
          : nothing,
      );
  return svg`${grid}${names}`;
}

function short(label: string): string {
  return label.length > MAX_LABEL ? `${label.slice(0, MAX_LABEL - 1)}…` : label;
}

function seriesView(series: Series, plot: Plot, model: ChartModel): unknown {
  const paint = styled({ '--series': series.color });
  if (series.kind === 'bar') {
    return svg`<g class="w-bars" ${paint}>${barsOf(series, plot, model).map(
      ({ x, y, width, height }) =>
        svg`<rect x=${x} y=${y} width=${width} height=${height} rx=${Math.min(3, width / 4)}></rect>`,
    )}</g>`;
  }
  const area =
    series.kind === 'area'
      ? svg`<path class="w-fill" d=${areaPath(series, plot, model)}></path>`
      : nothing;
  return svg`<g ${paint}>${area}<path class="w-line" d=${linePath(series, plot, model)}></path></g>`;
}

function legend({ series }: ChartModel): TemplateResult {
  return html`<ul class="w-legend" aria-hidden="true">${series.map(
    ({ label, color }) =>
      html`<li><span class="w-swatch" ${styled({ '--series': color })}></span><span dir="auto">${label}</span></li>`,
  )}</ul>`;
}

function table(
  { labels, series }: ChartModel,
  name: string,
  format: Intl.NumberFormat,
): TemplateResult {
  return html`<table class="sr-only"><caption>${name}</caption>
    <thead><tr><td></td>${series.map(({ label }) => html`<th scope="col">${label}</th>`)}</tr></thead>
    <tbody>${labels.map(
      (label, row) =>
        html`<tr><th scope="row">${label}</th>${series.map(({ values }) => {
          const value = values[row] ?? null;
          return html`<td>${value === null ? '–' : format.format(value)}</td>`;
        })}</tr>`,
    )}</tbody></table>`;
}

const drawn = directive(ChartDirective);

/** A chart from the properties of its component; nothing when there is nothing to draw. */
export function chartView(props: JsonObject, context: ChartContext): DirectiveResult {
  return drawn(props, context);
}
