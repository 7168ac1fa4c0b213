/** Everything inside the element's shadow root: the views, what they can do, and where they scroll. */

import type { Entity } from '@openai/chatkit';
import { html, type LitElement, nothing, type TemplateResult } from 'lit';
import { lazy } from './chunks/lazy.js';
import type { ChatKitClient } from './client.js';
import { Composer } from './composer/composer.js';
import type { Tag } from './composer/content.js';
import { Drop } from './composer/drop.js';
import { bytes } from './composer/limits.js';
import { previewPart, quotePart } from './composer/parts.js';
import type { QuoteOffer } from './composer/quote-offer.js';
import type { Conversation } from './conversation.js';
import { ChatKitError } from './errors.js';
import type { ThreadHistory } from './history.js';
import { answerText, pendingInput } from './items.js';
import type { Translate } from './locales.js';
import type { MarkdownLabels } from './markdown-labels.js';
import type { ChatKitOptions } from './options.js';
import type { Attachment, Source, UserContent, UserMessageInput } from './protocol.js';
import { rangeIn } from './selection.js';
import { CardKeeper } from './view/card-keeper.js';
import type { Actions, View } from './view/context.js';
import { extras } from './view/extras-part.js';
import { header } from './view/header.js';
import { HistoryPanel } from './view/history-panel.js';
import { icon } from './view/icons.js';
import { markdown, markdownPart } from './view/markdown-view.js';
import { messages } from './view/messages.js';
import { footNotices } from './view/notices.js';
import { ScrollKeeper } from './view/scroll.js';
import { missingScreen, startScreen } from './view/start-screen.js';
import { widgetPart } from './view/widget-view.js';
import { carryOut } from './widget-actions.js';

/** From this width on, in pixels, the history stands beside the conversation (see history.css). */
export const WIDE = 860;

/** Longest text given to a screen reader at once; the rest can be read in the log. */
const MAX_ANNOUNCEMENT = 4000;

export interface ChatModel {
  conversation: Conversation;
  history: ThreadHistory;
  options: ChatKitOptions;
  locale: string;
  t: Translate;
}

export interface ChatHost {
  open(threadId: string | null): void;
  send(content: UserContent[]): void;
  sendInput(input: UserMessageInput, attachments: readonly Attachment[]): void;
  toolChanged(toolId: string | null): void;
  report(error: unknown): void;
  historyToggled(open: boolean): void;
  failed(error: unknown): void;
  deepLink(name: string, data: Record<string, string>): void;
}

export class ChatView {
  readonly composer: Composer;
  historyOpen = false;
  readonly #element: LitElement;
  readonly #host: ChatHost;
  readonly #panel: HistoryPanel;
  readonly #scroll: ScrollKeeper;
  readonly #drop: Drop;
  #offer: QuoteOffer | null = null;
  readonly #card = new CardKeeper(() => this.#view());
  #model: ChatModel;
  #labels: MarkdownLabels;
  #ratings = new Map<string, 'positive' | 'negative'>();
  #firstItem: string | undefined;
  #wasAnswering = false;
  #announcement = '';

