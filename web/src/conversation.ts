/**
 * One open conversation: it loads, asks, retries, stops and follows what happens in its thread. What
 * is on screen is in its store; what the host page must know goes through `ConversationHost`. The
 * turn that is being written is the business of `TurnRunner`, to notice one that of `Follower`.
 */
import { alertFor } from './alerts.js';
import type { ChatKitClient } from './client.js';
import { type ConversationHost, report } from './conversation-host.js';
import { ChatKitError, ChatKitRequestError, isPassing } from './errors.js';
import { Follower } from './follower.js';
import { LOCAL_PREFIX, lastUserMessage } from './items.js';
import type {
  Attachment,
  CustomAction,
  StreamRequest,
  StructuredSubmission,
  UserMessageInput,
  UserMessageItem,
} from './protocol.js';
import { INITIAL_STATE, reduce } from './state.js';
import { Store } from './store.js';
import { fetchNewest, fetchPage } from './thread-loader.js';
import { TurnRunner, type Undo } from './turn-runner.js';
import { documentVisibility, type Visibility } from './visibility.js';

export class Conversation {
  readonly store = new Store(INITIAL_STATE, reduce);
  readonly #client: ChatKitClient;
  readonly #host: ConversationHost;
  readonly #runner: TurnRunner;
  readonly #follower: Follower;
  /** Ends with the open thread: whatever still loads for the last one must not land in this one. */
  #scope = new AbortController();
  #localIds = 0;

