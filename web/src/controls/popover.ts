/**
 * A popup beside the control that opened it, above everything else on the page and never cut off by
 * what it stands in. It closes when the reader turns to something else.
 */
import { nothing } from 'lit';
import { AsyncDirective } from 'lit/async-directive.js';
import { type DirectiveResult, directive, type ElementPart } from 'lit/directive.js';

type Side = 'top' | 'bottom' | 'left' | 'right';
type Align = 'start' | 'center' | 'end';

interface Placement {
  side: Side;
  align: Align;
  /** It is at least as wide as its control. */
  asWide: boolean;
}

/** Space between control and popup, and between popup and the edge of the window, in pixels. */
const GAP = 4;
const MARGIN = 8;

class PopoverDirective extends AsyncDirective {
  #popup: HTMLElement | null = null;
  #placement: Placement = { side: 'bottom', align: 'start', asWide: false };
  #close: () => void = () => undefined;

  render(_placement: Placement, _close: () => void): unknown {
    return nothing;
  }

  override update(part: ElementPart, [placement, close]: [Placement, () => void]): unknown {
    this.#placement = placement;
    this.#close = close;
    if (this.#popup === part.element) {
      queueMicrotask(this.#place);
      return nothing;
    }
    this.#popup = part.element as HTMLElement;
    this.#popup.popover = 'manual';
    queueMicrotask(() => this.#open());
    return nothing;
  }

  override disconnected(): void {
    removeEventListener('pointerdown', this.#onOutside, true);
    removeEventListener('scroll', this.#place, true);
    removeEventListener('resize', this.#place);
  }

  override reconnected(): void {
    this.#open();
  }

  #open(): void {
    if (!this.#popup?.isConnected) return;
    this.#popup.showPopover();
    this.#place();
    addEventListener('pointerdown', this.#onOutside, true);
    addEventListener('scroll', this.#place, true);
    addEventListener('resize', this.#place);
  }

  readonly #onOutside = (event: Event): void => {
    const anchor = this.#popup?.parentElement;
    if (anchor && !event.composedPath().includes(anchor)) this.#close();
  };

  readonly #place = (): void => {
    const popup = this.#popup;
    const anchor = popup?.parentElement;
    if (!popup?.isConnected || !anchor) return;
    const { style } = popup;
    const at = anchor.getBoundingClientRect();
    style.minWidth = this.#placement.asWide ? `${at.width}px` : '';
    style.maxWidth = `${innerWidth - 2 * MARGIN}px`;
    style.maxHeight = `${innerHeight - 2 * MARGIN}px`;
    const { width, height } = popup.getBoundingClientRect();
    const rtl = getComputedStyle(anchor).direction === 'rtl';
    const spot = spotOf(this.#placement, at, width, height, rtl);
    style.left = `${within(spot.left, width, innerWidth)}px`;
    style.top = `${within(spot.top, height, innerHeight)}px`;
  };
}

function within(start: number, size: number, room: number): number {
  return Math.max(MARGIN, Math.min(start, room - size - MARGIN));
}

/** Where the popup goes; on the other side of its control when there is more room. */
function spotOf(
  { side, align }: Pick<Placement, 'side' | 'align'>,
  at: { left: number; top: number; right: number; bottom: number },
  width: number,
  height: number,
  rtl: boolean,
): { left: number; top: number } {
  const room = {
    top: at.top,
    bottom: innerHeight - at.bottom,
    left: at.left,
    right: innerWidth - at.right,
  };
  const opposite = { top: 'bottom', bottom: 'top', left: 'right', right: 'left' } as const;
  const need = side === 'top' || side === 'bottom' ? height : width;
  const other = opposite[side];
  const chosen = room[side] < need + GAP + MARGIN && room[other] > room[side] ? other : side;
  const along = (start: number, end: number, size: number, reversed: boolean): number => {
    if (align === 'center') return (start + end - size) / 2;
    return (align === 'start') !== reversed ? start : end - size;
  };
  if (chosen === 'top' || chosen === 'bottom') {
    const left = along(at.left, at.right, width, rtl);
    return { left, top: chosen === 'bottom' ? at.bottom + GAP : at.top - height - GAP };
  }
  const top = along(at.top, at.bottom, height, false);
  return { top, left: chosen === 'right' ? at.right + GAP : at.left - width - GAP };
}

const opened = directive(PopoverDirective);

/** Opens the element as a popup beside its parent as long as it is rendered. */
export function popover(placement: Placement, close: () => void): DirectiveResult {
  return opened(placement, close);
}
