/** The list of threads: paged, renamed and deleted. Every failure ends in `error`, never silently. */
import type { ChatKitClient } from './client.js';
import { isAbort } from './errors.js';
import type { Thread } from './protocol.js';
import { Store } from './store.js';

export interface HistoryState {
  threads: readonly Thread[];
  cursor: string | null;
  loading: boolean;
  loaded: boolean;
  error: Error | null;
}

const INITIAL: HistoryState = {
  threads: [],
  cursor: null,
  loading: false,
  loaded: false,
  error: null,
};

const PAGE_SIZE = 30;

export class ThreadHistory {
  readonly store = new Store<HistoryState, Partial<HistoryState>>(INITIAL, (state, change) => ({
    ...state,
    ...change,
  }));
  readonly #client: ChatKitClient;
  #scope = new AbortController();

  constructor(client: ChatKitClient) {
    this.#client = client;
  }

  /** Reads the newest page again. */
  async load(): Promise<void> {
    this.#scope.abort();
    this.#scope = new AbortController();
    await this.#page(undefined);
  }

  async more(): Promise<void> {
    const { cursor, loading } = this.store.value;
    if (cursor !== null && !loading) await this.#page(cursor);
  }

  async #page(after: string | undefined): Promise<void> {
    const { signal } = this.#scope;
    this.store.dispatch({ loading: true, error: null });
    try {
      const page = await this.#client.call(
        'threads.list',
        { limit: PAGE_SIZE, order: 'desc', ...(after ? { after } : {}) },
        signal,
      );
      if (signal.aborted) return;
      const before = after ? this.store.value.threads : [];
      const known = new Set(before.map((thread) => thread.id));
      this.store.dispatch({
        threads: [...before, ...page.data.filter((thread) => !known.has(thread.id))],
        cursor: page.has_more ? (page.after ?? null) : null,
        loading: false,
        loaded: true,
      });
    } catch (error) {
      if (!isAbort(error) && !signal.aborted) this.#failed(error);
    }
  }

  /** The thread under its new title, or `null` when the server refused. */
  async rename(threadId: string, title: string): Promise<Thread | null> {
    try {
      const thread = await this.#client.call('threads.update', { thread_id: threadId, title });
      this.upsert({ ...thread, id: threadId, title });
      return { ...thread, id: threadId, title };
    } catch (error) {
      this.#failed(error);
      return null;
    }
  }

  async remove(threadId: string): Promise<boolean> {
    try {
      await this.#client.call('threads.delete', { thread_id: threadId });
      const { threads } = this.store.value;
      this.store.dispatch({ threads: threads.filter((thread) => thread.id !== threadId) });
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /** Takes over a thread that changed elsewhere; a new one comes first. */
  upsert(thread: Thread): void {
    const { threads, loaded } = this.store.value;
    if (!loaded) return;
    const found = threads.some((other) => other.id === thread.id);
    this.store.dispatch({
      threads: found
        ? threads.map((other) => (other.id === thread.id ? { ...other, ...thread } : other))
        : [thread, ...threads],
    });
  }

  #failed(error: unknown): void {
    this.store.dispatch({
      loading: false,
      error: error instanceof Error ? error : new Error(String(error)),
    });
  }
}
