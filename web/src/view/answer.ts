/** An answer: its text, its sources and what can be done with it; and the work that led to it. */
import { html, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { answerText } from '../items.js';
import type { MarkdownLabels } from '../markdown-labels.js';
import type { AssistantMessageItem, Task, WorkflowItem } from '../protocol.js';
import { citedText, numberSources } from '../sources.js';
import { copyText } from './clipboard.js';
import type { View } from './context.js';
import { icon } from './icons.js';
import { markdown } from './markdown-view.js';

export interface AnswerState {
  live: boolean;
  /** It broke off: what is open at its end stays hidden, as it was while it was written. */
  partial: boolean;
  last: boolean;
  /** Whether this is the answer that may be asked for again. */
  retry: boolean;
  rating: 'positive' | 'negative' | null;
}

export function answer(
  item: AssistantMessageItem,
  view: View,
  labels: MarkdownLabels,
  state: AnswerState,
): TemplateResult {
  const { t } = view;
  return html`<article class="message answer" part="assistant-message" aria-label=${t('message.answer')}
    ?data-live=${state.live}>
    ${item.content.map((part) => markdown(citedText(part, item), state.live || state.partial, labels))}
    ${sources(item, view)} ${state.live ? nothing : answerActions(item, view, state)}
  </article>`;
}

function sources(item: AssistantMessageItem, { t }: View): TemplateResult | typeof nothing {
  const list = numberSources(item);
  if (list.length === 0) return nothing;
  const name = t('message.sources');
  return html`<section class="sources" part="sources">
    <h4 id="sources-${item.id}">${name}</h4>
    <ol aria-label=${name}>
      ${list.map(({ number, title, href, detail }) => {
        const body = html`<span class="number">${number}</span>
          <span class="source-title">${title}</span>
          ${detail && detail !== title ? html`<span class="source-detail">${detail}</span>` : nothing}`;
        return html`<li>
          ${
            href
              ? html`<a href=${href} target="_blank" rel="noopener noreferrer">${body}</a>`
              : html`<span class="source">${body}</span>`
          }
        </li>`;
      })}
    </ol>
  </section>`;
}

function answerActions(
  item: AssistantMessageItem,
  view: View,
  state: AnswerState,
): TemplateResult | typeof nothing {
  const { t, options, actions } = view;
  const text = answerText(item);
  if (text === '') return nothing;
  const { retry = false, feedback = false } = options.threadItemActions ?? {};
  const copy = (event: Event): void => {
    if (event.currentTarget instanceof HTMLElement) {
      void copyText(event.currentTarget, text, t('message.copied'));
    }
  };
  const rate = (kind: 'positive' | 'negative', name: string, symbol: string): TemplateResult =>
    html`<button type="button" class="icon-button" aria-label=${name} title=${name}
      aria-pressed=${state.rating === kind} @click=${() => actions.feedback(item.id, kind)}>
      ${icon(symbol)}
    </button>`;
  return html`<div class="message-actions" part="message-actions" ?data-last=${state.last}>
    <button type="button" class="icon-button copy" aria-label=${t('message.copy')}
      title=${t('message.copy')} @click=${copy}>${icon('copy')}${icon('check')}</button>
    ${feedback ? rate('positive', t('message.good'), 'thumbUp') : nothing}
    ${feedback ? rate('negative', t('message.bad'), 'thumbDown') : nothing}
    ${
      retry && state.retry
        ? html`<button type="button" class="icon-button" aria-label=${t('message.retry')}
            title=${t('message.retry')} @click=${actions.retry}>${icon('retry')}</button>`
        : nothing
    }
  </div>`;
}

/** Reasoning and other steps: open while it runs, one line afterwards. */
export function workflow(
  item: WorkflowItem,
  view: View,
  labels: MarkdownLabels,
  live: boolean,
): TemplateResult {
  const { summary, expanded, tasks } = item.workflow;
  return html`<details class="work" part="workflow" ?open=${live || expanded === true} ?data-live=${live}>
    <summary>${icon('chevron')}<span>${live ? view.t('work.running') : doneTitle(summary, view)}</span></summary>
    <ol>
      ${repeat(
        tasks,
        (_task, index) => index,
        (task) => taskLine(task, live, labels),
      )}
    </ol>
  </details>`;
}

function doneTitle(summary: WorkflowItem['workflow']['summary'], { t }: View): string {
  if (summary?.title) return summary.title;
  if (typeof summary?.duration !== 'number') return t('work.done');
  const seconds = Math.max(1, Math.round(summary.duration));
  if (seconds < 60) return t('work.seconds', { seconds });
  return t('work.minutes', { minutes: Math.floor(seconds / 60), seconds: seconds % 60 });
}

function taskLine(task: Task, live: boolean, labels: MarkdownLabels): TemplateResult {
  const running = live && task.status_indicator === 'loading';
  return html`<li class="task-line" ?data-running=${running}>
    ${task.title ? html`<div class="task-title">${task.title}</div>` : nothing}
    ${task.content ? html`<div class="task-text">${markdown(task.content, live, labels)}</div>` : nothing}
    ${(task.sources ?? []).map(
      (source) =>
        html`<div class="task-text">${source.title ?? source.filename ?? source.url}</div>`,
    )}
  </li>`;
}
