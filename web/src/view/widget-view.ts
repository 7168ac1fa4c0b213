/** A widget among the messages; what shows it is loaded with the first one. */
import { html, nothing, type TemplateResult } from 'lit';
import { Lazy, lazy } from '../chunks/lazy.js';
import type { MarkdownLabels } from '../markdown-labels.js';
import type { WidgetItem } from '../protocol.js';
import { copyText } from './clipboard.js';
import type { View } from './context.js';
import { icon } from './icons.js';

type Widgets = typeof import('../widgets/widgets.js');

export const widgetPart = new Lazy<Widgets>(() => import('../widgets/widgets.js'));

export function widgetItem(
  item: WidgetItem,
  view: View,
  labels: MarkdownLabels,
  live: boolean,
): TemplateResult {
  const { t, locale, state, actions, options } = view;
  const body = lazy(
    widgetPart,
    (part) =>
      part.widgetView(item.widget, {
        id: `widget-${item.id}`,
        t,
        locale,
        labels,
        images: part.imageSources(options.api.url, state.thread?.allowed_image_domains),
        blocked: state.answering,
        fresh: state.answering,
        act: (action) => actions.act(action, item),
        complain: actions.complain,
      }),
    html`<div class="quiet loading" role="status">${t('widget.loading')}</div>`,
    html`<div class="quiet" role="status">${t('widget.without')}</div>`,
  );
  return html`<article class="message widget-item" part="widget-item" aria-label=${t('message.widget')} ?data-live=${live}>
    ${body} ${live || !item.copy_text ? nothing : copyButton(item.copy_text, view)}
  </article>`;
}

function copyButton(text: string, { t }: View): TemplateResult {
  const copy = (event: Event): void => {
    if (event.currentTarget instanceof HTMLElement) {
      void copyText(event.currentTarget, text, t('message.copied'));
    }
  };
  return html`<div class="message-actions" part="message-actions" data-last>
    <button type="button" class="icon-button copy" aria-label=${t('message.copy')} title=${t('message.copy')}
      @click=${copy}>${icon('copy')}${icon('check')}</button>
  </div>`;
}
