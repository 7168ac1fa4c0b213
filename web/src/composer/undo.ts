/**
 * Undo for a field whose content is changed by code as well as by typing, which browsers' own undo
 * does not survive. Letters typed in a row are one step, and so are letters deleted in a row.
 */
const MAX_STEPS = 200;

export interface Step<T> {
  content: T;
  start: number;
  end: number;
}

export class Undo<T> {
  #past: Step<T>[] = [];
  #future: Step<T>[] = [];
  #now: Step<T>;
  /** The kind of change that still goes on. */
  #open: string | null = null;

  constructor(now: Step<T>) {
    this.#now = now;
  }

  /** Takes note of a change; of one `kind`, those that follow each other are one step. */
  record(now: Step<T>, kind: string | null = null): void {
    if (kind === null || kind !== this.#open) {
      this.#past = [...this.#past, this.#now].slice(-MAX_STEPS);
    }
    this.#open = kind;
    this.#future = [];
    this.#now = now;
  }

  /** The caret was moved: what is typed next is a step of its own. */
  pause(start: number, end: number): void {
    this.#open = null;
    this.#now = { ...this.#now, start, end };
  }

  undo(): Step<T> | null {
    return this.#move(this.#past, this.#future);
  }

  redo(): Step<T> | null {
    return this.#move(this.#future, this.#past);
  }

  /** Forgets everything: this is another text. */
  reset(now: Step<T>): void {
    this.#past = [];
    this.#future = [];
    this.#open = null;
    this.#now = now;
  }

  #move(from: Step<T>[], to: Step<T>[]): Step<T> | null {
    const step = from.pop();
    if (!step) return null;
    to.push(this.#now);
    this.#open = null;
    this.#now = step;
    return step;
  }
}
