/** What a component asks for when it is used, and what it sends along. */
import type { JsonObject } from '../protocol.js';
import { isObject } from './node.js';

export type Loading = 'none' | 'self' | 'container';

export interface ActionConfig {
  type: string;
  payload: unknown;
  handler: 'server' | 'client';
  loadingBehavior: Loading | 'auto';
  streaming: boolean;
}

/** An action on its way: with the values of its form. */
export interface WidgetAction {
  type: string;
  payload: unknown;
  handler: 'server' | 'client';
  streaming: boolean;
}

/** An action as a widget has it; `null` when it is none. */
export function readAction(value: unknown): ActionConfig | null {
  if (!isObject(value) || typeof value.type !== 'string') return null;
  const loading = value.loadingBehavior;
  return {
    type: value.type,
    payload: value.payload ?? null,
    handler: value.handler === 'client' ? 'client' : 'server',
    loadingBehavior:
      loading === 'none' || loading === 'self' || loading === 'container' ? loading : 'auto',
    streaming: value.streaming !== false,
  };
}

/** Names that are properties of every object: a field of such a name would reach them. */
const RESERVED = new Set(['__proto__', 'constructor', 'prototype']);

/** Deepest nesting that a dotted name makes. */
const MAX_PARTS = 12;

/** Values by dotted names as nested objects: `todo.title` becomes `{todo: {title}}`. */
export function nest(values: Iterable<readonly [string, unknown]>): JsonObject {
  const nested: JsonObject = {};
  for (const [name, value] of values) {
    const parts = name.split('.');
    const last = parts.pop();
    if (last === undefined || parts.length >= MAX_PARTS) continue;
    if (RESERVED.has(last) || parts.some((part) => RESERVED.has(part))) continue;
    let place: JsonObject = nested;
    for (const part of parts) {
      const inner = place[part];
      if (isObject(inner)) place = inner;
      else {
        const made: JsonObject = {};
        place[part] = made;
        place = made;
      }
    }
    place[last] = value;
  }
  return nested;
}

/**
 * The payload with the values of the form in it. What the payload names already stays as it is; the
 * names of the values that were dropped for it come back, dotted.
 */
export function merged(
  payload: unknown,
  values: JsonObject | null,
): { payload: unknown; dropped: string[] } {
  if (values === null || Object.keys(values).length === 0) return { payload, dropped: [] };
  if (payload === null || payload === undefined) return { payload: values, dropped: [] };
  if (!isObject(payload)) return { payload, dropped: Object.keys(values) };
  const dropped: string[] = [];
  return { payload: combine(payload, values, '', dropped), dropped };
}

function combine(
  base: JsonObject,
  values: JsonObject,
  prefix: string,
  dropped: string[],
): JsonObject {
  const result: JsonObject = { ...base };
  for (const [name, value] of Object.entries(values)) {
    const known = Object.hasOwn(base, name) ? base[name] : undefined;
    if (!Object.hasOwn(base, name)) result[name] = value;
    else if (isObject(known) && isObject(value)) {
      result[name] = combine(known, value, `${prefix}${name}.`, dropped);
    } else dropped.push(prefix + name);
  }
  return result;
}
