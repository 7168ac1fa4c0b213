/**
 * What a marker or a line of the sources stands for, shown beside it while it is pointed at or has
 * the focus. The card takes no clicks and no focus, so that it can never be in the way.
 */
import { html, nothing, render, type TemplateResult } from 'lit';
import { adopt } from '../chunks/styles.js';
import type { NumberedSource } from '../sources.js';
import styles from './extras.css';

const GAP = 6;

export class SourceCard {
  readonly #card = document.createElement('div');
  #anchor: HTMLElement | null = null;

  constructor() {
    this.#card.className = 'source-card';
    this.#card.setAttribute('part', 'source-card');
    this.#card.role = 'tooltip';
    this.#card.popover = 'manual';
  }

  get anchor(): HTMLElement | null {
    return this.#anchor;
  }

  /** Shows a source beside an element; `extra` is what the host page has to say of an entity. */
  show(anchor: HTMLElement, source: NumberedSource, locale: string, extra?: TemplateResult): void {
    const root = anchor.closest('.root');
    if (!root) return;
    adopt(root.getRootNode(), styles);
    if (this.#card.parentElement !== root) root.append(this.#card);
    this.#anchor = anchor;
    render(extra ?? content(source, locale), this.#card);
    this.#card.showPopover();
    this.#place(anchor);
  }

  hide(): void {
    this.#anchor = null;
    if (this.#card.isConnected && this.#card.matches(':popover-open')) this.#card.hidePopover();
  }

  #place(anchor: HTMLElement): void {
    const at = anchor.getBoundingClientRect();
    const { width, height } = this.#card.getBoundingClientRect();
    const right = document.documentElement.clientWidth - width - GAP;
    const left = Math.max(GAP, Math.min(at.left + at.width / 2 - width / 2, right));
    const above = at.top - height - GAP;
    this.#card.style.left = `${left}px`;
    this.#card.style.top = `${above >= GAP ? above : at.bottom + GAP}px`;
  }
}

function content({ title, detail, source }: NumberedSource, locale: string): TemplateResult {
  const when = source.timestamp ? dateOf(source.timestamp, locale) : '';
  return html`${source.group ? html`<small>${source.group}</small>` : nothing}
    <strong dir="auto">${title}</strong>
    ${source.description ? html`<p dir="auto">${source.description}</p>` : nothing}
    ${detail && detail !== title ? html`<span>${detail}</span>` : nothing}
    ${when ? html`<time>${when}</time>` : nothing}`;
}

function dateOf(timestamp: string, locale: string): string {
  const date = new Date(timestamp);
  if (Number.isNaN(date.getTime())) return timestamp;
  return new Intl.DateTimeFormat(locale, { dateStyle: 'medium' }).format(date);
}
