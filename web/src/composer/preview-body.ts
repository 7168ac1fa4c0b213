/** What a preview shows: the entity's name, and the texts of the widget that the host gave. */
import type { Entity } from '@openai/chatkit';
import { html, nothing, type TemplateResult } from 'lit';

const MAX_TEXTS = 12;

export function previewBody(entity: Entity, widget: unknown): TemplateResult {
  const texts = [...textsOf(widget)].filter((text) => text !== entity.title).slice(0, MAX_TEXTS);
  return html`${entity.group ? html`<span class="preview-group" dir="auto">${entity.group}</span>` : nothing}
    <strong class="preview-title" dir="auto">${entity.title}</strong>
    ${texts.map((text) => html`<span class="preview-text" dir="auto">${text}</span>`)}`;
}

function* textsOf(node: unknown): Generator<string> {
  if (Array.isArray(node)) {
    for (const child of node) yield* textsOf(child);
  } else if (typeof node === 'object' && node !== null) {
    const { value, label, children } = node as Record<string, unknown>;
    for (const text of [value, label]) if (typeof text === 'string' && text !== '') yield text;
    yield* textsOf(children);
  }
}
