/** The box model of components as style properties, and the directive that sets them. */
import { nothing } from 'lit';
import {
  Directive,
  type DirectiveResult,
  directive,
  type ElementPart,
  type PartInfo,
  PartType,
} from 'lit/directive.js';
import type { JsonObject } from '../protocol.js';
import { color, plainCss } from './colors.js';
import { isObject } from './node.js';
import { oneOf } from './read.js';

export type Style = Record<string, string | number | undefined>;

const RADII: Record<string, string> = {
  '2xs': '2px',
  xs: '4px',
  sm: '6px',
  md: '8px',
  lg: '10px',
  xl: '12px',
  '2xl': '16px',
  '3xl': '20px',
  '4xl': '24px',
};

const FLEX: Record<string, string> = {
  start: 'flex-start',
  end: 'flex-end',
  between: 'space-between',
  around: 'space-around',
  evenly: 'space-evenly',
};

const LINES = ['solid', 'dashed', 'dotted', 'double', 'groove', 'ridge', 'inset', 'outset'];

/** No component is larger than this in any direction. */
const MAX_PIXELS = 10_000;

/** A length: numbers are pixels. */
export function length(value: unknown): string | undefined {
  return typeof value === 'number' ? bounded(value, 1, 'px') : plainCss(value);
}

/** A distance: numbers are steps of the spacing scale. */
export function space(value: unknown): string | undefined {
  if (typeof value !== 'number') return plainCss(value);
  const steps = bounded(value, 4, '');
  return steps && `calc(var(--u) * ${steps})`;
}

function bounded(value: number, unit: number, suffix: string): string | undefined {
  if (!Number.isFinite(value) || Math.abs(value) * unit > MAX_PIXELS) return undefined;
  return `${value}${suffix}`;
}

export function radius(value: unknown): string | undefined {
  if (value === 'none') return '0';
  if (value === 'full') return '9999px';
  if (value === '100%') return '100%';
  // A theme with sharper corners has them everywhere.
  const size = typeof value === 'string' && Object.hasOwn(RADII, value) ? RADII[value] : undefined;
  return size && `min(${size}, var(--chatkeep-radius))`;
}

const SIDES: Record<string, [string, string, string]> = {
  'block-start': ['top', 'y', 'top'],
  'block-end': ['bottom', 'y', 'bottom'],
  'inline-start': ['left', 'x', 'left'],
  'inline-end': ['right', 'x', 'right'],
};

/** `padding` or `margin` of all sides; left and right follow the direction of the script. */
export function spacing(name: 'padding' | 'margin', value: unknown): Style {
  const style: Style = {};
  for (const [side, [own, axis]] of Object.entries(SIDES)) {
    const given = isObject(value) ? (value[own] ?? value[axis]) : value;
    style[`${name}-${side}`] = space(given);
  }
  return style;
}

export function borders(value: unknown): Style {
  const style: Style = {};
  const whole = typeof value === 'number' || (isObject(value) && 'size' in value);
  for (const [side, [own, axis]] of Object.entries(SIDES)) {
    const given = whole || !isObject(value) ? value : (value[own] ?? value[axis]);
    const line = border(given);
    if (line) style[`border-${side}`] = line;
  }
  return style;
}

function border(value: unknown): string | undefined {
  if (typeof value === 'number') return `${length(value) ?? 0} solid var(--line)`;
  if (!isObject(value) || typeof value.size !== 'number') return undefined;
  const line = LINES.find((kind) => kind === value.style) ?? 'solid';
  return `${length(value.size) ?? 0} ${line} ${color(value.color, 'border') ?? 'var(--line)'}`;
}

/** Size, place and shape: what every block component takes. */
export function block(props: JsonObject): Style {
  const { size, minSize, maxSize } = props;
  return {
    width: length(props.width ?? size),
    height: length(props.height ?? size),
    'min-width': length(props.minWidth ?? minSize),
    'min-height': length(props.minHeight ?? minSize),
    'max-width': length(props.maxWidth ?? maxSize),
    'max-height': length(props.maxHeight ?? maxSize),
    'aspect-ratio': ratio(props.aspectRatio),
    'border-radius': radius(props.radius),
    flex: flex(props.flex),
    ...(props.margin === undefined ? {} : spacing('margin', props.margin)),
    ...background(props.background),
  };
}

export function background(value: unknown): Style {
  const css = color(value, 'background');
  if (!css) return {};
  return /gradient\(/.test(css) ? { 'background-image': css } : { 'background-color': css };
}

function ratio(value: unknown): string | undefined {
  return typeof value === 'number' ? String(value) : plainCss(value);
}

function flex(value: unknown): string | undefined {
  return typeof value === 'number' ? `${value} ${value} 0%` : plainCss(value);
}

/** What a container does with its children. */
export function container(props: JsonObject, direction: 'row' | 'col'): Style {
  const align = oneOf(props, 'align', ['start', 'center', 'end', 'baseline', 'stretch']);
  const justify = oneOf(props, 'justify', [
    'start',
    'center',
    'end',
    'between',
    'around',
    'evenly',
    'stretch',
  ]);
  return {
    'flex-direction': direction === 'row' ? 'row' : 'column',
    'align-items': align && (FLEX[align] ?? align),
    'justify-content': justify && (FLEX[justify] ?? justify),
    'flex-wrap': oneOf(props, 'wrap', ['nowrap', 'wrap', 'wrap-reverse']),
    gap: space(props.gap),
    ...(props.padding === undefined ? {} : spacing('padding', props.padding)),
    ...borders(props.border),
  };
}

/**
 * Sets style properties one by one through the CSSOM: a strict policy allows that, and a value
 * cannot reach beyond its property.
 */
class StyledDirective extends Directive {
  #set = new Map<string, string>();

  constructor(part: PartInfo) {
    super(part);
    if (part.type !== PartType.ELEMENT) throw new Error('styled() belongs into a tag.');
  }

  render(_style: Style): unknown {
    return nothing;
  }

  override update(part: ElementPart, [style]: [Style]): unknown {
    const target = (part.element as HTMLElement).style;
    const next = new Map<string, string>();
    for (const [name, value] of Object.entries(style)) {
      if (value !== undefined && value !== '') next.set(name, String(value));
    }
    for (const name of this.#set.keys()) if (!next.has(name)) target.removeProperty(name);
    for (const [name, value] of next) {
      if (this.#set.get(name) === value) continue;
      target.removeProperty(name);
      target.setProperty(name, value);
    }
    this.#set = next;
    return nothing;
  }
}

const directed = directive(StyledDirective);

export function styled(style: Style): DirectiveResult {
  return directed(style);
}
