/** The list of conversations, with renaming and deleting in place. */
import { html, type LitElement, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import type { Thread } from '../protocol.js';
import type { View } from './context.js';
import { icon } from './icons.js';

const MAX_TITLE = 200;

export class HistoryPanel {
  readonly #host: LitElement;
  #editing: string | null = null;
  #deleting: string | null = null;

  constructor(host: LitElement) {
    this.#host = host;
  }

  reset(): void {
    this.#editing = null;
    this.#deleting = null;
  }

  render(view: View): TemplateResult | typeof nothing {
    if (!view.historyOpen) return nothing;
    const { t, history, actions } = view;
    return html`<div class="scrim" @click=${actions.closeHistory}></div>
      <aside class="history" part="history" id="history" role="dialog" aria-label=${t('history.title')}
        tabindex="-1" @keydown=${(event: KeyboardEvent) => this.#onKey(event, view)}>
        <div class="history-head">
          <h2>${t('history.title')}</h2>
          <button type="button" class="icon-button" aria-label=${t('history.close')} title=${t('history.close')}
            @click=${actions.closeHistory}>${icon('close')}</button>
        </div>
        <div class="history-list" @scroll=${(event: Event) => this.#onScroll(event, view)}>
          <ul>
            ${repeat(
              history.threads,
              (thread) => thread.id,
              (thread) => this.#row(thread, view),
            )}
          </ul>
          ${history.error ? html`<p class="quiet" role="alert">${history.error.message || t('history.failed')}</p>` : nothing}
          ${history.loading && !history.loaded ? html`<p class="quiet" role="status">${t('history.loading')}</p>` : nothing}
          ${history.loaded && history.threads.length === 0 ? html`<p class="quiet">${t('history.empty')}</p>` : nothing}
          ${
            history.cursor !== null || (history.error && !history.loaded)
              ? html`<button type="button" class="text-button more" .disabled=${history.loading}
                  @click=${actions.loadMoreThreads}>${t(history.loaded ? 'history.more' : 'message.retry')}</button>`
              : nothing
          }
        </div>
      </aside>`;
  }

  #row(thread: Thread, view: View): TemplateResult {
    if (this.#editing === thread.id) return this.#editor(thread, view);
    if (this.#deleting === thread.id) return this.#confirmation(thread, view);
    const { t, options, state, actions } = view;
    const { showRename = true, showDelete = true } = options.history ?? {};
    const current = thread.id === state.threadId;
    return html`<li class="thread" ?data-current=${current}>
      <button type="button" class="thread-open" dir="auto" aria-current=${current ? 'true' : nothing}
        @click=${() => actions.open(thread.id)}>${thread.title || t('chat.untitled')}</button>
      <span class="thread-tools">
        ${
          showRename
            ? html`<button type="button" class="icon-button" data-rename=${thread.id} aria-label=${t('history.rename')}
                title=${t('history.rename')} @click=${() => this.#edit(thread)}>${icon('edit')}</button>`
            : nothing
        }
        ${
          showDelete
            ? html`<button type="button" class="icon-button" data-delete=${thread.id} aria-label=${t('history.delete')}
                title=${t('history.delete')} @click=${() => this.#ask(thread)}>${icon('trash')}</button>`
            : nothing
        }
      </span>
    </li>`;
  }

  #editor(thread: Thread, view: View): TemplateResult {
    const { t } = view;
    return html`<li class="thread" data-editing>
      <input class="rename" type="text" dir="auto" maxlength=${MAX_TITLE} aria-label=${t('history.name')}
        .value=${thread.title ?? ''} @keydown=${(event: KeyboardEvent) => {
          if (event.key !== 'Enter' || event.isComposing) return;
          // Focus moves to a button; the rest of this key press must not press it.
          event.preventDefault();
          this.#save(thread, view);
        }} />
      <button type="button" class="icon-button" aria-label=${t('history.save')} title=${t('history.save')}
        @click=${() => this.#save(thread, view)}>${icon('check')}</button>
      <button type="button" class="icon-button" aria-label=${t('history.cancel')} title=${t('history.cancel')}
        @click=${() => this.#cancel()}>${icon('close')}</button>
    </li>`;
  }

  #confirmation(thread: Thread, view: View): TemplateResult {
    const { t } = view;
    return html`<li class="thread" data-editing role="none">
      <div class="confirm" role="alertdialog" aria-labelledby="confirm-text">
        <p id="confirm-text">${t('history.confirm')}</p>
        <button type="button" class="text-button cancel" @click=${() => this.#cancel()}>${t('history.cancel')}</button>
        <button type="button" class="danger-button" @click=${() => {
          this.#deleting = null;
          view.actions.remove(thread.id);
        }}>${t('history.delete')}</button>
      </div>
    </li>`;
  }

  #edit(thread: Thread): void {
    this.reset();
    this.#editing = thread.id;
    this.#focus('.rename', true);
  }

  #ask(thread: Thread): void {
    this.reset();
    this.#deleting = thread.id;
    this.#focus('.confirm .cancel');
  }

  #save(thread: Thread, view: View): void {
    const field = this.#host.renderRoot.querySelector<HTMLInputElement>('.rename');
    const title = field?.value.trim() ?? '';
    if (title !== '' && title !== thread.title) view.actions.rename(thread.id, title);
    this.#cancel();
  }

  #cancel(): void {
    const selector = this.#editing
      ? `[data-rename="${CSS.escape(this.#editing)}"]`
      : `[data-delete="${CSS.escape(this.#deleting ?? '')}"]`;
    this.reset();
    this.#focus(selector);
  }

  #focus(selector: string, select = false): void {
    this.#host.requestUpdate();
    void this.#host.updateComplete.then(() => {
      const target = this.#host.renderRoot.querySelector<HTMLElement>(selector);
      target?.focus();
      if (select && target instanceof HTMLInputElement) target.select();
    });
  }

  #onKey(event: KeyboardEvent, view: View): void {
    if (event.key !== 'Escape') return;
    event.stopPropagation();
    if (this.#editing !== null || this.#deleting !== null) this.#cancel();
    else view.actions.closeHistory();
  }

  #onScroll(event: Event, view: View): void {
    const list = event.currentTarget;
    if (!(list instanceof HTMLElement)) return;
    const left = list.scrollHeight - list.scrollTop - list.clientHeight;
    if (left < 120 && view.history.cursor !== null) view.actions.loadMoreThreads();
  }
}
