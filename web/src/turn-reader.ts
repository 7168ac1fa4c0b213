/**
 * The events of one turn, each once and in order, through any number of cuts.
 *
 * A turn lives on the server; a stream is a look at it. So where a stream breaks off, the next one
 * is asked for what comes behind the last event seen. Only a server without turns has nothing to
 * resume: there a lost connection ends the answer, and the end of the body is the end.
 */
import type { ChatKitClient, StreamResponse } from './client.js';
import { isPassing } from './errors.js';
import type { StreamEvent } from './protocol.js';
import { backoff, delayAfter, jitter, pause } from './reconnect.js';

/** A stream that broke off for no known reason is asked for again within this time. */
const AFTER_CUT = 250;
/** The server has asked all its readers to come back. */
const AFTER_HINT = 1000;
/** A stream that lasted this long was none of a server in trouble, even if nothing happened in it. */
const LASTING = 10_000;

/** How far a turn has been read. */
export interface Place {
  turnId: string | null;
  /** Number of the last event. */
  after: number;
}

export interface TurnEvent {
  event: StreamEvent;
  /** Told by a stream that may repeat what the reader knows in other words: see `replay.ts`. */
  again: boolean;
}

/**
 * Begins with `first`, or with a stream of its own from `place`, which is kept up to date. `onLost`
 * is told when the server cannot be reached and when it can again. Rejects with what the server
 * answers to a resumption: 404 or 410 when it has the events no longer.
 */
export async function* readTurn(
  client: ChatKitClient,
  place: Place,
  first: StreamResponse | null,
  signal: AbortSignal,
  onLost: (lost: boolean) => void,
): AsyncGenerator<TurnEvent, void, undefined> {
  let stream = first;
  let failures = 0;
  let lost = false;
  for (;;) {
    let delay = jitter(AFTER_CUT);
    const began = performance.now();
    try {
      const again = stream === null;
      stream ??= await client.turnEvents(place.turnId ?? '', place.after, signal);
      if (lost) {
        lost = false;
        onLost(false);
      }
      let hinted = false;
      for await (const part of stream.parts) {
        if (part.kind === 'end') return;
        hinted = part.kind === 'reconnect';
        if (hinted) break;
        if (part.kind !== 'event' || (part.id > 0 && part.id <= place.after)) continue;
        place.after = Math.max(place.after, part.id);
        failures = 0;
        yield { event: part.event, again };
      }
      if (!hinted && !stream.numbered) return;
      if (hinted || performance.now() - began > LASTING) failures = 0;
      if (hinted) delay = jitter(AFTER_HINT);
      else if (failures++ > 0) delay = backoff(failures - 2);
    } catch (error) {
      if (place.turnId === null || !isPassing(error)) throw error;
      if (failures++ > 0) delay = delayAfter(error, failures - 2);
    }
    stream = null;
    // One cut that heals at once is not worth a word.
    if (failures > 1 && !lost) {
      lost = true;
      onLost(true);
    }
    await pause(delay, signal);
  }
}
