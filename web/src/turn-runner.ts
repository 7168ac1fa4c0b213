/**
 * The one turn that this page shows being written: asked here, or joined because another page asked.
 *
 * Failure policy: before an answer begins, a failure puts everything back as it was and gives the
 * message back to the composer. After it began, the text that was read stays on screen. On a server
 * that keeps turns the stream is resumed where it broke off; on any other, the server is asked until
 * it answers, and its record then replaces the local one.
 */
import { alertFor, OFFLINE } from './alerts.js';
import { ask } from './asking.js';
import type { ChatKitClient, StreamResponse } from './client.js';
import { ClientTools } from './client-tools.js';
import { type ConversationHost, report } from './conversation-host.js';
import {
  ChatKitConnectionError,
  ChatKitRequestError,
  ChatKitStreamError,
  isAbort,
  isPassing,
} from './errors.js';
import { isLocal } from './items.js';
import type { StreamEvent, StreamRequest, ThreadItem, TurnRecord, Unsent } from './protocol.js';
import { backoff, pause } from './reconnect.js';
import type { Action, ViewState } from './state.js';
import type { Store } from './store.js';
import { fetchNewest } from './thread-loader.js';
import { type Place, readTurn } from './turn-reader.js';

/** A stop that is not answered in this time must not hold up the next message. */
const CANCEL_TIMEOUT = 5000;

/** What a refused request puts back. */
export interface Undo {
  items: readonly ThreadItem[];
  message: Unsent | null;
}

interface Turn {
  controller: AbortController;
  place: Place;
  /** Asked by another page: that one sees to what comes after it. */
  joined: boolean;
  /** Nobody looks at it any more. */
  left: boolean;
  stopped: boolean;
  /** What the server says of a stop; `null` when it has not said anything. */
  cancelled: Promise<TurnRecord | null> | null;
  /** Ends the wait for a stop. */
  timer: ReturnType<typeof setTimeout> | undefined;
  /** What was asked, until the server has confirmed it. */
  message: Unsent | null;
}

export interface TurnSurroundings {
  /** An own turn is no longer read; `over` is its id if it has surely ended. */
  turnEnded(over: string | null): void;
  /** The request was refused because of this turn. */
  turnInTheWay(turnId: string): void;
  loadFailed(error: unknown): void;
}

export class TurnRunner {
  readonly #client: ChatKitClient;
  readonly #host: ConversationHost;
  readonly #store: Store<ViewState, Action>;
  readonly #around: TurnSurroundings;
  readonly #tools: ClientTools;
  #turn: Turn | null = null;
  #recovery = new AbortController();

  constructor(
    client: ChatKitClient,
    host: ConversationHost,
    store: Store<ViewState, Action>,
    around: TurnSurroundings,
  ) {
    this.#client = client;
    this.#host = host;
    this.#store = store;
    this.#around = around;
    this.#tools = new ClientTools(host);
  }

  get running(): boolean {
    return this.#turn !== null;
  }

