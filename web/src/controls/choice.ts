/** Which of a list of options is meant: moved by keys, found by typing, skipped when disabled. */

interface Choosable {
  label: string;
  disabled?: boolean;
}

/** How long letters that are typed one after the other belong together, in ms. */
const TYPING_PAUSE = 700;

/** The option that a key moves to from the active one; `null` when the key moves nowhere. */
export function moved(options: readonly Choosable[], active: number, key: string): number | null {
  const next = (from: number, by: 1 | -1): number => {
    for (let index = from; index >= 0 && index < options.length; index += by) {
      if (!options[index]?.disabled) return index;
    }
    return active;
  };
  switch (key) {
    case 'ArrowDown':
      return next(active + 1, 1);
    case 'ArrowUp':
      return active < 0 ? next(options.length - 1, -1) : next(active - 1, -1);
    case 'Home':
      return next(0, 1);
    case 'End':
      return next(options.length - 1, -1);
    case 'PageDown':
      return next(Math.min(active + 8, options.length - 1), -1);
    case 'PageUp':
      return next(Math.max(active - 8, 0), 1);
    default:
      return null;
  }
}

/** Finds options by the first letters of their labels. */
export class Typeahead {
  #typed = '';
  #at = Number.NEGATIVE_INFINITY;

  /** The option that is meant once `key` was typed too; `null` when there is none. */
  find(options: readonly Choosable[], active: number, key: string, now: number): number | null {
    if (now - this.#at > TYPING_PAUSE) this.#typed = '';
    this.#at = now;
    this.#typed += key.toLowerCase();
    // One letter again and again goes through all that begin with it.
    const same = [...this.#typed].every((letter) => letter === this.#typed[0]);
    const wanted = same ? (this.#typed[0] ?? '') : this.#typed;
    const from = same || this.#typed.length === 1 ? active + 1 : Math.max(active, 0);
    for (let step = 0; step < options.length; step++) {
      const index = (from + step) % options.length;
      const option = options[index];
      if (option && !option.disabled && option.label.toLowerCase().startsWith(wanted)) return index;
    }
    return null;
  }
}
