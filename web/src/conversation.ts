/**
 * One open conversation: it loads, asks, retries, stops and finds its way back after a lost
 * connection. It owns the network side; what is on screen is in its store, and what the host page
 * must know goes through `ConversationHost`.
 *
 * Failure policy: before an answer begins, a failure puts everything back as it was and gives the
 * text back to the composer. After it began, the text that was read stays on screen; a lost
 * connection is retried until the server answers, and its record then replaces the local one.
 */
import { alertFor, OFFLINE } from './alerts.js';
import type { ChatKitClient, StreamResponse } from './client.js';
import type { ConversationHost } from './conversation-host.js';
import {
  ChatKitConnectionError,
  ChatKitError,
  ChatKitRequestError,
  ChatKitStreamError,
  isAbort,
} from './errors.js';
import { isLocal, LOCAL_PREFIX, lastUserMessage, userText } from './items.js';
import type {
  ClientToolCallItem,
  JsonObject,
  StreamEvent,
  StreamRequest,
  ThreadItem,
  UserMessageInput,
  UserMessageItem,
} from './protocol.js';
import { backoff, pause } from './reconnect.js';
import { INITIAL_STATE, reduce } from './state.js';
import { Store } from './store.js';
import { fetchNewest, fetchPage } from './thread-loader.js';

/** A stop that is not answered in this time must not hold up the next message. */
const CANCEL_TIMEOUT = 5000;

interface Turn {
  controller: AbortController;
  id: string | null;
  stopped: boolean;
  /** What was asked, until the server has confirmed it. */
  text: string | null;
}

interface Undo {
  items: readonly ThreadItem[];
  text: string | null;
}

export class Conversation {
  readonly store = new Store(INITIAL_STATE, reduce);
  readonly #client: ChatKitClient;
  readonly #host: ConversationHost;
  /** Ends with the open thread: whatever still loads for the last one must not land in this one. */
  #scope = new AbortController();
  #reconnection = new AbortController();
  #turn: Turn | null = null;
  #cancelling: Promise<void> = Promise.resolve();
  #localIds = 0;
  readonly #toolCallsRun = new Set<string>();

