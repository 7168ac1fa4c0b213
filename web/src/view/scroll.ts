/**
 * Follows the end of the conversation for as long as the reader is there, and keeps what is being
 * read in place when older messages appear above it.
 */
const NEAR_END = 48;
const NEAR_START = 240;

export class ScrollKeeper {
  /** True while the end of the conversation is in view. */
  atEnd = true;
  readonly #onChange: () => void;
  readonly #onNearStart: () => void;
  /** Of the view, and of what is in it: images and parts come after the update that shows them. */
  readonly #resize = new ResizeObserver(() => {
    if (this.follows) this.settle();
  });
  /** Whether growth is followed. */
  follows = true;
  #element: HTMLElement | null = null;
  #content: Element | null = null;
  #anchor: { node: Element; top: number } | null = null;

  constructor(onChange: () => void, onNearStart: () => void) {
    this.#onChange = onChange;
    this.#onNearStart = onNearStart;
  }

  attach(element: HTMLElement | null): void {
    const content = element?.firstElementChild ?? null;
    if (content !== this.#content) {
      if (this.#content) this.#resize.unobserve(this.#content);
      this.#content = content;
      if (content) this.#resize.observe(content);
    }
    if (element === this.#element) return;
    this.#element?.removeEventListener('scroll', this.#onScroll);
    if (this.#element) this.#resize.unobserve(this.#element);
    this.#element = element;
    if (!element) return;
    element.addEventListener('scroll', this.#onScroll, { passive: true });
    this.#resize.observe(element);
  }

  detach(): void {
    this.attach(null);
  }

  /** Before an update: remembers the first message in view. */
  remember(): void {
    const element = this.#element;
    this.#anchor = null;
    if (!element || this.atEnd) return;
    const edge = element.getBoundingClientRect().top;
    for (const node of element.querySelectorAll('.log > *')) {
      const { top, bottom } = node.getBoundingClientRect();
      if (bottom <= edge) continue;
      this.#anchor = { node, top };
      return;
    }
  }

  /** After an update: at the end stays at the end, anything else stays where it was. */
  settle(): void {
    const element = this.#element;
    if (!element) return;
    if (this.atEnd) {
      element.scrollTop = element.scrollHeight;
    } else if (this.#anchor?.node.isConnected) {
      const moved = this.#anchor.node.getBoundingClientRect().top - this.#anchor.top;
      if (Math.abs(moved) > 1) element.scrollTop += moved;
    }
    this.#anchor = null;
    this.#checkStart();
  }

  toEnd(): void {
    this.#set(true);
    this.settle();
  }

  readonly #onScroll = (): void => {
    const element = this.#element;
    if (!element) return;
    const left = element.scrollHeight - element.scrollTop - element.clientHeight;
    this.#set(left < NEAR_END);
    this.#checkStart();
  };

  #checkStart(): void {
    const element = this.#element;
    if (element && element.clientHeight > 0 && element.scrollTop < NEAR_START) this.#onNearStart();
  }

  #set(atEnd: boolean): void {
    if (atEnd === this.atEnd) return;
    this.atEnd = atEnd;
    this.#onChange();
  }
}