  constructor(element: LitElement, client: ChatKitClient, host: ChatHost, model: ChatModel) {
    this.#element = element;
    this.#host = host;
    this.#model = model;
    this.#labels = labelsOf(model.t);
    this.composer = new Composer(element, {
      client,
      view: () => this.#view(),
      send: (input, attachments) => host.sendInput(input, attachments),
      toolChanged: (toolId) => host.toolChanged(toolId),
      report: (error) => host.report(error),
    });
    this.#drop = new Drop(this.composer, () => element.requestUpdate());
    this.#panel = new HistoryPanel(element);
    this.#scroll = new ScrollKeeper(
      () => element.requestUpdate(),
      () => void this.#model.conversation.loadOlder(),
    );
  }

  set model(model: ChatModel) {
    if (model.t !== this.#model.t) this.#labels = labelsOf(model.t);
    this.#model = model;
  }

  disconnect(): void {
    this.composer.disconnect();
    document.removeEventListener('selectionchange', this.#onSelection);
    this.#scroll.detach();
    this.#card.hide();
  }

  toEnd(): void {
    this.#scroll.toEnd();
  }

  showHistory(open: boolean): void {
    if (open === this.historyOpen) return;
    this.historyOpen = open;
    this.#panel.reset();
    if (open) void this.#model.history.load();
    this.#element.requestUpdate();
    void this.#element.updateComplete.then(() => {
      this.#find(open ? '#history' : '#history-button')?.focus();
    });
    this.#host.historyToggled(open);
  }

  render(): TemplateResult {
    const view = this.#view();
    const { state, options, t } = view;
    const empty = state.items.length === 0 && !state.answering;
    const modal = this.historyOpen && this.#element.clientWidth < WIDE;
    return html`<div class="root" part="root" role="group" aria-label=${options.frameTitle ?? t('chat.title')}
      ?data-history=${this.historyOpen} @dragenter=${this.#drop.onEnter} @dragover=${this.#drop.onOver}
      @dragleave=${this.#drop.onLeave} @drop=${this.#drop.onDrop}>
      ${options.history?.enabled === false ? nothing : this.#panel.render(view)}
      <div class="main" .inert=${modal}>
        ${header(view)}
        <div class="scroller" part="messages" ?data-center=${empty && !state.loading} tabindex="-1"
          @pointerup=${this.#onSelecting} @keyup=${this.#onSelecting}>
          ${this.#body(view, empty)}
        </div>
        <div class="foot">
          ${
            this.#scroll.atEnd || empty
              ? nothing
              : html`<button type="button" class="jump" part="jump" aria-label=${t('chat.jump')} title=${t('chat.jump')}
                  @click=${() => this.toEnd()}>${icon('arrowDown')}</button>`
          }
          ${footNotices(view, this.#labels)} ${state.missing ? nothing : this.#entry(view)}
          ${this.#disclaimer(view)}
        </div>
      </div>
      ${this.#offer ? lazy(quotePart, () => this.#offer?.render(t)) : nothing}
      ${previewPart.value ? lazy(previewPart, ({ previews }) => previews(this.#element).render()) : nothing}
      ${this.#drop.render(t)}
      <div class="sr-only" aria-live="polite">${this.#announcement}</div>
    </div>`;
  }

  #body(view: View, empty: boolean): TemplateResult | typeof nothing {
    const { state, t } = view;
    if (state.missing) return missingScreen(view);
    if (state.loading || this.#waitsForParts(state))
      return html`<div class="quiet loading" role="status">${t('chat.loading')}</div>`;
    if (empty) return state.threadId === null || state.thread ? startScreen(view) : html``;
    return messages(view, {
      labels: this.#labels,
      ratings: this.#ratings,
      card: this.#card,
      sizeOf: this.#sizeOf,
    });
  }

  /** A conversation that is opened is shown when it can be shown as it will stay. */
  #waitsForParts({ items, answering }: View['state']): boolean {
    if (items.length === 0) return false;
    const widgets = items.some(({ type }) => type === 'widget') ? [widgetPart] : [];
    const missing = [markdownPart, ...widgets].filter((part) => !part.value && !part.failed);
    const redraw = (): void => this.#element.requestUpdate();
    for (const part of missing) part.load().then(redraw, redraw);
    return missing.length > 0 && !answering;
  }

  /** Where the reader writes: the composer, or the questions that wait for an answer. */
  #entry(view: View): unknown {
    const asked = pendingInput(view.state.items);
    if (!asked || view.state.live.has(asked.id)) return this.composer.render(view);
    const composer = this.composer.render(view);
    return lazy(extras, (part) => part.questions(asked, view), nothing, composer);
  }

  #disclaimer({ options }: View): TemplateResult | typeof nothing {
    const { disclaimer } = options;
    if (!disclaimer || disclaimer.text === '') return nothing;
    return html`<div class="disclaimer" part="disclaimer" ?data-contrast=${disclaimer.highContrast === true}>
      ${markdown(disclaimer.text, false, this.#labels)}
    </div>`;
  }

  /** Whoever selects a part of an answer may quote it. */
  readonly #onSelecting = (): void => {
    if (this.#offer) this.#offer.look();
    else if (this.#isSelecting()) void this.#loadOffer();
  };

  #isSelecting(): boolean {
    const root = this.#find('.root');
    return root !== null && rangeIn(root)?.collapsed === false;
  }

  async #loadOffer(): Promise<void> {
    const { QuoteOffer } = await quotePart.load().catch(() => ({ QuoteOffer: null }));
    if (!QuoteOffer || this.#offer) return;
    this.#offer = new QuoteOffer(this.#element, (words) => this.composer.quote(words));
    document.addEventListener('selectionchange', this.#onSelection);
    this.#find('.scroller')?.addEventListener('scroll', () => this.#offer?.look());
    this.#offer.look();
  }

  /** Gone with the selection. */
  readonly #onSelection = (): void => {
    if (!this.#isSelecting()) this.#offer?.look();
  };

  readonly #sizeOf = ({ id }: Attachment): string | null => {
    const size = this.composer.sizeOf(id);
    return size === null ? null : bytes(size, this.#model.locale);
  };

  /** Before the element's update. */
  willUpdate(): void {
    const { state } = this.#view();
    const first = state.items[0]?.id;
    if (first !== this.#firstItem) this.#scroll.remember();
    this.#firstItem = first;
    if (this.#wasAnswering && !state.answering && state.alert === null) this.#announce();
    if (state.answering) this.#announcement = '';
    this.#wasAnswering = state.answering;
  }

  /** After the element's update. */
  updated(): void {
    this.#scroll.attach(this.#find('.scroller'));
    const { autoScroll = true } = this.#model.options.thread ?? {};
    this.#scroll.follows = autoScroll || !this.#wasAnswering;
    if (this.#scroll.follows) this.#scroll.settle();
  }

  /** A finished answer is read out once; while it was written, nothing was. */
  #announce(): void {
    const item = this.#model.conversation.store.value.items.at(-1);
    if (item?.type === 'widget') {
      const said = item.copy_text || this.#model.t('message.widget');
      this.#announcement = said.slice(0, MAX_ANNOUNCEMENT);
    }
    if (item?.type !== 'assistant_message') return;
    const text = markdownPart.value?.renderMarkdown(answerText(item), this.#labels);
    for (const head of text?.querySelectorAll('.code-head') ?? []) head.remove();
    this.#announcement = (text?.textContent ?? answerText(item)).slice(0, MAX_ANNOUNCEMENT);
  }

  #view(): View {
    const { conversation, history, options, locale, t } = this.#model;
    return {
      state: conversation.store.value,
      history: history.store.value,
      historyOpen: this.historyOpen,
      options,
      locale,
      t,
      actions: this.#actions,
    };
  }

  readonly #actions: Actions = {
    send: (content) => this.#host.send(content),
    stop: () => this.#model.conversation.stop(),
    tagClicked: (tag) => {
      if (tag.interactive) this.#model.options.entities?.onClick?.(entityOf(tag));
    },
    tagEntered: (tag, anchor) => {
      const { onRequestPreview } = this.#model.options.entities ?? {};
      if (!tag.interactive || !onRequestPreview) return;
      const show = (): void =>
        previewPart.value?.previews(this.#element).show(entityOf(tag), anchor, onRequestPreview);
      previewPart.load().then(show, () => undefined);
    },
    tagLeft: () => previewPart.value?.previews(this.#element).hide(),
    // What fails is in the conversation's state by then, and on the screen.
    retry: () => void this.#model.conversation.retry().catch(() => undefined),
    answer: (itemId, input) =>
      void this.#model.conversation.answer(itemId, input).catch(() => undefined),
    entity: (source) => this.#model.options.entities?.onClick?.(asEntity(source)),
    deepLink: (name, data) => this.#host.deepLink(name, data),
    open: (threadId) => this.#host.open(threadId),
    feedback: (itemId, kind) => {
      this.#ratings = new Map(this.#ratings).set(itemId, kind);
      this.#element.requestUpdate();
      void this.#model.conversation.feedback(itemId, kind);
    },
    act: (action, item) => {
      const { conversation, options, t } = this.#model;
      const failed = this.#host.failed;
      return carryOut(action, item, { conversation, options, t, failed });
    },
    complain: (message) => this.#host.failed(new ChatKitError(message)),
    dismissNotice: (id) =>
      this.#model.conversation.store.dispatch({ type: 'notice.dismissed', id }),
    dismissAlert: () => this.#model.conversation.store.dispatch({ type: 'alert.dismissed' }),
    toggleHistory: () => this.showHistory(!this.historyOpen),
    closeHistory: () => this.showHistory(false),
    loadMoreThreads: () => {
      const { history } = this.#model;
      void (history.store.value.loaded ? history.more() : history.load());
    },
    rename: (threadId, title) => void this.#rename(threadId, title),
    remove: (threadId) => void this.#remove(threadId),
  };

  async #rename(threadId: string, title: string): Promise<void> {
    const thread = await this.#model.history.rename(threadId, title);
    if (thread) this.#model.conversation.store.dispatch({ type: 'thread.changed', thread });
  }

  async #remove(threadId: string): Promise<void> {
    const removed = await this.#model.history.remove(threadId);
    if (removed && this.#model.conversation.store.value.threadId === threadId)
      this.#host.open(null);
    this.#find('#history')?.focus();
  }

  #find(selector: string): HTMLElement | null {
    return this.#element.renderRoot.querySelector<HTMLElement>(selector);
  }
}

function entityOf({ id, text, group, data, interactive }: Tag): Entity {
  return {
    id,
    title: text,
    ...(group ? { group } : {}),
    ...(data ? { data: data as Record<string, string> } : {}),
    ...(interactive === undefined ? {} : { interactive }),
  };
}

/** A source as the host page's functions know entities. */
function asEntity({ id, title, icon, interactive, group, data }: Source): Entity {
  return {
    id: id ?? '',
    title: title ?? '',
    ...(icon ? { icon } : {}),
    ...(interactive === undefined ? {} : { interactive }),
    ...(group ? { group } : {}),
    data: data as Record<string, string>,
  };
}

function labelsOf(t: Translate): MarkdownLabels {
  return { copy: t('message.copy'), code: t('message.code') };
}
