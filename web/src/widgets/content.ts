/** What a widget shows besides text: badges, icons, images and Markdown. */
import { html, type TemplateResult } from 'lit';
import type { JsonObject } from '../protocol.js';
import { markdown } from '../view/markdown-view.js';
import { color } from './colors.js';
import { widgetIcon } from './icon.js';
import { allowedImage } from './image-sources.js';
import { flag, ICON_SIZES, oneOf, shown, text } from './read.js';
import type { Component, Scope } from './scope.js';
import { block, styled } from './style.js';

const BADGE_COLORS = ['secondary', 'success', 'danger', 'warning', 'info', 'discovery'] as const;

export const badge: Component = ({ props }) =>
  html`<span class="w-badge" dir="auto" data-color=${oneOf(props, 'color', BADGE_COLORS) ?? 'secondary'}
    data-variant=${oneOf(props, 'variant', ['solid', 'soft', 'outline']) ?? 'soft'}
    data-size=${oneOf(props, 'size', ['sm', 'md', 'lg']) ?? 'sm'} ?data-pill=${flag(props, 'pill')}>${shown(props.label)}</span>`;

export const iconNode: Component = ({ props }) => {
  const size = oneOf(props, 'size', ICON_SIZES) ?? 'md';
  return html`<span class="w-icon-box" ${styled({ color: color(props.color, 'text') })}>${widgetIcon(shown(props.name), size)}</span>`;
};

export const markdownNode: Component = ({ props }, { surface }) =>
  html`<div class="w-markdown">${markdown(shown(props.value), flag(props, 'streaming'), surface.context.labels)}</div>`;

const FITS = ['cover', 'contain', 'fill', 'scale-down', 'none'] as const;
const POSITIONS = [
  'top left',
  'top',
  'top right',
  'left',
  'center',
  'right',
  'bottom left',
  'bottom',
  'bottom right',
] as const;

export const image: Component = ({ props, path }, scope) => {
  const alt = text(props, 'alt') ?? '';
  const src = source(shown(props.src), path, scope);
  const style = {
    ...block(props),
    'object-fit': oneOf(props, 'fit', FITS),
    'object-position': oneOf(props, 'position', POSITIONS),
  };
  const flush = flag(props, 'flush');
  if (src === null) return placeholder(props, alt, style, scope);
  return html`<img class="w-image" src=${src} alt=${alt} loading="lazy" decoding="async" referrerpolicy="no-referrer"
    draggable="false" ?data-frame=${flag(props, 'frame')} ?data-flush=${flush} ${styled(style)}
    @error=${() => scope.surface.failed(path, src)}>`;
};

/** The address of an image that may be loaded and has not failed to. */
export function source(src: string, path: string, { surface }: Scope): string | null {
  const allowed = allowedImage(src, surface.context.images);
  return allowed === null || surface.hasFailed(path, allowed) ? null : allowed;
}

function placeholder(
  props: JsonObject,
  alt: string,
  style: ReturnType<typeof block>,
  { surface }: Scope,
): TemplateResult {
  const { t } = surface.context;
  const name = alt === '' ? t('widget.image') : t('widget.image.named', { name: alt });
  return html`<span class="w-no-image" role="img" aria-label=${name} title=${name}
    ?data-frame=${flag(props, 'frame')} ?data-flush=${flag(props, 'flush')} ${styled(style)}>
    ${widgetIcon('square-image', 'lg')}<span class="w-no-image-text" dir="auto">${alt}</span>
  </span>`;
}
