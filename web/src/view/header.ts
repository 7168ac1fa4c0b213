/** The bar at the top: history, title, the host's own actions, new chat. */
import { html, nothing, type TemplateResult } from 'lit';
import type { ChatKitOptions } from '../options.js';
import type { View } from './context.js';
import { icon } from './icons.js';

type HostAction = NonNullable<NonNullable<ChatKitOptions['header']>['leftAction']>;

export function header(view: View): TemplateResult | typeof nothing {
  const { options, state, t, actions } = view;
  const { enabled = true, title, leftAction, rightAction } = options.header ?? {};
  if (!enabled) return nothing;
  const history = options.history?.enabled ?? true;
  const text = title?.text ?? state.thread?.title ?? '';
  return html`<header class="header" part="header">
    ${leftAction ? hostAction(leftAction) : nothing}
    ${
      history
        ? html`<button type="button" class="icon-button" id="history-button" aria-label=${t('history.title')}
            title=${t('history.title')} aria-expanded=${view.historyOpen} @click=${actions.toggleHistory}>
            ${icon('panel')}</button>`
        : nothing
    }
    <h1 class="title" part="title" dir="auto">${title?.enabled === false ? nothing : text}</h1>
    ${rightAction ? hostAction(rightAction) : nothing}
    <button type="button" class="icon-button" aria-label=${t('chat.new')} title=${t('chat.new')}
      @click=${() => actions.open(null)}>${icon('compose')}</button>
  </header>`;
}

function hostAction({ icon: name, onClick }: HostAction): TemplateResult {
  const label = name.replaceAll('-', ' ');
  return html`<button type="button" class="icon-button" aria-label=${label} title=${label}
    @click=${() => onClick()}>${icon(name)}</button>`;
}
