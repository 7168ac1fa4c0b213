/** A day from a calendar that opens. */
import { html, nothing, type TemplateResult } from 'lit';
import {
  addDays,
  addMonths,
  clampDay,
  dateOf,
  dayOf,
  firstWeekday,
  today,
  weeksOf,
} from '../controls/calendar.js';
import { popover } from '../controls/popover.js';
import { icon } from '../view/icons.js';
import { changed, changing, sizeOf } from './fields.js';
import { widgetIcon } from './icon.js';
import type { WidgetNode } from './node.js';
import { ALIGNS, flag, oneOf, text, VARIANTS } from './read.js';
import { type Component, fieldId, labelId, type Scope } from './scope.js';

/** What one date picker remembers. */
interface Picked {
  value: string | null;
  open: boolean;
  /** The day that has the focus in the open calendar. */
  cursor: string;
}

export const datePicker: Component = (node, scope) => {
  const initial = dayOf(node.props.defaultValue);
  const make = (): Picked => ({ value: initial, open: false, cursor: '' });
  const picked = scope.surface.memory(`${node.path} ${initial ?? ''}`, make);
  return new DatePickerView(node, scope, picked).render();
};

class DatePickerView {
  readonly #node: WidgetNode;
  readonly #scope: Scope;
  readonly #picked: Picked;
  readonly #id: string;
  readonly #min: string | null;
  readonly #max: string | null;

  constructor(node: WidgetNode, scope: Scope, picked: Picked) {
    this.#node = node;
    this.#scope = scope;
    this.#picked = picked;
    this.#id = fieldId(scope, text(node.props, 'name') ?? '');
    this.#min = dayOf(node.props.min);
    this.#max = dayOf(node.props.max);
  }

