/** The choice of a model: a button and a listbox that both work without a mouse. */
import { html, type LitElement, nothing, type TemplateResult } from 'lit';
import type { ChatKitOptions } from '../options.js';
import type { View } from './context.js';
import { icon } from './icons.js';

export type Model = NonNullable<NonNullable<ChatKitOptions['composer']>['models']>[number];

export class ModelPicker {
  readonly #host: LitElement;
  #chosen: string | null = null;
  #open = false;
  #active = 0;

  constructor(host: LitElement) {
    this.#host = host;
  }

  /** The model to send with a message, or `undefined` when there is nothing to choose from. */
  selected(options: ChatKitOptions): Model | undefined {
    const models = options.composer?.models ?? [];
    const usable = models.filter((model) => !model.disabled);
    return (
      usable.find((model) => model.id === this.#chosen) ??
      usable.find((model) => model.default) ??
      usable[0]
    );
  }

  choose(id: string): void {
    this.#chosen = id;
    this.#host.requestUpdate();
  }

  render({ options, t }: View): TemplateResult | typeof nothing {
    const models = options.composer?.models ?? [];
    const selected = this.selected(options);
    if (models.length === 0) return nothing;
    const name = t('composer.model', { name: selected?.label ?? '–' });
    return html`<div class="picker" @focusout=${this.#onFocusOut}>
      <button type="button" class="picker-button" part="model-button" aria-label=${name}
        aria-haspopup="listbox" aria-expanded=${this.#open} aria-controls="models"
        @click=${() => (this.#open ? this.#close() : this.#show(models, selected))}
        @keydown=${(event: KeyboardEvent) => this.#onButtonKey(event, models, selected)}>
        <span>${selected?.label ?? '–'}</span>${icon('chevron')}
      </button>
      ${
        this.#open
          ? html`<ul id="models" class="popup" part="model-list" role="listbox" tabindex="-1"
              aria-label=${t('composer.models')} aria-activedescendant="model-${this.#active}"
              @keydown=${(event: KeyboardEvent) => this.#onKey(event, models)}>
              ${models.map((model, index) => this.#option(model, index, model === selected))}
            </ul>`
          : nothing
      }
    </div>`;
  }

  #option(model: Model, index: number, selected: boolean): TemplateResult {
    return html`<li id="model-${index}" role="option" aria-selected=${selected}
      aria-disabled=${model.disabled === true} ?data-active=${index === this.#active}
      @click=${() => this.#pick(model)} @pointermove=${() => this.#activate(index)}>
      <span class="option-text">
        <span class="option-label">${model.label}</span>
        ${model.description ? html`<span class="option-detail">${model.description}</span>` : nothing}
      </span>
      ${selected ? icon('check') : nothing}
    </li>`;
  }

  #show(models: readonly Model[], selected: Model | undefined): void {
    this.#open = true;
    this.#active = Math.max(0, selected ? models.indexOf(selected) : 0);
    this.#host.requestUpdate();
    void this.#host.updateComplete.then(() => this.#find('#models')?.focus());
  }

  #close(refocus = true): void {
    this.#open = false;
    this.#host.requestUpdate();
    if (refocus) this.#find('.picker-button')?.focus();
  }

  #pick(model: Model): void {
    if (model.disabled) return;
    this.#chosen = model.id;
    this.#close();
  }

  #activate(index: number): void {
    if (index === this.#active) return;
    this.#active = index;
    this.#host.requestUpdate();
  }

  readonly #onFocusOut = (event: FocusEvent): void => {
    const inside = event.relatedTarget instanceof Node && event.currentTarget instanceof Node;
    if (inside && (event.currentTarget as Node).contains(event.relatedTarget as Node)) return;
    if (this.#open) this.#close(false);
  };

  #onButtonKey(event: KeyboardEvent, models: readonly Model[], selected: Model | undefined): void {
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    event.preventDefault();
    this.#show(models, selected);
  }

  #onKey(event: KeyboardEvent, models: readonly Model[]): void {
    const last = models.length - 1;
    const moves: Record<string, number> = {
      ArrowDown: Math.min(this.#active + 1, last),
      ArrowUp: Math.max(this.#active - 1, 0),
      Home: 0,
      End: last,
    };
    const target = moves[event.key] ?? this.#typed(event.key, models);
    const model = models[this.#active];
    if (target !== undefined) this.#activate(target);
    else if (event.key === 'Escape') this.#close();
    else if ((event.key === 'Enter' || event.key === ' ') && model) this.#pick(model);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** The next model whose label begins with the typed letter. */
  #typed(key: string, models: readonly Model[]): number | undefined {
    if (key.length !== 1 || key === ' ') return undefined;
    const letter = key.toLowerCase();
    const order = models.map((_, index) => (this.#active + 1 + index) % models.length);
    return order.find((index) => models[index]?.label.toLowerCase().startsWith(letter));
  }

  #find(selector: string): HTMLElement | null {
    return this.#host.renderRoot.querySelector<HTMLElement>(selector);
  }
}
