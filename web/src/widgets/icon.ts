/** Icons by the names of the protocol; their drawings are loaded with the first one. */
import { html, type TemplateResult } from 'lit';
import { Lazy, lazy } from '../chunks/lazy.js';
import { icon } from '../view/icons.js';

type IconSet = typeof import('../icons/icon-set.js');

const iconSet = new Lazy<IconSet>(() => import('../icons/icon-set.js'));

/** An icon that only decorates: its meaning is in the text beside it, or in its button's name. */
export function widgetIcon(name: string, size: string): TemplateResult {
  return html`<span class="w-icon" data-size=${size} aria-hidden="true">${lazy(
    iconSet,
    (set) => set.drawing(name),
    undefined,
    icon(name),
  )}</span>`;
}
