/** A part of the element that is loaded when it is first needed, once. */
import { nothing } from 'lit';
import { AsyncDirective } from 'lit/async-directive.js';
import {
  type ChildPart,
  type DirectiveParameters,
  type DirectiveResult,
  directive,
} from 'lit/directive.js';
import { adopt } from './styles.js';

/** How long after a failure the part may be asked for again, in ms. */
const AGAIN_AFTER = 3000;

export class Lazy<T> {
  readonly #import: () => Promise<T>;
  #value: T | null = null;
  #loading: Promise<T> | null = null;
  #failedAt = Number.NEGATIVE_INFINITY;

  /** @param load Imports the part; the `import()` in it is where the build parts the program. */
  constructor(load: () => Promise<T>) {
    this.#import = load;
  }

  /** The part, if it is here. */
  get value(): T | null {
    return this.#value;
  }

  /** Whether it is no use to wait: the part could not be loaded a moment ago. */
  get failed(): boolean {
    return performance.now() - this.#failedAt < AGAIN_AFTER;
  }

  /** Loads the part; rejects when its file cannot be had. */
  load(): Promise<T> {
    this.#loading ??= this.#import().then(
      (value) => {
        this.#value = value;
        return value;
      },
      (error: unknown) => {
        this.#loading = null;
        this.#failedAt = performance.now();
        throw error;
      },
    );
    return this.#loading;
  }
}

class LazyDirective extends AsyncDirective {
  #asked = 0;
  #root: Node | null = null;

  override update(
    part: ChildPart,
    [lazyPart, show, meanwhile, without]: DirectiveParameters<this>,
  ): unknown {
    const host = part.options?.host as { renderRoot?: Node } | undefined;
    this.#root = host?.renderRoot ?? null;
    return this.render(lazyPart, show, meanwhile, without);
  }

  override render(
    part: Lazy<unknown>,
    show: (value: unknown) => unknown,
    meanwhile: unknown,
    without: unknown,
  ): unknown {
    this.#asked += 1;
    const asked = this.#asked;
    const shown = (value: unknown): unknown => {
      if (this.#root) adopt(this.#root, (value as { styles?: string }).styles);
      return show(value);
    };
    if (part.value) return shown(part.value);
    if (part.failed) return without;
    const set = (value: unknown): void => {
      if (asked === this.#asked) this.setValue(value);
    };
    part.load().then(
      (value) => set(shown(value)),
      () => set(without),
    );
    return meanwhile;
  }
}

const lazily = directive(LazyDirective);

/**
 * Shows what a part makes, and something else until it is here. A part that exports `styles`, the
 * text of a stylesheet, has it in the element's shadow root from then on.
 *
 * @param part The part.
 * @param show Makes what is shown of it.
 * @param meanwhile Shown until then.
 * @param without Shown when the part cannot be loaded.
 */
export function lazy<T>(
  part: Lazy<T>,
  show: (value: T) => unknown,
  meanwhile: unknown = nothing,
  without: unknown = meanwhile,
): DirectiveResult {
  return lazily(part, show as (value: unknown) => unknown, meanwhile, without);
}
