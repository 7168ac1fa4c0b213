/** What was typed and not sent, per thread; only in memory, and only for the last few threads. */
const MAX_DRAFTS = 50;

export class Drafts {
  readonly #texts = new Map<string, string>();

  get(threadId: string | null): string {
    return this.#texts.get(threadId ?? '') ?? '';
  }

  set(threadId: string | null, text: string): void {
    const key = threadId ?? '';
    this.#texts.delete(key);
    if (text === '') return;
    this.#texts.set(key, text);
    if (this.#texts.size > MAX_DRAFTS) {
      const [oldest] = this.#texts.keys();
      if (oldest !== undefined) this.#texts.delete(oldest);
    }
  }
}
