/** An answer: its text, its sources and what can be done with it; and the work that led to it. */
import { html, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { answerText } from '../items.js';
import type { MarkdownLabels } from '../markdown-labels.js';
import type { AssistantMessageItem, Source, Task, TaskItem, WorkflowItem } from '../protocol.js';
import { citedText, type NumberedSource, numberSources } from '../sources.js';
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
  const cited = numberSources(item);
  const open = state.live || state.partial;
  return html`<article class="message answer" part="assistant-message" aria-label=${t('message.answer')}
    data-item=${item.id}
    ?data-live=${state.live}>
    ${item.content.map((part) => markdown(citedText(part, item), open, labels, cited))}
    ${sources(item.id, cited, view)} ${state.live ? nothing : answerActions(item, view, state)}
  </article>`;
}

function sources(
  itemId: string,
  list: readonly NumberedSource[],
  { t }: View,
): TemplateResult | typeof nothing {
  if (list.length === 0) return nothing;
  const name = t('message.sources');
  return html`<section class="sources" part="sources">
    <h4 id="sources-${itemId}">${name}</h4>
    <ol aria-label=${name}>
      ${list.map(({ number, title, href, detail, source }) => {
        const body = html`<span class="number">${number}</span>
          <span class="source-title">${title}</span>
          ${detail && detail !== title ? html`<span class="source-detail">${detail}</span>` : nothing}`;
        return html`<li>
          ${
            href
              ? html`<a href=${href} target="_blank" rel="noopener noreferrer" data-source=${number}>${body}</a>`
              : source.type === 'entity' && source.interactive
                ? html`<button type="button" class="source" data-source=${number}>${body}</button>`
                : html`<span class="source" data-source=${number}>${body}</span>`
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
  const { expanded, tasks } = item.workflow;
  return html`<details class="work" part="workflow" ?open=${live || expanded === true} ?data-live=${live}>
    <summary>
      ${icon('chevron')}<span>${live ? liveTitle(item, view) : doneTitle(item, view)}</span>
    </summary>
    <ol>
      ${repeat(
        tasks,
        (_task, index) => index,
        (task) => taskLine(task, live, view, labels),
      )}
    </ol>
  </details>`;
}

/** Thoughts run under one name; other work says what it is at. */
function liveTitle({ workflow: { type, tasks, summary } }: WorkflowItem, { t }: View): string {
  if (type === 'reasoning') return t('work.running');
  const last = tasks.at(-1);
  return summary?.title || last?.title || last?.title_query || t('work.doing');
}

function doneTitle({ workflow: { summary, type } }: WorkflowItem, { t }: View): string {
  if (summary?.title) return summary.title;
  if (typeof summary?.duration !== 'number')
    return t(type === 'reasoning' ? 'work.done' : 'work.steps');
  const seconds = Math.max(1, Math.round(summary.duration));
  if (seconds < 60) return t('work.seconds', { seconds });
  return t('work.minutes', { minutes: Math.floor(seconds / 60), seconds: seconds % 60 });
}

/** A task that stands by itself in the conversation. */
export function loneTask(
  item: TaskItem,
  view: View,
  labels: MarkdownLabels,
  live: boolean,
): TemplateResult {
  return html`<ul class="work lone" part="workflow">
    ${taskLine(item.task, live, view, labels)}
  </ul>`;
}

const TASK_ICONS: Record<string, string> = {
  web_search: 'search',
  file: 'document',
  image: 'images',
  thought: 'bulb',
};

function taskLine(task: Task, live: boolean, { t }: View, labels: MarkdownLabels): TemplateResult {
  const status = task.status_indicator;
  const running = live && status === 'loading';
  const title = task.title || task.title_query || '';
  const symbol = task.icon ?? TASK_ICONS[task.type];
  const links = (task.sources ?? []).map(taskSource);
  return html`<li class="task-line" ?data-running=${running} data-type=${task.type}>
    ${
      title
        ? html`<div class="task-title">${symbol ? icon(symbol) : nothing}<span>${title}</span>
            ${status === 'complete' ? html`<span class="task-done" role="img" aria-label=${t('work.complete')}>${icon('check')}</span>` : nothing}</div>`
        : nothing
    }
    ${
      (task.queries ?? []).length > 0
        ? html`<ul class="queries">
            ${task.queries?.map((query) => html`<li>${query}</li>`)}
          </ul>`
        : nothing
    }
    ${task.content ? html`<div class="task-text">${markdown(task.content, live, labels)}</div>` : nothing}
    ${links.length > 0 ? html`<ul class="task-sources">${links}</ul>` : nothing}
  </li>`;
}

function taskSource(source: Source): TemplateResult {
  const name = source.title || source.filename || source.url;
  const href = source.url && /^https?:\/\//i.test(source.url) ? source.url : null;
  return html`<li>${
    href ? html`<a href=${href} target="_blank" rel="noopener noreferrer">${name}</a>` : name
  }</li>`;
}
