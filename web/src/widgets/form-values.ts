/** The values of a form: what was typed, chosen and ticked in it, by name. */
import type { JsonObject } from '../protocol.js';
import { nest } from './actions.js';

/** Text as it was typed, ticks as truth values, and `null` for what was not chosen. */
export function formValues(form: HTMLFormElement): JsonObject {
  const values = new Map<string, unknown>();
  for (const field of form.elements) {
    if (field instanceof HTMLTextAreaElement && field.name) values.set(field.name, field.value);
    if (!(field instanceof HTMLInputElement) || !field.name) continue;
    const name = field.dataset.name ?? field.name;
    if (field.type === 'checkbox') values.set(name, field.checked);
    else if (field.type === 'radio') {
      if (field.checked || !values.has(name)) values.set(name, field.checked ? field.value : null);
    } else if (field.type === 'hidden') values.set(name, field.value === '' ? null : field.value);
    else values.set(name, field.value);
  }
  return nest(values);
}
