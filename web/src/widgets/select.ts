/** A choice from a list that opens: by mouse, by keys, by typing, or by searching in it. */
import { html, nothing, type TemplateResult } from 'lit';
import { moved, Typeahead } from '../controls/choice.js';
import { popover } from '../controls/popover.js';
import { icon } from '../view/icons.js';
import { changed, changing, ownName, sizeOf } from './fields.js';
import type { WidgetNode } from './node.js';
import { flag, objects, oneOf, shown, text, VARIANTS } from './read.js';
import { type Component, fieldId, labelId, type Scope } from './scope.js';

/** A list with more options than this is searchable unless its widget says otherwise. */
const SEARCHED = 15;
const MAX_OPTIONS = 1000;

interface Option {
  value: string;
  label: string;
  description: string;
  disabled: boolean;
}

/** What one select remembers. */
class Chosen {
  value: string | null;
  open = false;
  active = -1;
  query = '';
  readonly typeahead = new Typeahead();

  constructor(value: string | null) {
    this.value = value;
  }
}

export const select: Component = (node, scope) => {
  const { props, path } = node;
  const options = readOptions(props.options);
  const initial = text(props, 'defaultValue') ?? null;
  const chosen = scope.surface.memory(`${path} ${initial ?? ''}`, () => new Chosen(initial));
  return new SelectView(node, scope, options, chosen).render();
};

function readOptions(value: unknown): Option[] {
  return objects(value)
    .slice(0, MAX_OPTIONS)
    .map((option) => ({
      value: shown(option.value),
      label: shown(option.label) || shown(option.value),
      description: shown(option.description),
      disabled: option.disabled === true,
    }));
}

class SelectView {
  readonly #node: WidgetNode;
  readonly #scope: Scope;
  readonly #all: readonly Option[];
  readonly #chosen: Chosen;
  readonly #id: string;

  constructor(node: WidgetNode, scope: Scope, options: readonly Option[], chosen: Chosen) {
    this.#node = node;
    this.#scope = scope;
    this.#all = options;
    this.#chosen = chosen;
    this.#id = fieldId(scope, text(node.props, 'name') ?? '');
  }