  render(): TemplateResult {
    const { props } = this.#node;
    const { t } = this.#scope.surface.context;
    const name = text(props, 'name') ?? '';
    const { value, open } = this.#picked;
    const off = flag(props, 'disabled');
    const label = labelId(this.#scope, name);
    const { waits } = changing(this.#node, this.#scope);
    const clearable = flag(props, 'clearable') && value !== null && !off;
    const placeholder = text(props, 'placeholder') ?? t('widget.date');
    const valueId = `${this.#id}-value`;
    return html`<div class="w-select" ?data-block=${flag(props, 'block')} @focusout=${this.#onFocusOut}>
      <input type="hidden" name=${name} .value=${value ?? ''}>
      <button type="button" class="w-field w-trigger" id=${this.#id} ?disabled=${off}
        aria-labelledby="${label ?? `${this.#id}-name`} ${valueId}" aria-haspopup="dialog" aria-expanded=${open}
        aria-disabled=${off || waits ? 'true' : nothing} aria-busy=${this.#scope.surface.loading(this.#node.path) ? 'true' : nothing}
        data-variant=${oneOf(props, 'variant', VARIANTS) ?? 'outline'} data-size=${sizeOf(props)}
        ?data-pill=${flag(props, 'pill')} ?data-clearable=${clearable}
        @click=${() => (open ? this.#close() : this.#open(waits))}>
        ${widgetIcon('calendar', 'md')}${label ? nothing : html`<span hidden id="${this.#id}-name">${text(props, 'placeholder') ?? name}</span>`}<span
          class="w-value" dir="auto" id=${valueId} ?data-empty=${value === null}>${value === null ? placeholder : this.#format(value, { dateStyle: 'medium' })}</span>
      </button>
      ${
        clearable
          ? html`<button type="button" class="w-clear" aria-label=${t('widget.clear')} title=${t('widget.clear')}
              aria-disabled=${waits ? 'true' : nothing} @click=${() => waits || this.#pick(null)}>${icon('close')}</button>`
          : nothing
      }
      ${open ? this.#popup(label) : nothing}
    </div>`;
  }

  #popup(label: string | undefined): TemplateResult {
    const { props } = this.#node;
    const { t, locale } = this.#scope.surface.context;
    const { cursor } = this.#picked;
    const side = oneOf(props, 'side', ['top', 'bottom', 'left', 'right']) ?? 'bottom';
    const align = oneOf(props, 'align', ALIGNS) ?? 'start';
    const weeks = weeksOf(cursor, firstWeekday(locale));
    const title = this.#format(cursor, { month: 'long', year: 'numeric' });
    const month = cursor.slice(0, 7);
    const turn = (by: number, name: string, symbol: string): TemplateResult =>
      html`<button type="button" class="w-turn" aria-label=${name} title=${name}
        ?disabled=${!this.#reaches(by)} data-turn=${symbol} @click=${() => this.#go(addMonths(cursor, by), false)}>${icon('chevron')}</button>`;
    return html`<div class="w-popup w-calendar" role="dialog" aria-labelledby=${label ?? nothing}
      aria-label=${label ? nothing : (text(props, 'placeholder') ?? t('widget.date'))}
      ${popover({ side, align, asWide: false }, () => this.#close(false))} @keydown=${this.#onKey}>
      <div class="w-month">
        ${turn(-1, t('widget.month.before'), 'back')}
        <div class="w-month-title" id="${this.#id}-month" aria-live="polite">${title}</div>
        ${turn(1, t('widget.month.after'), 'on')}
      </div>
      <table class="w-days" role="grid" aria-labelledby="${this.#id}-month">
        <thead><tr>${(weeks[0] ?? []).map(
          (day) =>
            html`<th scope="col" abbr=${this.#format(day, { weekday: 'long' })}>${this.#format(day, { weekday: 'narrow' })}</th>`,
        )}</tr></thead>
        <tbody>${weeks.map((days) => html`<tr>${days.map((day) => this.#day(day, month))}</tr>`)}</tbody>
      </table>
    </div>`;
  }

  #day(day: string, month: string): TemplateResult {
    const { value, cursor } = this.#picked;
    if (!day.startsWith(month)) return html`<td class="w-elsewhere"></td>`;
    const out = clampDay(day, this.#min, this.#max) !== day;
    return html`<td role="gridcell" aria-selected=${day === value}><button type="button" class="w-day"
      tabindex=${day === cursor ? 0 : -1} aria-label=${this.#format(day, { dateStyle: 'full' })}
      aria-current=${day === today() ? 'date' : nothing} aria-disabled=${out ? 'true' : nothing} data-day=${day}
      @click=${() => out || this.#pick(day)}>${Number(day.slice(8))}</button></td>`;
  }

  #format(day: string, options: Intl.DateTimeFormatOptions): string {
    const { locale } = this.#scope.surface.context;
    return new Intl.DateTimeFormat(locale, { ...options, timeZone: 'UTC' }).format(dateOf(day));
  }

  /** Whether there is a day to choose in the month so many months away. */
  #reaches(by: number): boolean {
    const month = addMonths(`${this.#picked.cursor.slice(0, 8)}01`, by).slice(0, 7);
    if (this.#min !== null && month < this.#min.slice(0, 7)) return false;
    return this.#max === null || month <= this.#max.slice(0, 7);
  }

  #open(waits: boolean): void {
    if (waits) return;
    this.#picked.open = true;
    this.#go(this.#picked.value ?? today());
  }

  #go(day: string, focus = true): void {
    this.#picked.cursor = clampDay(day, this.#min, this.#max);
    this.#scope.surface.requestUpdate();
    // At once, so that the next key finds the grid; a calendar that opens takes a frame to be there.
    if (focus && !this.#focusCursor()) requestAnimationFrame(() => this.#focusCursor());
  }

  #focusCursor(): boolean {
    const root = this.#trigger()?.parentElement;
    const day = root?.querySelector<HTMLElement>(`[data-day="${this.#picked.cursor}"]`);
    day?.focus();
    return day?.matches(':focus') === true;
  }

  #close(refocus = true): void {
    if (!this.#picked.open) return;
    this.#picked.open = false;
    if (refocus) this.#trigger()?.focus();
    this.#scope.surface.requestUpdate();
  }

  #pick(day: string | null): void {
    const before = this.#picked.value;
    this.#picked.value = day;
    this.#picked.open = false;
    const trigger = this.#trigger();
    trigger?.focus();
    this.#scope.surface.requestUpdate();
    if (before === day || !trigger) return;
    const { action } = changing(this.#node, this.#scope);
    changed(trigger, action, this.#node, this.#scope, day);
  }

  readonly #onKey = (event: KeyboardEvent): void => {
    const { cursor } = this.#picked;
    const trigger = this.#trigger();
    const forward = trigger && getComputedStyle(trigger).direction === 'rtl' ? -1 : 1;
    const inGrid = event.target instanceof Element && event.target.classList.contains('w-day');
    const weekday =
      (dateOf(cursor).getUTCDay() - firstWeekday(this.#scope.surface.context.locale) + 7) % 7;
    const moves: Record<string, string> = {
      ArrowLeft: addDays(cursor, -forward),
      ArrowRight: addDays(cursor, forward),
      ArrowUp: addDays(cursor, -7),
      ArrowDown: addDays(cursor, 7),
      Home: addDays(cursor, -weekday),
      End: addDays(cursor, 6 - weekday),
      PageUp: addMonths(cursor, event.shiftKey ? -12 : -1),
      PageDown: addMonths(cursor, event.shiftKey ? 12 : 1),
    };
    const target = inGrid ? moves[event.key] : undefined;
    if (target !== undefined) this.#go(target);
    else if (event.key === 'Escape') this.#close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  readonly #onFocusOut = (event: FocusEvent): void => {
    const { currentTarget, relatedTarget } = event;
    if (!this.#picked.open || !(currentTarget instanceof Node)) return;
    if (relatedTarget instanceof Node && !currentTarget.contains(relatedTarget)) this.#close(false);
  };

  #trigger(): HTMLElement | null {
    return this.#scope.surface.find(this.#id);
  }
}
