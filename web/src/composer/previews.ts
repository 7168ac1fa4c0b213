/** A card beside a tag or an option that says more of its entity, once the host has said it. */
import type { Entity } from '@openai/chatkit';
import { html, type LitElement, nothing, type TemplateResult } from 'lit';
import { styled } from '../controls/styled.js';
import type { ChatKitOptions } from '../options.js';
import { previewBody } from './preview-body.js';
import css from './previews.css';

export const styles = css;

type Preview = Awaited<
  ReturnType<NonNullable<NonNullable<ChatKitOptions['entities']>['onRequestPreview']>>
>['preview'];

/** A pointer that passes by asks for nothing. */
const DELAY = 200;
const MAX_KNOWN = 100;
const WIDTH = 280;
const MARGIN = 8;

type Request = NonNullable<ChatKitOptions['entities']>['onRequestPreview'];

class Previews {
  readonly #host: LitElement;
  readonly #known = new Map<string, Preview>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked = 0;
  #shown: { entity: Entity; preview: NonNullable<Preview>; place: Record<string, string> } | null =
    null;

  constructor(host: LitElement) {
    this.#host = host;
  }

  /** Shows what the host says of an entity when it is asked by `request`. */
  show(entity: Entity, anchor: Element, request: Request): void {
    this.hide();
    if (!request) return;
    const asked = this.#asked;
    this.#timer = setTimeout(() => void this.#ask(entity, anchor, request, asked), DELAY);
  }

  hide(): void {
    clearTimeout(this.#timer);
    this.#asked += 1;
    if (!this.#shown) return;
    this.#shown = null;
    this.#host.requestUpdate();
  }

  /** @param body Makes what is shown of an entity and its widget. */
  render(
    body: (entity: Entity, widget: unknown) => unknown = previewBody,
  ): TemplateResult | typeof nothing {
    if (!this.#shown) return nothing;
    const { entity, preview, place } = this.#shown;
    return html`<div class="preview" part="preview" role="tooltip" ${styled(place)}>
      ${body(entity, preview)}
    </div>`;
  }

  async #ask(
    entity: Entity,
    anchor: Element,
    request: NonNullable<Request>,
    asked: number,
  ): Promise<void> {
    const key = JSON.stringify([entity.id, entity.group]);
    let preview = this.#known.get(key);
    if (preview === undefined) {
      try {
        preview = (await request(entity)).preview ?? null;
      } catch {
        return; // the host hears of its own errors; a preview is no reason to disturb
      }
      if (this.#known.size >= MAX_KNOWN) this.#known.clear();
      this.#known.set(key, preview);
    }
    if (asked !== this.#asked || !preview || !anchor.isConnected) return;
    const root = this.#host.renderRoot.querySelector('.root');
    if (!root) return;
    this.#shown = { entity, preview, place: placeBeside(anchor, root) };
    this.#host.requestUpdate();
  }
}

/** Beside the anchor where there is room, else above or below it. */
function placeBeside(anchor: Element, root: Element): Record<string, string> {
  const box = (anchor.closest('.popup') ?? anchor).getBoundingClientRect();
  const own = anchor.getBoundingClientRect();
  const frame = root.getBoundingClientRect();
  const width = Math.min(WIDTH, frame.width - 2 * MARGIN);
  const px = (value: number): string => `${Math.round(value)}px`;
  const sideways = { width: px(width), bottom: px(Math.max(MARGIN, frame.bottom - own.bottom)) };
  if (anchor !== anchor.closest('.tag') && frame.right - box.right > width + 2 * MARGIN) {
    return { ...sideways, left: px(box.right - frame.left + MARGIN) };
  }
  if (anchor !== anchor.closest('.tag') && box.left - frame.left > width + 2 * MARGIN) {
    return { ...sideways, right: px(frame.right - box.left + MARGIN) };
  }
  const left = Math.min(Math.max(MARGIN, own.left - frame.left), frame.width - width - MARGIN);
  const above = box.top - frame.top;
  const below = frame.bottom - box.bottom;
  const upright: Record<string, string> =
    above >= below || above > 160
      ? { bottom: px(frame.bottom - box.top + MARGIN), 'max-height': px(above - 2 * MARGIN) }
      : { top: px(box.bottom - frame.top + MARGIN), 'max-height': px(below - 2 * MARGIN) };
  return { width: px(width), left: px(left), ...upright };
}

const made = new WeakMap<LitElement, Previews>();

/** The one card of an element. */
export function previews(host: LitElement): Previews {
  let found = made.get(host);
  if (!found) {
    found = new Previews(host);
    made.set(host, found);
  }
  return found;
}
