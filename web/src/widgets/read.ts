/** Properties of a component, each read as what it should be or not at all. */
import type { JsonObject } from '../protocol.js';
import { isObject } from './node.js';

export function text(props: JsonObject, name: string): string | undefined {
  const value = props[name];
  return typeof value === 'string' ? value : undefined;
}

/** Text to show: numbers and truth values are written out, everything else is nothing. */
export function shown(value: unknown): string {
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : '';
}

export function number(props: JsonObject, name: string): number | undefined {
  const value = props[name];
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

export function flag(props: JsonObject, name: string): boolean {
  return props[name] === true;
}

export function oneOf<T extends string>(
  props: JsonObject,
  name: string,
  allowed: readonly T[],
): T | undefined {
  return allowed.find((value) => value === props[name]);
}

export function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

export const TEXT_SIZES = ['xs', 'sm', 'md', 'lg', 'xl'] as const;
export const TITLE_SIZES = ['sm', 'md', 'lg', 'xl', '2xl', '3xl', '4xl', '5xl'] as const;
export const ICON_SIZES = ['xs', 'sm', 'md', 'lg', 'xl', '2xl', '3xl'] as const;
export const CONTROL_SIZES = ['3xs', '2xs', 'xs', 'sm', 'md', 'lg', 'xl', '2xl', '3xl'] as const;
export const GUTTERS = ['2xs', 'xs', 'sm', 'md', 'lg', 'xl'] as const;
export const VARIANTS = ['solid', 'soft', 'outline', 'ghost'] as const;
export const WEIGHTS = ['normal', 'medium', 'semibold', 'bold'] as const;
export const ALIGNS = ['start', 'center', 'end'] as const;
