/** The conversation: messages in order, what is happening, and what went wrong. */
import { html, nothing, type TemplateResult } from 'lit';
import { guard } from 'lit/directives/guard.js';
import { repeat } from 'lit/directives/repeat.js';
import { lazy } from '../chunks/lazy.js';
import type { Tag } from '../composer/content.js';
import { pendingInput } from '../items.js';
import type { MarkdownLabels } from '../markdown-labels.js';
import type { Attachment, ThreadItem, UserMessageItem } from '../protocol.js';
import { canResume } from '../state.js';
import { type AnswerState, answer, loneTask, workflow } from './answer.js';
import { type CardKeeper, citedAt } from './card-keeper.js';
import { copyText } from './clipboard.js';
import type { View } from './context.js';
import { extras } from './extras-part.js';
import { sentFiles } from './files.js';
import { icon } from './icons.js';
import { streamAlert } from './notices.js';
import { widgetItem } from './widget-view.js';

/** What the templates need beyond the shared view; kept by the element between updates. */
export interface MessagesModel {
  card: CardKeeper;
  labels: MarkdownLabels;
  ratings: ReadonlyMap<string, 'positive' | 'negative'>;
  /** How large a file is, in words, where that is known. */
  sizeOf(file: Attachment): string | null;
}

export function messages(view: View, model: MessagesModel): TemplateResult {
  const { state, t } = view;
  const asked = pendingInput(state.items);
  const lastAnswer = state.items.findLast((item) => item.type === 'assistant_message')?.id;
  // One way to try again is enough: the alert's and the resume line's own buttons come first.
  const offersRetry =
    !state.answering && !state.reconnecting && !state.alert?.allowRetry && !canResume(state);
  const lastIsAnswer = state.items.at(-1)?.id === lastAnswer;
  return html`<div class="log" role="log" aria-live="off" aria-label=${t('chat.log')}
    aria-busy=${state.answering} @click=${(event: Event) => clicked(event, view)}
    @pointerover=${model.card.point} @pointerout=${model.card.leave} @focusin=${model.card.point}
    @focusout=${model.card.leave} @keydown=${model.card.key}>
    ${state.loadingOlder ? html`<div class="quiet" role="status">${t('chat.older')}</div>` : nothing}
    ${repeat(
      state.items,
      (item) => item.id,
      (item) => {
        const live = state.live.has(item.id);
        const partial = state.partial.has(item.id);
        const last = lastIsAnswer && item.id === lastAnswer;
        const rating = model.ratings.get(item.id) ?? null;
        // Widgets wait while an answer is written, and their images are the thread's to allow.
        const answering = item.type === 'widget' && state.answering;
        const domains = item.type === 'widget' ? state.thread?.allowed_image_domains : null;
        // Only what changed is rendered again: a long conversation costs nothing per token.
        return guard(
          [
            item,
            item.type === 'structured_input' && item === asked,
            live,
            partial,
            last,
            last && offersRetry,
            rating,
            view.options,
            model.labels,
            answering,
            domains,
          ],
          () => row(item, view, model, { live, partial, last, rating, retry: last && offersRetry }),
        );
      },
    )}
    ${activity(view)} ${streamAlert(view)} ${resume(view)}
  </div>`;
}

function row(
  item: ThreadItem,
  view: View,
  { labels, sizeOf }: MessagesModel,
  state: AnswerState,
): TemplateResult | typeof nothing {
  switch (item.type) {
    case 'user_message':
      return userMessage(item, view, sizeOf);
    case 'assistant_message':
      return answer(item, view, labels, state);
    case 'workflow':
      return workflow(item, view, labels, state.live);
    case 'task':
      return loneTask(item, view, labels, state.live);
    case 'generated_image':
      return html`${lazy(extras, (part) => part.generatedImage(item, view, state.live))}`;
    case 'structured_input':
      // While it waits, its questions stand where the composer was.
      if (item === pendingInput(view.state.items)) return nothing;
      return html`${lazy(extras, (part) => part.recorded(item, view))}`;
    case 'widget':
      return widgetItem(item, view, labels, state.live);
    default:
      return nothing;
  }
}

function userMessage(
  item: UserMessageItem,
  view: View,
  sizeOf: MessagesModel['sizeOf'],
): TemplateResult {
  const { t } = view;
  return html`<article class="message user" part="user-message" aria-label=${t('message.user')}>
    ${item.quoted_text ? html`<blockquote class="quoted" dir="auto">${item.quoted_text}</blockquote>` : nothing}
    ${sentFiles(item.attachments ?? [], t, sizeOf)}
    ${
      item.content.length > 0
        ? html`<div class="bubble" part="bubble" dir="auto">${item.content.map((part) =>
            part.type === 'input_tag' ? sentTag(part, view) : part.text,
          )}</div>`
        : nothing
    }
  </article>`;
}

function sentTag(tag: Tag, { options, actions }: View): TemplateResult {
  const { onClick, onRequestPreview } = options.entities ?? {};
  if (!tag.interactive || !(onClick || onRequestPreview)) {
    return html`<span class="tag" part="tag">${tag.text}</span>`;
  }
  const enter = (event: Event): void => actions.tagEntered(tag, event.currentTarget as Element);
  return html`<button type="button" class="tag" part="tag" @click=${() => actions.tagClicked(tag)}
    @pointerenter=${enter} @focus=${enter} @pointerleave=${actions.tagLeft} @blur=${actions.tagLeft}>${tag.text}</button>`;
}

/** Shown from the question until the answer speaks for itself. */
function activity({ state, t }: View): TemplateResult | typeof nothing {
  if (state.progress !== null) {
    return html`<div class="activity" part="progress" role="status"><span class="pulse"></span>${state.progress}</div>`;
  }
  const writing = [...state.live].some((id) => {
    const item = state.items.find((other) => other.id === id);
    return (
      item?.type === 'workflow' ||
      item?.type === 'widget' ||
      (item?.type === 'assistant_message' && item.content.length > 0)
    );
  });
  if (!state.answering || writing) return nothing;
  return html`<div class="activity"><span class="pulse"></span><span class="sr-only">${t('work.writing')}</span></div>`;
}

function resume(view: View): TemplateResult | typeof nothing {
  const { state, t, actions } = view;
  if (state.alert !== null || !canResume(state)) return nothing;
  const unanswered = state.items.at(-1)?.type === 'user_message';
  return html`<div class="resume">
    <span>${t(unanswered ? 'message.unanswered' : 'message.partial')}</span>
    <button type="button" class="text-button" @click=${actions.retry}>${icon('retry')}${t('message.retry')}</button>
  </div>`;
}

/** Clicks on what is inside a text, which has no handlers of its own. */
function clicked(event: Event, view: View): void {
  const { target } = event;
  if (!(target instanceof Element)) return;
  const link = target.closest<HTMLAnchorElement>('a[href^="chatkit-link:"]');
  if (link) {
    event.preventDefault();
    const url = new URL(link.href);
    const data = Object.fromEntries(url.searchParams);
    view.actions.deepLink(
      decodeURIComponent(`${url.host}${url.pathname}`.replace(/\/$/, '')),
      data,
    );
    return;
  }
  const cited = citedAt(target, view);
  if (cited?.source.type === 'entity' && cited.source.interactive)
    view.actions.entity(cited.source);
  else copyCode(target, view);
}

function copyCode(button: Element, { t }: View): void {
  if (!(button instanceof HTMLElement) || !button.classList.contains('copy-code')) return;
  const code = button.closest('.code')?.querySelector('code')?.textContent ?? '';
  void copyText(button, code, t('message.copied'));
}
