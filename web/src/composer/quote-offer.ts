/** Offers to quote what is selected of an answer. */
import { html, type LitElement, nothing, type TemplateResult } from 'lit';
import { styled } from '../controls/styled.js';
import type { Translate } from '../locales.js';
import { rangeIn } from '../selection.js';
import { icon } from '../view/icons.js';
import css from './quote-offer.css';

export const styles = css;

/** Longer passages are cut: a quote says what is meant, the answer is there anyway. */
const MAX_QUOTE = 2000;

export class QuoteOffer {
  readonly #host: LitElement;
  readonly #take: (words: string) => void;
  #words: string | null = null;
  #place = { left: 0, top: 0 };

  constructor(host: LitElement, take: (words: string) => void) {
    this.#host = host;
    this.#take = take;
  }

  /** Looks at what is selected now. */
  look(): void {
    const found = this.#selected();
    if (!found && this.#words === null) return;
    this.#words = found?.words ?? null;
    if (found) this.#place = found;
    this.#host.requestUpdate();
  }

  render(t: Translate): TemplateResult | typeof nothing {
    const words = this.#words;
    if (words === null) return nothing;
    const place = { left: `${this.#place.left}px`, top: `${this.#place.top}px` };
    // The button must not take the selection away before it is pressed.
    return html`<button type="button" class="quote-offer" part="quote-button" ${styled(place)}
      @pointerdown=${(event: Event) => event.preventDefault()}
      @click=${() => {
        this.#words = null;
        this.#take(words);
      }}>${icon('quote')}${t('message.quote')}</button>`;
  }

  #selected(): { words: string; left: number; top: number } | null {
    const root = this.#host.renderRoot.querySelector('.root');
    const range = root && rangeIn(root);
    if (!range || range.collapsed) return null;
    const { startContainer: start } = range;
    const answer = (start instanceof Element ? start : start.parentElement)?.closest('.answer');
    const text = [...(answer?.querySelectorAll(':scope > .markdown') ?? [])].at(-1);
    if (!text) return null;
    const live = document.createRange();
    live.setStart(start, range.startOffset);
    live.setEnd(range.endContainer, range.endOffset);
    // Three clicks select to the beginning of what follows the paragraph.
    if (!answer?.contains(range.endContainer)) live.setEnd(text, text.childNodes.length);
    const words = live.toString().trim();
    if (words === '') return null;
    const box = live.getBoundingClientRect();
    const frame = root.getBoundingClientRect();
    const above = box.top - frame.top - 44;
    return {
      words: words.length > MAX_QUOTE ? `${words.slice(0, MAX_QUOTE)}…` : words,
      left: Math.min(Math.max(box.left + box.width / 2 - frame.left, 52), frame.width - 52),
      // Above the selection, or below one that begins above the edge.
      top: above >= 4 ? above : Math.min(box.bottom - frame.top + 8, frame.height - 48),
    };
  }
}