  /** Resolves when the answer has begun, with a promise of its end. */
  async begin(request: StreamRequest, undo: Undo): Promise<{ finished: Promise<void> }> {
    const turn = this.#enter({ turnId: null, after: 0 }, undo.message);
    try {
      const { signal } = turn.controller;
      const response = await ask(this.#client, request, signal, this.#onLost(turn));
      this.#host.emit('chatkit.response.start', undefined);
      return { finished: this.#finishOwn(turn, response) };
    } catch (error) {
      if (!turn.left) this.#refuse(turn, undo, error);
      throw error;
    }
  }

  /**
   * Shows the rest of a turn that was begun elsewhere. Resolves when it is over, or left, and with
   * true when the server's record is to be read again.
   */
  async join(place: Place, signal: AbortSignal): Promise<boolean> {
    const turn = this.#enter(place, null);
    turn.joined = true;
    const leave = (): void => {
      if (this.#turn === turn) this.close();
    };
    signal.addEventListener('abort', leave);
    if (!this.#store.value.answering) this.#store.dispatch({ type: 'joined' });
    this.#host.emit('chatkit.response.start', undefined);
    await this.#finish(turn, this.#read(turn, null));
    signal.removeEventListener('abort', leave);
    return !turn.stopped;
  }

  /**
   * Ends the turn, not only the reading of it: the stream goes on to its end, so that what is shown
   * is what the server keeps. A server without turns takes the end of the request for a stop.
   */
  stop(): void {
    const turn = this.#turn;
    if (!turn || turn.stopped) return;
    turn.stopped = true;
    if (turn.place.turnId !== null) this.#cancel(turn);
    else if (this.#client.keepsTurns && !this.#store.value.reconnecting) this.#limit(turn);
    else turn.controller.abort();
  }

  /** Reads no further. The turn itself goes on where a server keeps turns. */
  close(): void {
    this.#recovery.abort();
    const turn = this.#turn;
    this.#turn = null;
    if (!turn) return;
    turn.left = true;
    clearTimeout(turn.timer);
    turn.controller.abort();
  }

  #enter(place: Place, message: Unsent | null): Turn {
    this.#recovery.abort();
    const controller = new AbortController();
    const rest = { joined: false, left: false, stopped: false, cancelled: null, timer: undefined };
    this.#turn = { controller, place, message, ...rest };
    return this.#turn;
  }

  #limit(turn: Turn): void {
    turn.timer ??= setTimeout(() => turn.controller.abort(), CANCEL_TIMEOUT);
  }

  #cancel(turn: Turn): void {
    this.#limit(turn);
    const { turnId } = turn.place;
    turn.cancelled = (async () => {
      for (let attempt = 0; turnId !== null; attempt++) {
        try {
          return await this.#client.cancelTurn(turnId, turn.controller.signal);
        } catch (error) {
          if (!isPassing(error)) break;
          await pause(backoff(attempt), turn.controller.signal).catch(() => undefined);
        }
      }
      turn.controller.abort();
      return null;
    })();
  }

  #refuse(turn: Turn, undo: Undo, error: unknown): void {
    this.#turn = null;
    clearTimeout(turn.timer);
    const alert = turn.stopped ? null : alertFor(error);
    this.#store.dispatch({ type: 'refused', items: undo.items, alert });
    if (undo.message) this.#host.restore(undo.message);
    if (alert) report(this.#host, error);
    const turnId = error instanceof ChatKitRequestError ? error.turnId : null;
    if (turnId !== null) this.#around.turnInTheWay(turnId);
    else this.#around.turnEnded(null);
  }

  async #finishOwn(turn: Turn, response: StreamResponse): Promise<void> {
    const read = await this.#finish(turn, this.#consume(turn, response));
    const over = read || (turn.cancelled !== null && (await turn.cancelled) !== null);
    if (!turn.left && this.#turn === null) this.#around.turnEnded(over ? turn.place.turnId : null);
  }

  /** True when the turn was read to its end. */
  async #finish(turn: Turn, reading: Promise<void>): Promise<boolean> {
    let read = false;
    try {
      await reading;
      const state = (await turn.cancelled)?.state;
      const stopped = turn.stopped && state !== 'completed';
      if (!turn.left) this.#end(stopped ? 'stopped' : 'complete');
      read = true;
    } catch (error) {
      if (!turn.left) this.#broken(turn, error);
    } finally {
      clearTimeout(turn.timer);
      if (this.#turn === turn) this.#turn = null;
      this.#host.emit('chatkit.response.end', undefined);
    }
    return read;
  }

  #end(outcome: 'complete' | 'stopped' | 'lost'): void {
    this.#store.dispatch({ type: 'ended', outcome });
  }

  async #consume(turn: Turn, first: StreamResponse): Promise<void> {
    for (let response = first; ; ) {
      turn.place = { turnId: response.turnId, after: 0 };
      if (turn.stopped && turn.cancelled === null) {
        if (response.turnId === null) turn.controller.abort();
        else this.#cancel(turn);
      }
      await this.#read(turn, response);
      const call = this.#tools.pending(this.#store.value.items);
      const { threadId } = this.#store.value;
      if (!call || threadId === null || turn.left || turn.stopped) return;
      const result = await this.#tools.run(call);
      if (turn.left || turn.stopped) return;
      response = await ask(
        this.#client,
        { type: 'threads.add_client_tool_output', params: { thread_id: threadId, result } },
        turn.controller.signal,
        this.#onLost(turn),
      );
    }
  }

