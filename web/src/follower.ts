/**
 * Follows a thread on a server that keeps turns: a turn that runs when the thread is opened, and
 * those that are begun later in another tab or on another device.
 *
 * Browsers allow six connections to a server over HTTP/1.1, and a follower holds one. So only a page
 * that is visible follows, and one that comes back reads the newest items first. The stream of the
 * thread is no more than a doorbell: the turn it names is read by its own route, which has an end.
 */
import type { ChatKitClient } from './client.js';
import { ChatKitConnectionError, ChatKitRequestError, isPassing } from './errors.js';
import { delayAfter, jitter, pause } from './reconnect.js';
import type { Place } from './turn-reader.js';
import type { Visibility } from './visibility.js';

const AFTER_HINT = 1000;
/** A stream that lasted this long was none of a server in trouble. */
const LASTING = 10_000;

export interface FollowHost {
  /** Takes over the newest items of the open thread. */
  reconcile(signal: AbortSignal): Promise<void>;
  /**
   * Shows a turn from this place on, which it moves. Resolves when the turn is over, or left, and
   * with true when the items are to be reconciled.
   */
  join(place: Place, signal: AbortSignal): Promise<boolean>;
}

/** What is known when following begins. */
export interface Known {
  /** A turn that runs. */
  running?: string;
  /** The last turn, which is over. */
  over?: string | null;
}

export class Follower {
  readonly #client: ChatKitClient;
  readonly #host: FollowHost;
  readonly #page: Visibility;
  #threadId: string | null = null;
  #place: Place | null = null;
  #over: string | null = null;
  /** Nobody has looked which turn runs. */
  #unasked = true;
  /** There may be newer items than those on the screen. */
  #stale = false;
  #following: AbortController | null = null;
  #unsubscribe: () => void = () => undefined;
  /** The server has answered that it knows nothing of this. */
  #refused = false;

  constructor(client: ChatKitClient, host: FollowHost, page: Visibility) {
    this.#client = client;
    this.#host = host;
    this.#page = page;
  }

  follow(threadId: string, { running, over = null }: Known = {}): void {
    this.leave();
    if (this.#refused || !this.#client.mayKeepTurns) return;
    this.#threadId = threadId;
    this.#over = over;
    this.#place = running ? { turnId: running, after: 0 } : null;
    this.#stale = running !== undefined;
    this.#unasked = over === null;
    this.#unsubscribe = this.#page.subscribe(this.#update);
    this.#update();
  }

  leave(): void {
    this.#threadId = null;
    this.#unsubscribe();
    this.#update();
  }

  readonly #update = (): void => {
    if (this.#threadId === null || !this.#page.visible) {
      this.#following?.abort();
      this.#following = null;
      this.#unasked = true;
      this.#stale = true;
    } else if (!this.#following) {
      this.#following = new AbortController();
      void this.#run(this.#threadId, this.#following.signal);
    }
  };

  async #run(threadId: string, signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      const began = performance.now();
      try {
        await this.#reconcile(signal);
        const place = this.#place ?? (await this.#next(threadId, signal));
        signal.throwIfAborted();
        this.#place = place;
        if (place) await this.#join(place, signal);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (!isPassing(error)) {
          this.#refused = isUnknownRoute(error);
          this.leave();
          return;
        }
        if (performance.now() - began > LASTING) failures = 0;
        this.#stale = true;
        await pause(delayAfter(error, failures++), signal).catch(() => undefined);
      }
    }
  }

  async #reconcile(signal: AbortSignal): Promise<void> {
    if (!this.#stale) return;
    try {
      await this.#host.reconcile(signal);
      signal.throwIfAborted();
      this.#stale = false;
    } catch (error) {
      // A turn on the screen has to go on, or to be ended, whatever became of the rest.
      if (signal.aborted || !this.#place) throw error;
    }
  }

  async #join(place: Place, signal: AbortSignal): Promise<void> {
    // A retry in another tab has removed items, and the next turn may have come and gone.
    const stale = await this.#host.join(place, signal);
    signal.throwIfAborted();
    this.#over = place.turnId;
    this.#place = null;
    this.#stale = stale;
  }

  /** Waits for a turn to read; `null` when the stream has to be opened anew. */
  async #next(threadId: string, signal: AbortSignal): Promise<Place | null> {
    if (this.#unasked) {
      const turn = await this.#client.runningTurn(threadId, signal);
      signal.throwIfAborted();
      this.#unasked = false;
      if (turn && turn.id !== this.#over) return { turnId: turn.id, after: 0 };
    }
    const { parts } = await this.#client.threadEvents(threadId, signal);
    for await (const part of parts) {
      if (part.kind === 'turn' && part.turnId !== this.#over) {
        return { turnId: part.turnId, after: 0 };
      }
      if (part.kind === 'reconnect') {
        await pause(jitter(AFTER_HINT), signal);
        // Whatever began and ended meanwhile.
        this.#stale = true;
        return null;
      }
    }
    throw new ChatKitConnectionError('The stream of the thread broke off.');
  }
}

/** Not Chatkeep's own words for a thread that is gone or somebody else's. */
function isUnknownRoute(error: unknown): boolean {
  if (!(error instanceof ChatKitRequestError)) return true;
  return ![401, 403].includes(error.status) && !error.type.startsWith('urn:chatkeep:');
}