  constructor(client: ChatKitClient, host: ConversationHost) {
    this.#client = client;
    this.#host = host;
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
      if (!signal.aborted) this.store.dispatch({ type: 'loaded', ...snapshot });
    } catch (error) {
      if (!signal.aborted) this.#loadFailed(error);
    } finally {
      this.#host.emit('chatkit.thread.load.end', { threadId });
    }
  }

  close(): void {
    this.#scope.abort();
    this.#reconnection.abort();
    const turn = this.#turn;
    this.#turn = null;
    turn?.controller.abort();
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
      this.#report(error);
    }
  }

  /** Resolves when the server has taken the message; rejects when it has not. */
  async send(input: UserMessageInput): Promise<void> {
    this.#requireIdle();
    const { threadId, items } = this.store.value;
    const text = userText(input.content);
    const message: UserMessageItem = {
      ...input,
      type: 'user_message',
      id: this.#localId(),
      attachments: [],
    };
    this.store.dispatch({ type: 'asked', message });
    const request: StreamRequest =
      threadId === null
        ? { type: 'threads.create', params: { input } }
        : { type: 'threads.add_user_message', params: { thread_id: threadId, input } };
    await this.#begin(request, { items, text });
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
      { items, text: null },
    );
  }

  /** Resolves when the answer to the action has ended. */
  async act(action: { type: string; payload: JsonObject }, itemId: string | null): Promise<void> {
    this.#requireIdle();
    const { threadId, items } = this.store.value;
    if (threadId === null) throw new ChatKitError('There is no thread to send an action to.');
    this.store.dispatch({ type: 'asked', message: null });
    const { finished } = await this.#begin(
      {
        type: 'threads.custom_action',
        params: { thread_id: threadId, item_id: itemId, action },
      },
      { items, text: null },
    );
    await finished;
  }

  stop(): void {
    const turn = this.#turn;
    if (!turn) return;
    turn.stopped = true;
    if (turn.id !== null) {
      this.#cancelling = this.#client
        .cancelTurn(turn.id, AbortSignal.timeout(CANCEL_TIMEOUT))
        // Servers without this route stop on the abort below; there is nothing else to do.
        .catch(() => undefined);
    }
    turn.controller.abort();
  }

  /** Takes over what changed on the server. */
  async refresh(): Promise<void> {
    this.#requireIdle();
    const { threadId } = this.store.value;
    if (threadId === null) return;
    const { signal } = this.#scope;
    const snapshot = await fetchNewest(this.#client, threadId, signal);
    if (!signal.aborted && this.#turn === null) {
      this.store.dispatch({ type: 'reconciled', ...snapshot });
    }
  }

  async feedback(itemId: string, kind: 'positive' | 'negative'): Promise<void> {
    const { threadId } = this.store.value;
    if (threadId === null) return;
    try {
      await this.#client.call('items.feedback', { thread_id: threadId, item_ids: [itemId], kind });
    } catch (error) {
      this.#report(error);
    }
  }

  #requireIdle(): void {
    if (this.#turn) throw new ChatKitError('An answer is still being written.');
    if (this.store.value.loading) throw new ChatKitError('The thread is still loading.');
  }

  #localId(): string {
    this.#localIds += 1;
    return `${LOCAL_PREFIX}${this.#localIds}`;
  }

  async #begin(request: StreamRequest, undo: Undo): Promise<{ finished: Promise<void> }> {
    this.#reconnection.abort();
    const turn: Turn = {
      controller: new AbortController(),
      id: null,
      stopped: false,
      text: undo.text,
    };
    this.#turn = turn;
    try {
      await this.#cancelling;
      const response = await this.#client.stream(request, turn.controller.signal);
      turn.id = response.turnId;
      this.#host.emit('chatkit.response.start', undefined);
      return { finished: this.#finish(turn, response) };
    } catch (error) {
      if (this.#turn === turn) this.#refuse(turn, undo, error);
      throw error;
    }
  }

  #refuse(turn: Turn, undo: Undo, error: unknown): void {
    this.#turn = null;
    const alert = turn.stopped ? null : alertFor(error);
    this.store.dispatch({ type: 'refused', items: undo.items, alert });
    if (undo.text !== null) this.#host.restoreText(undo.text);
    if (alert) this.#report(error);
  }

  async #finish(turn: Turn, response: StreamResponse): Promise<void> {
    try {
      await this.#consume(turn, response);
      if (this.#turn === turn) this.store.dispatch({ type: 'ended', outcome: 'complete' });
    } catch (error) {
      if (this.#turn === turn) this.#broken(turn, error);
    } finally {
      if (this.#turn === turn) this.#turn = null;
      this.#host.emit('chatkit.response.end', undefined);
    }
  }

  async #consume(turn: Turn, first: StreamResponse): Promise<void> {
    let response = first;
    for (;;) {
      for await (const event of response.events) {
        if (this.#turn !== turn) return;
        this.#apply(turn, event);
      }
      const call = this.#pendingToolCall();
      const { threadId } = this.store.value;
      if (!call || threadId === null || this.#turn !== turn) return;
      const result = await this.#runTool(call);
      turn.controller.signal.throwIfAborted();
      response = await this.#client.stream(
        {
          type: 'threads.add_client_tool_output',
          params: { thread_id: threadId, result },
        },
        turn.controller.signal,
      );
      turn.id = response.turnId ?? turn.id;
    }
  }

  #apply(turn: Turn, event: StreamEvent): void {
    this.store.dispatch({ type: 'event', event });
    switch (event.type) {
      case 'thread.created':
        this.#host.emit('chatkit.thread.change', { threadId: event.thread.id });
        break;
      case 'thread.item.done':
        if (event.item?.type === 'user_message') turn.text = null;
        break;
      case 'client_effect':
        this.#host.emit('chatkit.effect', { name: event.name, data: event.data ?? {} });
        break;
      case 'error':
        this.#report(new ChatKitStreamError(event.message ?? event.code ?? 'stream.error'));
        break;
      default:
    }
  }

  #broken(turn: Turn, error: unknown): void {
    if (turn.stopped || isAbort(error)) {
      this.store.dispatch({ type: 'ended', outcome: 'stopped' });
      this.#giveBack(turn);
      return;
    }
    this.#report(error);
    if (!(error instanceof ChatKitConnectionError)) {
      this.store.dispatch({ type: 'ended', outcome: 'failed', alert: alertFor(error) });
      this.#giveBack(turn);
      return;
    }
    this.store.dispatch({ type: 'ended', outcome: 'lost' });
    void this.#reconnect(turn);
  }

  /** A message of which the server has said nothing must not be lost: its text can be sent again. */
  #giveBack(turn: Turn): void {
    if (turn.text === null) return;
    const { items, alert } = this.store.value;
    this.store.dispatch({
      type: 'refused',
      items: items.filter((item) => !isLocal(item)),
      alert,
    });
    this.#host.restoreText(turn.text);
    turn.text = null;
  }

  async #reconnect(turn: Turn): Promise<void> {
    this.#reconnection = new AbortController();
    const signal = AbortSignal.any([this.#reconnection.signal, this.#scope.signal]);
    const { threadId } = this.store.value;
    if (threadId === null) {
      this.store.dispatch({ type: 'load.failed', alert: OFFLINE });
      this.#giveBack(turn);
      return;
    }
    for (let attempt = 0; ; attempt++) {
      await pause(backoff(attempt), signal);
      if (signal.aborted) return;
      try {
        const snapshot = await fetchNewest(this.#client, threadId, signal);
        const known = new Set(this.store.value.items.map((item) => item.id));
        const recorded = snapshot.items.some(
          (item) => item.type === 'user_message' && !known.has(item.id),
        );
        this.store.dispatch({ type: 'reconciled', ...snapshot });
        if (!recorded) this.#giveBack(turn);
        return;
      } catch (error) {
        if (signal.aborted) return;
        // A server that starts up answers 5xx or nothing: try on. Any other answer is final.
        if (error instanceof ChatKitRequestError && error.status < 500 && error.status !== 429) {
          this.#loadFailed(error);
          return;
        }
      }
    }
  }

  #loadFailed(error: unknown): void {
    this.#report(error);
    if (error instanceof ChatKitRequestError && error.status === 404) {
      this.store.dispatch({ type: 'missing' });
    } else {
      this.store.dispatch({
        type: 'load.failed',
        alert: { ...alertFor(error), allowRetry: true },
      });
    }
  }

  #pendingToolCall(): ClientToolCallItem | null {
    const item = this.store.value.items.at(-1);
    if (item?.type !== 'client_tool_call' || item.status !== 'pending') return null;
    return this.#toolCallsRun.has(item.id) ? null : item;
  }

  async #runTool(call: ClientToolCallItem): Promise<unknown> {
    this.#toolCallsRun.add(call.id);
    try {
      return await this.#host.runTool({ name: call.name, params: call.arguments ?? {} });
    } catch (error) {
      // The model must learn of it, or the thread waits for this result for ever.
      this.#report(error);
      return { error: error instanceof Error ? error.message : String(error) };
    }
  }

  #report(error: unknown): void {
    const shown = error instanceof Error ? error : new ChatKitError(String(error));
    this.#host.emit('chatkit.error', { error: shown });
  }
}