  constructor(
    client: ChatKitClient,
    host: ConversationHost,
    page: Visibility = documentVisibility,
  ) {
    this.#client = client;
    this.#host = host;
    this.#runner = new TurnRunner(client, host, this.store, {
      turnEnded: (over) => this.#follow({ over }),
      turnInTheWay: (running) => this.#follow({ running }),
      loadFailed: (error) => this.#loadFailed(error),
    });
    this.#follower = new Follower(
      client,
      {
        reconcile: (signal) => this.#reconcile(signal),
        join: (place, signal) => this.#runner.join(place, signal),
      },
      page,
    );
  }

  /** Shows another thread; `null` shows a new one. The stream of a running answer is closed. */
  async open(threadId: string | null): Promise<void> {
    const changed = threadId !== this.store.value.threadId;
    this.close();
    this.#scope = new AbortController();
    const { signal } = this.#scope;
    this.store.dispatch({ type: 'opened', threadId });
    if (changed) this.#host.emit('chatkit.thread.change', { threadId });
    if (threadId === null) return;
    this.#host.emit('chatkit.thread.load.start', { threadId });
    try {
      const snapshot = await fetchNewest(this.#client, threadId, signal);
      if (!signal.aborted) {
        this.store.dispatch({ type: 'loaded', ...snapshot });
        this.#follow();
      }
    } catch (error) {
      if (!signal.aborted) this.#loadFailed(error);
    } finally {
      this.#host.emit('chatkit.thread.load.end', { threadId });
    }
  }

  /** Reads no further. An answer that is being written is not stopped by this. */
  close(): void {
    this.#scope.abort();
    this.#follower.leave();
    this.#runner.close();
  }

  async loadOlder(): Promise<void> {
    const { threadId, olderCursor, loadingOlder } = this.store.value;
    if (threadId === null || olderCursor === null || loadingOlder) return;
    const { signal } = this.#scope;
    this.store.dispatch({ type: 'older.started' });
    try {
      const page = await fetchPage(this.#client, threadId, signal, olderCursor);
      if (!signal.aborted) this.store.dispatch({ type: 'older.loaded', ...page });
    } catch (error) {
      if (signal.aborted) return;
      this.store.dispatch({ type: 'older.failed' });
      report(this.#host, error);
    }
  }

  /**
   * Resolves when the server has taken the message; rejects when it has not.
   *
   * @param attachments What the input names by its ids, to be shown meanwhile.
   */
  async send(input: UserMessageInput, attachments: readonly Attachment[] = []): Promise<void> {
    this.#requireIdle();
    const { threadId, items } = this.store.value;
    const message: UserMessageItem = {
      ...input,
      type: 'user_message',
      id: this.#localId(),
      attachments: [...attachments],
    };
    this.store.dispatch({ type: 'asked', message });
    const request: StreamRequest =
      threadId === null
        ? { type: 'threads.create', params: { input } }
        : { type: 'threads.add_user_message', params: { thread_id: threadId, input } };
    const { content, quoted_text: quote } = input;
    await this.#begin(request, { items, message: { content, attachments, quote } });
  }

  /** Asks again for an answer to the last user message; what followed it goes. */
  async retry(): Promise<void> {
    this.#requireIdle();
    const { threadId, items, thread } = this.store.value;
    const message = lastUserMessage(items);
    if (threadId !== null && (thread === null || !message)) return this.open(threadId);
    if (threadId === null || !message) return;
    this.store.dispatch({ type: 'rewound', itemId: message.id });
    this.store.dispatch({ type: 'asked', message: null });
    await this.#begin(
      {
        type: 'threads.retry_after_item',
        params: { thread_id: threadId, item_id: message.id },
      },
      { items, message: null },
    );
  }

  /** Resolves when the answer to the action has ended. */
  async act(action: CustomAction, itemId: string | null): Promise<void> {
    this.#requireIdle();
    const { threadId, items } = this.store.value;
    if (threadId === null) throw new ChatKitError('There is no thread to send an action to.');
    this.store.dispatch({ type: 'asked', message: null });
    const { finished } = await this.#begin(
      {
        type: 'threads.custom_action',
        params: { thread_id: threadId, item_id: itemId, action },
      },
      { items, message: null },
    );
    await finished;
  }

  /**
   * Carries out an action that begins no answer, also while one is written; what it changes in its
   * item takes that item's place.
   */
  async actAside(action: CustomAction, itemId: string | null): Promise<void> {
    const { threadId } = this.store.value;
    if (threadId === null) throw new ChatKitError('There is no thread to send an action to.');
    this.#renewScope();
    const { signal } = this.#scope;
    const params = { thread_id: threadId, item_id: itemId, action };
    try {
      const answer = await this.#client.call('threads.sync_custom_action', params, signal);
      if (answer.updated_item && !signal.aborted) {
        this.store.dispatch({ type: 'item.changed', item: answer.updated_item });
      }
    } catch (error) {
      if (signal.aborted) return;
      this.store.dispatch({ type: 'action.failed', alert: alertFor(error) });
      report(this.#host, error);
      throw error;
    }
  }

  /** Answers the questions of an item. Resolves when the server has taken the answers. */
  async answer(itemId: string, input: StructuredSubmission): Promise<void> {
    this.#requireIdle();
    const { threadId, items } = this.store.value;
    if (threadId === null) return;
    this.store.dispatch({ type: 'asked', message: null });
    await this.#begin(
      {
        type: 'threads.add_structured_input',
        params: { thread_id: threadId, item_id: itemId, input },
      },
      { items, message: null },
    );
  }

  stop(): void {
    this.#runner.stop();
  }

  /** Takes over what changed on the server. */
  async refresh(): Promise<void> {
    this.#requireIdle();
    const { threadId } = this.store.value;
    if (threadId === null) return;
    const { signal } = this.#scope;
    const snapshot = await fetchNewest(this.#client, threadId, signal);
    if (!signal.aborted && !this.#runner.running) {
      this.store.dispatch({ type: 'reconciled', ...snapshot });
    }
  }

  async feedback(itemId: string, kind: 'positive' | 'negative'): Promise<void> {
    const { threadId } = this.store.value;
    if (threadId === null) return;
    try {
      await this.#client.call('items.feedback', { thread_id: threadId, item_ids: [itemId], kind });
    } catch (error) {
      report(this.#host, error);
    }
  }

  #requireIdle(): void {
    if (this.#runner.running) throw new ChatKitError('An answer is still being written.');
    if (this.store.value.loading) throw new ChatKitError('The thread is still loading.');
  }

  #localId(): string {
    this.#localIds += 1;
    return `${LOCAL_PREFIX}${this.#localIds}`;
  }

  #begin(request: StreamRequest, undo: Undo): Promise<{ finished: Promise<void> }> {
    this.#follower.leave();
    this.#renewScope();
    return this.#runner.begin(request, undo);
  }

  /** After a close without another opening, as when the element was moved in its document. */
  #renewScope(): void {
    if (this.#scope.signal.aborted) this.#scope = new AbortController();
  }

  #follow(known: Parameters<Follower['follow']>[1] = {}): void {
    const { threadId } = this.store.value;
    if (threadId !== null) this.#follower.follow(threadId, known);
  }

  async #reconcile(signal: AbortSignal): Promise<void> {
    const { threadId } = this.store.value;
    if (threadId === null) return;
    try {
      const snapshot = await fetchNewest(this.#client, threadId, signal);
      if (!signal.aborted) this.store.dispatch({ type: 'reconciled', ...snapshot });
    } catch (error) {
      if (!signal.aborted && !isPassing(error)) this.#loadFailed(error);
      throw error;
    }
  }

  #loadFailed(error: unknown): void {
    report(this.#host, error);
    if (error instanceof ChatKitRequestError && error.status === 404) {
      this.store.dispatch({ type: 'missing' });
    } else {
      this.store.dispatch({
        type: 'load.failed',
        alert: { ...alertFor(error), allowRetry: true },
      });
    }
  }
}
