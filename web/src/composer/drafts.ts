/** What was written and not sent, per thread; only in memory, and only for the last few threads. */
import type { Content } from './content.js';
import type { Upload } from './upload.js';

const MAX_DRAFTS = 50;

export interface Draft {
  readonly content: Content;
  readonly quote: string | null;
  readonly toolId: string | null;
  /** The model chosen for this thread; `null` when none was. */
  readonly modelId: string | null;
  readonly uploads: readonly Upload[];
}

export const EMPTY_DRAFT: Draft = {
  content: [],
  quote: null,
  toolId: null,
  modelId: null,
  uploads: [],
};

export class Drafts {
  readonly #drafts = new Map<string, Draft>();

  get(threadId: string | null): Draft {
    return this.#drafts.get(threadId ?? '') ?? EMPTY_DRAFT;
  }

  set(threadId: string | null, draft: Draft): void {
    const key = threadId ?? '';
    this.#drafts.delete(key);
    if (isEmpty(draft)) return;
    this.#drafts.set(key, draft);
    if (this.#drafts.size <= MAX_DRAFTS) return;
    const [oldest] = this.#drafts;
    if (!oldest) return;
    this.#drafts.delete(oldest[0]);
    for (const upload of oldest[1].uploads) upload.remove();
  }
}

function isEmpty({ content, quote, toolId, modelId, uploads }: Draft): boolean {
  return content.length + uploads.length === 0 && (quote ?? toolId ?? modelId) === null;
}
