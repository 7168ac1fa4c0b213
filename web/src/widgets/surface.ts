/**
 * One widget on the screen: what its components remember between renderings (an open list, a chosen
 * date), and which of its actions are under way.
 */
import type { Translate } from '../locales.js';
import type { MarkdownLabels } from '../markdown-labels.js';
import type { JsonObject } from '../protocol.js';
import { type ActionConfig, type Loading, merged, type WidgetAction } from './actions.js';
import type { ImageSources } from './image-sources.js';

/** What a widget needs of the place where it is shown. */
export interface WidgetContext {
  /** Unique among the widgets on the page; ids of elements begin with it. */
  id: string;
  t: Translate;
  locale: string;
  labels: MarkdownLabels;
  images: ImageSources;
  /** An answer is being written: actions that would begin another one have to wait. */
  blocked: boolean;
  /** It came just now, so a field may take the focus; in a conversation of old none may. */
  fresh: boolean;
  /**
   * Carries out an action; it resolves or rejects when that is over. What went wrong is told by who
   * carries it out.
   */
  act(action: WidgetAction): Promise<void>;
  /** A programmer's mistake in the widget, for the page's log. */
  complain(message: string): void;
}

export class Surface {
  context: WidgetContext;
  /** Finds the shadow root or document that the widget is in. */
  place: () => Node | null = () => null;
  readonly #redraw: () => void;
  readonly #memory = new Map<string, unknown>();
  readonly #loading = new Map<string, number>();
  #inert = 0;
  #returnFocus: HTMLElement | null = null;

  constructor(context: WidgetContext, redraw: () => void) {
    this.context = context;
    this.#redraw = redraw;
  }

  /** The whole widget waits for an action. */
  get inert(): boolean {
    return this.#inert > 0;
  }

  requestUpdate(): void {
    this.#redraw();
  }

  /** An element of this widget by its id. */
  find(id: string): HTMLElement | null {
    const place = this.place();
    return place && 'querySelector' in place
      ? (place as ParentNode).querySelector<HTMLElement>(`#${CSS.escape(id)}`)
      : null;
  }

  /** What the component at the path remembers, made when it is first asked for. */
  memory<T>(path: string, make: () => T): T {
    const known = this.#memory.get(path) as T | undefined;
    if (known !== undefined) return known;
    const value = make();
    this.#memory.set(path, value);
    return value;
  }

  /** Notes that an image could not be had. */
  failed(path: string, src: string): void {
    this.#memory.set(`${path} failed`, src);
    this.requestUpdate();
  }

  hasFailed(path: string, src: string): boolean {
    return this.#memory.get(`${path} failed`) === src;
  }

  /** The component at the path waits for its action. */
  loading(path: string): boolean {
    return (this.#loading.get(path) ?? 0) > 0;
  }

  /** Whether the action has to wait for the end of the answer that is being written. */
  blocked(action: ActionConfig | null): boolean {
    return (
      this.context.blocked && action !== null && action.handler === 'server' && action.streaming
    );
  }

  /**
   * Begins an action.
   *
   * @param action The action.
   * @param path The component that it belongs to.
   * @param auto What waits when the action does not say so.
   * @param values Values of the form it is in.
   */
  run(action: ActionConfig, path: string, auto: Loading, values: JsonObject | null): void {
    if (this.inert || this.loading(path) || this.blocked(action)) return;
    const { payload, dropped } = merged(action.payload, values);
    if (dropped.length > 0) {
      this.context.complain(
        `The payload of the action "${action.type}" has keys of its own for these fields: ${dropped.join(', ')}.`,
      );
    }
    const { type, handler, streaming } = action;
    const loading = action.loadingBehavior === 'auto' ? auto : action.loadingBehavior;
    const end = this.#begin(path, loading);
    // Who carries it out has told what went wrong.
    this.context.act({ type, payload, handler, streaming }).then(end, end);
  }

  #begin(path: string, loading: Loading): () => void {
    const count = (by: number): void => {
      this.#loading.set(path, (this.#loading.get(path) ?? 0) + by);
    };
    if (loading === 'none') return () => undefined;
    if (loading === 'self') count(1);
    else {
      this.#inert += 1;
      this.#returnFocus = focused();
    }
    this.requestUpdate();
    return () => {
      if (loading === 'self') count(-1);
      else this.#inert -= 1;
      this.requestUpdate();
      if (loading === 'container' && !this.inert) this.#restoreFocus();
    };
  }

  /** What was made inert has lost the focus; it comes back unless it has gone elsewhere. */
  #restoreFocus(): void {
    const before = this.#returnFocus;
    this.#returnFocus = null;
    const now = focused();
    if (before?.isConnected && (now === null || now === document.body)) before.focus();
  }
}

/** The element that has the focus, also within shadow roots. */
function focused(): HTMLElement | null {
  let active: Element | null = document.activeElement;
  while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement;
  return active instanceof HTMLElement && !active.shadowRoot ? active : null;
}
