/** Errors, notices and the state of the connection. */
import { html, nothing, type TemplateResult } from 'lit';
import type { MessageKey } from '../locales.js';
import type { MarkdownLabels } from '../markdown-labels.js';
import type { Alert } from '../state.js';
import type { View } from './context.js';
import { icon } from './icons.js';
import { markdown } from './markdown-view.js';

const FALLBACKS: Record<Alert['kind'], MessageKey> = {
  stream: 'error.stream',
  request: 'error.request',
  offline: 'error.offline',
  'signed-out': 'error.signed-out',
  busy: 'error.busy',
};

/** An error of the answer itself stands where the answer would stand. */
export function streamAlert(view: View): TemplateResult | typeof nothing {
  return view.state.alert?.kind === 'stream' ? alertBox(view, view.state.alert) : nothing;
}

/** Everything that concerns the next message stands above the composer. */
export function footNotices(view: View, labels: MarkdownLabels): TemplateResult {
  const { state, t, actions } = view;
  return html`<div class="notices">
    ${state.notices.map(
      (
        notice,
      ) => html`<div class="notice" part="notice" role=${notice.level === 'danger' ? 'alert' : 'status'}
        data-level=${notice.level}>
        ${icon(notice.level === 'info' ? 'info' : 'alert')}
        <div class="notice-text">
          ${notice.title ? html`<strong>${notice.title}</strong>` : nothing}
          ${markdown(notice.message, false, labels)}
        </div>
        <button type="button" class="icon-button" aria-label=${t('notice.dismiss')}
          @click=${() => actions.dismissNotice(notice.id)}>${icon('close')}</button>
      </div>`,
    )}
    ${state.alert && state.alert.kind !== 'stream' ? alertBox(view, state.alert) : nothing}
    ${
      state.reconnecting
        ? html`<div class="connection" role="status"><span class="pulse"></span>${t('status.reconnecting')}</div>`
        : nothing
    }
  </div>`;
}

function alertBox({ t, actions, state }: View, alert: Alert): TemplateResult {
  const retry = alert.allowRetry && !state.answering;
  return html`<div class="notice" part="alert" role="alert" data-level="danger">
    ${icon('alert')}
    <div class="notice-text">${alert.message ?? t(FALLBACKS[alert.kind])}</div>
    ${retry ? html`<button type="button" class="text-button" @click=${actions.retry}>${icon('retry')}${t('message.retry')}</button>` : nothing}
    <button type="button" class="icon-button" aria-label=${t('notice.dismiss')}
      @click=${actions.dismissAlert}>${icon('close')}</button>
  </div>`;
}