  get #searchable(): boolean {
    const { searchable } = this.#node.props;
    return typeof searchable === 'boolean' ? searchable : this.#all.length > SEARCHED;
  }

  get #options(): readonly Option[] {
    const query = this.#chosen.query.trim().toLowerCase();
    if (query === '') return this.#all;
    return this.#all.filter(({ label, description }) =>
      `${label} ${description}`.toLowerCase().includes(query),
    );
  }

  render(): TemplateResult {
    const { props } = this.#node;
    const { t } = this.#scope.surface.context;
    const name = text(props, 'name') ?? '';
    const current = this.#all.find(({ value }) => value === this.#chosen.value);
    const off = flag(props, 'disabled');
    const label = labelId(this.#scope, name);
    const { waits } = changing(this.#node, this.#scope);
    const { open, active } = this.#chosen;
    const clearable = flag(props, 'clearable') && current !== undefined && !off;
    return html`<div class="w-select" ?data-block=${flag(props, 'block')} @focusout=${this.#onFocusOut}>
      <input type="hidden" name=${name} .value=${this.#chosen.value ?? ''}>
      <button type="button" class="w-field w-trigger" role="combobox" id=${this.#id} ?disabled=${off}
        aria-labelledby=${label ?? nothing} aria-label=${ownName(props, this.#scope)} aria-haspopup="listbox"
        aria-expanded=${open} aria-controls="${this.#id}-list"
        aria-activedescendant=${open && !this.#searchable && active >= 0 ? `${this.#id}-${active}` : nothing}
        aria-disabled=${off || waits ? 'true' : nothing} aria-busy=${this.#scope.surface.loading(this.#node.path) ? 'true' : nothing}
        data-variant=${oneOf(props, 'variant', VARIANTS) ?? 'outline'} data-size=${sizeOf(props)}
        ?data-pill=${flag(props, 'pill')} ?data-clearable=${clearable}
        @click=${() => (open ? this.#close() : this.#open(waits))}
        @keydown=${(event: KeyboardEvent) => this.#onTriggerKey(event, waits)}>
        <span class="w-value" dir="auto" ?data-empty=${!current}>${current?.label ?? text(props, 'placeholder') ?? t('widget.choose')}</span>${icon('chevron')}
      </button>
      ${
        clearable
          ? html`<button type="button" class="w-clear" aria-label=${t('widget.clear')} title=${t('widget.clear')}
              aria-disabled=${waits ? 'true' : nothing} @click=${(event: Event) => waits || this.#pick(null, event)}>${icon('close')}</button>`
          : nothing
      }
      ${open ? this.#popup() : nothing}
    </div>`;
  }

  #popup(): TemplateResult {
    const { t } = this.#scope.surface.context;
    const { active, query } = this.#chosen;
    const label = labelId(this.#scope, text(this.#node.props, 'name') ?? '');
    const options = this.#options;
    const activeId = active >= 0 ? `${this.#id}-${active}` : nothing;
    return html`<div class="w-popup" ${popover({ side: 'bottom', align: 'start', asWide: true }, () => this.#close(false))}>
      ${
        this.#searchable
          ? html`<input type="text" class="w-search" role="combobox" aria-label=${t('widget.search')}
              placeholder=${t('widget.search')} aria-expanded="true" aria-autocomplete="list"
              aria-controls="${this.#id}-list" aria-activedescendant=${activeId} autocomplete="off" .value=${query}
              @input=${this.#onSearch} @keydown=${(event: KeyboardEvent) => this.#onListKey(event, true)}>`
          : nothing
      }
      <div class="w-options" role="listbox" id="${this.#id}-list" aria-labelledby=${label ?? nothing} aria-label=${text(this.#node.props, 'placeholder') ?? text(this.#node.props, 'name') ?? ''}>
        ${options.map((option, index) => this.#option(option, index))}
      </div>
      ${options.length === 0 ? html`<div class="w-none" role="status">${t('widget.nothing')}</div>` : nothing}
    </div>`;
  }

  #option({ value, label, description, disabled }: Option, index: number): TemplateResult {
    const chosen = value === this.#chosen.value;
    return html`<div id="${this.#id}-${index}" class="w-option" role="option" aria-selected=${chosen}
      aria-disabled=${disabled ? 'true' : nothing} ?data-active=${index === this.#chosen.active}
      @pointermove=${() => this.#activate(disabled ? this.#chosen.active : index)}
      @pointerdown=${(event: Event) => event.preventDefault()}
      @click=${(event: Event) => disabled || this.#pick(value, event)}>
      <span class="w-option-text" dir="auto"><span>${label}</span>${
        description === '' ? nothing : html`<span class="w-option-detail">${description}</span>`
      }</span>${chosen ? icon('check') : nothing}
    </div>`;
  }

  #open(waits: boolean): void {
    if (waits) return;
    const chosen = this.#chosen;
    chosen.open = true;
    chosen.query = '';
    chosen.active = this.#all.findIndex(({ value }) => value === chosen.value);
    if (chosen.active < 0) chosen.active = moved(this.#all, -1, 'ArrowDown') ?? -1;
    this.#update();
    // At once, so that the next key finds it; a list that opens takes a frame to be there.
    if (this.#searchable && !this.#focusSearch()) requestAnimationFrame(() => this.#focusSearch());
    this.#reveal();
  }

  #focusSearch(): boolean {
    const field = this.#root()?.querySelector<HTMLElement>('.w-search');
    field?.focus();
    return field?.matches(':focus') === true;
  }

  #close(refocus = true): void {
    if (!this.#chosen.open) return;
    this.#chosen.open = false;
    if (refocus) this.#trigger()?.focus();
    this.#update();
  }

  #pick(value: string | null, event: Event): void {
    const field = event.target;
    const before = this.#chosen.value;
    this.#chosen.value = value;
    this.#chosen.open = false;
    const root = this.#root();
    this.#trigger()?.focus();
    this.#update();
    if (before === value || !(field instanceof Element) || !root) return;
    const { action } = changing(this.#node, this.#scope);
    changed(root, action, this.#node, this.#scope, value);
  }

  #activate(index: number): void {
    if (index === this.#chosen.active) return;
    this.#chosen.active = index;
    this.#update();
  }

  #onTriggerKey(event: KeyboardEvent, waits: boolean): void {
    if (this.#chosen.open) {
      this.#onListKey(event, false);
      return;
    }
    if (!['ArrowDown', 'ArrowUp', 'Enter', ' '].includes(event.key)) return;
    event.preventDefault();
    this.#open(waits);
  }

  #onListKey(event: KeyboardEvent, typing: boolean): void {
    const { key } = event;
    const chosen = this.#chosen;
    const options = this.#options;
    if (event.isComposing || event.ctrlKey || event.metaKey) return;
    const caret = typing && (key === 'Home' || key === 'End');
    const target = caret ? null : moved(options, chosen.active, key);
    if (target !== null) this.#move(target);
    else if (key === 'Escape') this.#close();
    else if (key === 'Tab') {
      this.#close(typing);
      return;
    } else if (key === 'Enter' || (key === ' ' && !typing)) {
      const option = options[chosen.active];
      if (option && !option.disabled) this.#pick(option.value, event);
    } else if (!typing && key.length === 1) {
      const found = chosen.typeahead.find(options, chosen.active, key, event.timeStamp);
      if (found !== null) this.#move(found);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #move(index: number): void {
    this.#activate(index);
    this.#reveal();
  }

  readonly #onSearch = (event: Event): void => {
    if (!(event.target instanceof HTMLInputElement)) return;
    this.#chosen.query = event.target.value;
    this.#chosen.active = moved(this.#options, -1, 'ArrowDown') ?? -1;
    this.#update();
    this.#reveal();
  };

  readonly #onFocusOut = (event: FocusEvent): void => {
    const { currentTarget, relatedTarget } = event;
    if (!this.#chosen.open || !(currentTarget instanceof Node)) return;
    if (relatedTarget instanceof Node && !currentTarget.contains(relatedTarget)) this.#close(false);
  };

  /** Scrolls the active option into the list's view. */
  #reveal(): void {
    requestAnimationFrame(() => {
      this.#root()?.querySelector('.w-option[data-active]')?.scrollIntoView({ block: 'nearest' });
    });
  }

  #update(): void {
    this.#scope.surface.requestUpdate();
  }

  #trigger(): HTMLElement | null {
    return this.#scope.surface.find(this.#id);
  }

  #root(): Element | null {
    return this.#trigger()?.parentElement ?? null;
  }
}
