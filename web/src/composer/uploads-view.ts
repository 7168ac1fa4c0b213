/** The files of the message that is being written. */
import { html, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { styled } from '../controls/styled.js';
import type { Translate } from '../locales.js';
import { fileIcon } from '../view/files.js';
import { icon } from '../view/icons.js';
import { bytes } from './limits.js';
import type { Upload } from './upload.js';

export interface UploadListModel {
  uploads: readonly Upload[];
  locale: string;
  t: Translate;
  disabled: boolean;
  remove(upload: Upload): void;
}

export function uploadList(model: UploadListModel): TemplateResult {
  const { uploads, t } = model;
  return html`<ul class="uploads" part="attachments" aria-label=${t('message.attachments')}>
    ${repeat(
      uploads,
      (upload) => upload.key,
      (upload) => card(upload, model),
    )}
  </ul>`;
}

function card(upload: Upload, { t, locale, disabled, remove }: UploadListModel): TemplateResult {
  const { name, state, preview } = upload;
  return html`<li class="upload" part="attachment" data-state=${state} ?data-image=${preview !== null}>
    <span class="upload-face">
      ${preview ? html`<img src=${preview} alt="" />` : icon(fileIcon(upload.mimeType))}
      ${state === 'sending' ? progress(upload, t) : nothing}
    </span>
    <span class="upload-text">
      <span class="upload-name" dir="auto" title=${name}>${name}</span>
      <span class="upload-detail" role=${state === 'failed' ? 'alert' : nothing}>${
        state === 'failed'
          ? (upload.message ?? t('attach.failed'))
          : upload.size === null
            ? nothing
            : bytes(upload.size, locale)
      }</span>
    </span>
    ${
      state === 'failed'
        ? html`<button type="button" class="upload-button" aria-label=${t('attach.retry', { name })}
            title=${t('message.retry')} .disabled=${disabled} @click=${() => upload.retry()}>${icon('retry')}</button>`
        : nothing
    }
    <button type="button" class="upload-button" aria-label=${t('composer.remove', { name })}
      title=${t('composer.remove', { name })} .disabled=${disabled} @click=${() => remove(upload)}>${icon('close')}</button>
  </li>`;
}

function progress({ name, progress: share }: Upload, t: Translate): TemplateResult {
  const percent = share === null ? null : Math.round(share * 100);
  return html`<span class="upload-progress" role="progressbar" aria-label=${t('attach.progress', { name })}
    aria-valuemin="0" aria-valuemax="100" aria-valuenow=${percent ?? nothing} ?data-unknown=${percent === null}
    ${styled({ '--done': `${percent ?? 25}%` })}></span>`;
}
