/** The files of a message that was sent. */
import { html, nothing, type TemplateResult } from 'lit';
import type { Translate } from '../locales.js';
import type { Attachment } from '../protocol.js';
import { type IconName, icon } from './icons.js';

const BY_TYPE: [RegExp, IconName][] = [
  [/^image\//, 'image'],
  [/^audio\//, 'sound'],
  [/^video\//, 'film'],
  [/zip|tar|compress|archive/, 'box'],
  [/csv|spreadsheet|excel/, 'chart'],
  [/json|xml|html|javascript|typescript|x-python|x-sh|css/, 'code'],
];

export function fileIcon(mimeType: string): IconName {
  return BY_TYPE.find(([type]) => type.test(mimeType))?.[1] ?? 'document';
}

export function sentFiles(
  files: readonly Attachment[],
  t: Translate,
  sizeOf: (file: Attachment) => string | null,
): TemplateResult | typeof nothing {
  if (files.length === 0) return nothing;
  return html`<ul class="files" part="files" aria-label=${t('message.attachments')}>
    ${files.map((file) =>
      file.type === 'image' && file.preview_url
        ? html`<li class="picture"><a href=${file.preview_url} target="_blank" rel="noopener noreferrer">
            <img src=${file.preview_url} alt=${file.name} title=${file.name} loading="lazy" /></a></li>`
        : html`<li class="file">${icon(fileIcon(file.mime_type ?? ''))}<span class="file-name" dir="auto">${file.name}</span>
            <span class="file-size">${sizeOf(file) ?? nothing}</span></li>`,
    )}
  </ul>`;
}