  async #read(turn: Turn, first: StreamResponse | null): Promise<void> {
    const { place, controller } = turn;
    const events = readTurn(this.#client, place, first, controller.signal, this.#onLost(turn));
    for await (const { event, again } of events) {
      if (turn.left) return;
      this.#apply(turn, event, again);
    }
  }

  #onLost(turn: Turn): (lost: boolean) => void {
    return (lost) => {
      if (!turn.left) this.#store.dispatch({ type: 'lost', lost });
    };
  }

  #apply(turn: Turn, event: StreamEvent, again: boolean): void {
    const { threadId } = this.#store.value;
    this.#store.dispatch({ type: 'event', event, again });
    switch (event.type) {
      case 'thread.created':
        if (event.thread.id !== threadId) {
          this.#host.emit('chatkit.thread.change', { threadId: event.thread.id });
        }
        break;
      case 'thread.item.done':
        if (event.item?.type === 'user_message') turn.message = null;
        break;
      case 'client_effect':
        this.#host.emit('chatkit.effect', { name: event.name, data: event.data ?? {} });
        break;
      case 'error':
        report(this.#host, new ChatKitStreamError(event.message ?? event.code ?? 'stream.error'));
        break;
      default:
    }
  }

  #broken(turn: Turn, error: unknown): void {
    if (turn.stopped || isAbort(error)) {
      this.#end('stopped');
      this.#giveBack(turn);
      return;
    }
    const gone = error instanceof ChatKitRequestError && [404, 410].includes(error.status);
    if (gone && turn.joined) {
      this.#end('complete');
      return;
    }
    if (!gone) report(this.#host, error);
    if (!gone && !(error instanceof ChatKitConnectionError)) {
      this.#store.dispatch({ type: 'ended', outcome: 'failed', alert: alertFor(error) });
      this.#giveBack(turn);
      return;
    }
    this.#end('lost');
    void this.#recover(turn, gone ? 0 : backoff(0));
  }

  /** A message of which the server has said nothing must not be lost: it can be sent again. */
  #giveBack(turn: Turn): void {
    if (turn.message === null) return;
    const { items, alert } = this.#store.value;
    this.#store.dispatch({
      type: 'refused',
      items: items.filter((item) => !isLocal(item)),
      alert,
    });
    this.#host.restore(turn.message);
    turn.message = null;
  }

  /** Takes the server's record of a turn whose stream cannot be had any more. */
  async #recover(turn: Turn, delay: number): Promise<void> {
    this.#recovery = new AbortController();
    const { signal } = this.#recovery;
    const { threadId } = this.#store.value;
    if (threadId === null) {
      this.#store.dispatch({ type: 'load.failed', alert: OFFLINE });
      this.#giveBack(turn);
      return;
    }
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await pause(attempt === 1 ? delay : backoff(attempt - 1), signal);
        const snapshot = await fetchNewest(this.#client, threadId, signal);
        const known = new Set(this.#store.value.items.map((item) => item.id));
        const recorded = snapshot.items.some(
          (item) => item.type === 'user_message' && !known.has(item.id),
        );
        this.#store.dispatch({ type: 'reconciled', ...snapshot });
        if (!recorded) this.#giveBack(turn);
        return;
      } catch (error) {
        // A server that starts up answers 5xx or nothing: try on. Any other answer is final.
        if (!signal.aborted && error instanceof ChatKitRequestError && !isPassing(error)) {
          this.#around.loadFailed(error);
          return;
        }
      }
    }
  }
}
