/** Which source is pointed at, and when its card comes and goes. */
import type { SourceCard } from '../extras/source-card.js';
import { type NumberedSource, numberSources } from '../sources.js';
import type { View } from './context.js';
import { extras } from './extras-part.js';

/** A pointer that only passes by is not asking, in ms. */
const PATIENCE = 180;

/** The source that a marker, or a line of the list, stands for. */
export function citedAt(element: Element, { state }: Pick<View, 'state'>): NumberedSource | null {
  const mark = element.closest<HTMLElement>('[data-source]');
  const id = mark?.closest<HTMLElement>('[data-item]')?.dataset.item;
  const item = state.items.find((other) => other.id === id);
  if (!mark || item?.type !== 'assistant_message') return null;
  return numberSources(item)[Number(mark.dataset.source) - 1] ?? null;
}

export class CardKeeper {
  readonly #view: () => View;
  #card: SourceCard | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(view: () => View) {
    this.#view = view;
  }

  readonly point = (event: Event): void => {
    const mark =
      event.target instanceof Element ? event.target.closest<HTMLElement>('[data-source]') : null;
    if (!mark || mark === this.#card?.anchor) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#show(mark), event.type === 'focusin' ? 0 : PATIENCE);
  };

  readonly leave = (event: Event): void => {
    const to =
      event instanceof MouseEvent || event instanceof FocusEvent ? event.relatedTarget : null;
    if (to instanceof Element && to.closest('[data-source]') === this.#card?.anchor) return;
    this.hide();
  };

  readonly key = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') this.hide();
  };

  hide(): void {
    clearTimeout(this.#timer);
    this.#card?.hide();
  }

  async #show(mark: HTMLElement): Promise<void> {
    const timer = this.#timer;
    const part = await extras.load().catch(() => null);
    const view = this.#view();
    const cited = citedAt(mark, view);
    if (!part || !cited || !mark.isConnected || timer !== this.#timer) return;
    this.#card ??= new part.SourceCard();
    this.#card.show(mark, cited, view.locale);
  }
}
