/** A value, a pure function that moves it, and the ones who want to know. */
export class Store<S, A> {
  #value: S;
  readonly #reduce: (state: S, action: A) => S;
  readonly #listeners = new Set<() => void>();

  constructor(initial: S, reduce: (state: S, action: A) => S) {
    this.#value = initial;
    this.#reduce = reduce;
  }

  get value(): S {
    return this.#value;
  }

  dispatch(action: A): void {
    const next = this.#reduce(this.#value, action);
    if (next === this.#value) return;
    this.#value = next;
    for (const listener of this.#listeners) listener();
  }

  /** Returns the function that ends the subscription. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
