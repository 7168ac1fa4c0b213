/** Headings, text and labels. */
import { html, type TemplateResult } from 'lit';
import type { JsonObject } from '../protocol.js';
import { color } from './colors.js';
import { editableText } from './fields.js';
import { isObject } from './node.js';
import {
  ALIGNS,
  flag,
  number,
  oneOf,
  shown,
  TEXT_SIZES,
  TITLE_SIZES,
  text,
  WEIGHTS,
} from './read.js';
import { type Component, fieldId, labelId } from './scope.js';
import { length, type Style, styled } from './style.js';

/** No text is cut or kept open for more lines than this. */
const MAX_LINES = 200;

function lines(props: JsonObject, name: string): number | undefined {
  const value = number(props, name);
  return value !== undefined && value >= 1 ? Math.min(Math.floor(value), MAX_LINES) : undefined;
}

function textStyle(props: JsonObject): Style {
  const clamp = lines(props, 'maxLines');
  const least = lines(props, 'minLines');
  return {
    color: color(props.color, 'text'),
    'text-align': oneOf(props, 'textAlign', ALIGNS),
    '-webkit-line-clamp': clamp,
    'min-height': least && `${least}lh`,
    width: length(props.width),
  };
}

interface Look {
  size: string;
  weight: string | undefined;
  cut: string | undefined;
}

function look(props: JsonObject, sizes: readonly string[]): Look {
  const cut = flag(props, 'truncate') ? 'line' : lines(props, 'maxLines') && 'lines';
  return {
    size: oneOf(props, 'size', sizes) ?? 'md',
    weight: oneOf(props, 'weight', WEIGHTS),
    cut: cut || undefined,
  };
}

export const title: Component = ({ props }) => {
  const { size, weight, cut } = look(props, TITLE_SIZES);
  return html`<h2 class="w-text w-title" dir="auto" data-size=${size} data-weight=${weight ?? 'semibold'}
    data-cut=${cut ?? 'no'} ${styled(textStyle(props))}>${shown(props.value)}</h2>`;
};

export const caption: Component = ({ props }) => {
  const { size, weight, cut } = look(props, ['sm', 'md', 'lg']);
  return html`<div class="w-text w-caption" dir="auto" data-size=${size} data-weight=${weight ?? 'normal'}
    data-cut=${cut ?? 'no'} ${styled(textStyle(props))}>${shown(props.value)}</div>`;
};

export const textNode: Component = (node, scope) => {
  const { props } = node;
  if (isObject(props.editable) && text(props.editable, 'name')) {
    return editableText(node, props.editable, scope, textStyle(props));
  }
  const { size, weight, cut } = look(props, TEXT_SIZES);
  return html`<p class="w-text w-plain" dir="auto" data-size=${size} data-weight=${weight ?? 'normal'}
    data-cut=${cut ?? 'no'} ?data-italic=${flag(props, 'italic')} ?data-struck=${flag(props, 'lineThrough')}
    ?data-streaming=${flag(props, 'streaming')} ${styled(textStyle(props))}>${shown(props.value)}</p>`;
};

export const label: Component = ({ props }, scope): TemplateResult => {
  const name = text(props, 'fieldName') ?? '';
  const { size, weight } = look({ size: 'sm', ...props }, TEXT_SIZES);
  return html`<label class="w-text w-label" dir="auto" id=${labelId(scope, name) ?? ''} for=${fieldId(scope, name)}
    data-size=${size} data-weight=${weight ?? 'medium'} ${styled(textStyle(props))}>${shown(props.value)}</label>`;
};
