/** An image that a model makes: a frame that fills while it comes, and can be saved afterwards. */
import { html, nothing, type TemplateResult } from 'lit';
import type { GeneratedImageItem } from '../protocol.js';
import type { View } from '../view/context.js';
import { icon } from '../view/icons.js';

const IMAGE = /^(?:https?:\/\/|blob:|\/|data:image\/(?:png|jpeg|gif|webp|avif);)/i;

export function generatedImage(
  item: GeneratedImageItem,
  { t }: View,
  live: boolean,
): TemplateResult {
  const url = item.image && IMAGE.test(item.image.url) ? item.image.url : null;
  const percent = Math.round(Math.min(1, Math.max(0, item.progress ?? 0)) * 100);
  return html`<figure class="generated" part="generated-image" ?data-live=${live} aria-busy=${live}>
    ${
      url
        ? html`<img src=${url} alt=${t(live ? 'image.coming' : 'image.done')} referrerpolicy="no-referrer">`
        : html`<div class="blank"></div>`
    }
    ${
      live
        ? html`<progress max="100" .value=${percent} aria-label=${t('image.coming')}></progress>`
        : nothing
    }
    ${
      url && !live
        ? html`<figcaption>
            <a class="icon-button" href=${url} download="image" target="_blank" rel="noopener noreferrer"
              aria-label=${t('image.save')} title=${t('image.save')}>${icon('arrowDown')}</a>
          </figcaption>`
        : nothing
    }
  </figure>`;
}
