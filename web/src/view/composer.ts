/** Where the reader writes: a growing field, the choice of a model, send and stop. */
import { html, type LitElement, type nothing, type TemplateResult } from 'lit';
import { Drafts } from '../drafts.js';
import type { InferenceOptions } from '../protocol.js';
import type { View } from './context.js';
import { icon } from './icons.js';
import { ModelPicker } from './model-picker.js';

export class Composer {
  readonly picker: ModelPicker;
  readonly #host: LitElement;
  readonly #drafts = new Drafts();
  #text = '';

  constructor(host: LitElement) {
    this.#host = host;
    this.picker = new ModelPicker(host);
  }

  get text(): string {
    return this.#text;
  }

  set text(value: string) {
    this.#text = value;
    const field = this.#field;
    if (field && field.value !== value) field.value = value;
    this.#host.requestUpdate();
    void this.#host.updateComplete.then(() => this.#grow());
  }

  /** Puts back what could not be sent, before whatever has been typed since. */
  restore(text: string): void {
    this.text = this.#text === '' ? text : `${text}\n${this.#text}`;
    this.focus();
  }

  /** Keeps the draft of the thread that is left and brings that of the one that is entered. */
  switchThread(from: string | null, to: string | null): void {
    this.#drafts.set(from, this.#text);
    this.text = this.#drafts.get(to);
  }

  focus(): void {
    this.#field?.focus();
  }

  inference(view: Pick<View, 'options'>): InferenceOptions {
    const model = this.picker.selected(view.options);
    return model ? { model: model.id } : {};
  }

  render(view: View): TemplateResult {
    const { state, t, options } = view;
    const status = state.thread?.status;
    const locked = status?.type === 'locked' || status?.type === 'closed';
    if (status?.type === 'closed') {
      return html`<div class="closed" part="composer" role="status">${status.reason || t('chat.closed')}</div>`;
    }
    const placeholder = locked
      ? status?.reason || t('chat.locked')
      : (options.composer?.placeholder ?? t('composer.placeholder'));
    const wide = (options.composer?.models ?? []).length > 0;
    return html`<div class="composer" part="composer" ?data-tools=${wide} @click=${this.#onClick}>
      <textarea part="input" rows="1" dir="auto" autocomplete="off" placeholder=${placeholder} .disabled=${locked}
        @input=${this.#onInput} @keydown=${(event: KeyboardEvent) => this.#onKey(event, view)}></textarea>
      ${this.picker.render(view)}
      <div class="composer-end">${this.#button(view, locked)}</div>
    </div>`;
  }

  #button(view: View, locked: boolean): TemplateResult | typeof nothing {
    const { state, t, actions } = view;
    if (state.answering) {
      if (!state.allowCancel) return html`<span class="spinner" aria-hidden="true"></span>`;
      return html`<button type="button" class="send" part="stop-button" aria-label=${t('composer.stop')}
        title=${t('composer.stop')} @click=${actions.stop}>${icon('stop')}</button>`;
    }
    return html`<button type="button" class="send" part="send-button" aria-label=${t('composer.send')}
      title=${t('composer.send')} .disabled=${locked || !this.#canSend(view)}
      @click=${() => this.#send(view)}>${icon('arrowUp')}</button>`;
  }

  #canSend({ state }: View): boolean {
    return this.#text.trim() !== '' && !state.answering && !state.loading && !state.missing;
  }

  #send(view: View): void {
    if (!this.#canSend(view)) return;
    const text = this.#text.trim();
    this.#drafts.set(view.state.threadId, '');
    this.text = '';
    view.actions.send([{ type: 'input_text', text }]);
    this.focus();
  }

  readonly #onInput = (event: Event): void => {
    if (!(event.target instanceof HTMLTextAreaElement)) return;
    this.#text = event.target.value;
    this.#grow();
    this.#host.requestUpdate();
  };

  #onKey(event: KeyboardEvent, view: View): void {
    // An input method uses Enter to accept a suggestion; Safari reports it only by its key code.
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== 'Enter' || event.shiftKey || composing) return;
    event.preventDefault();
    this.#send(view);
  }

  /** A click beside the field, inside its frame, is meant for the field. */
  readonly #onClick = (event: Event): void => {
    if (event.target === event.currentTarget) this.focus();
  };

  get #field(): HTMLTextAreaElement | null {
    return this.#host.renderRoot.querySelector('textarea');
  }

  #grow(): void {
    const field = this.#field;
    // Browsers that size a field by its content need no help.
    if (!field || CSS.supports('field-sizing', 'content')) return;
    field.style.height = 'auto';
    field.style.height = `${field.scrollHeight}px`;
  }
}
