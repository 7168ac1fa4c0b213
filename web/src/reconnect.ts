/** Waiting between attempts to reach a server that is gone. */
import { ChatKitRequestError } from './errors.js';

const FIRST_DELAY = 1000;
const LONGEST_DELAY = 15_000;

/** 1, 2, 4, 8, 15, 15 … seconds. */
export function backoff(attempt: number): number {
  return Math.min(FIRST_DELAY * 2 ** Math.min(attempt, 10), LONGEST_DELAY);
}

/** What the server asked for with `Retry-After`, within reason, or else the backoff. */
export function delayAfter(error: unknown, attempt: number): number {
  const seconds = error instanceof ChatKitRequestError ? error.retryAfter : null;
  return seconds === null ? backoff(attempt) : Math.min(seconds * 1000, LONGEST_DELAY);
}

/** A random delay of up to so many ms: a restarted server must not meet all its readers at once. */
export function jitter(limit: number): number {
  return Math.random() * limit;
}

/** Resolves after the delay, or as soon as the browser is online again; rejects by the signal. */
export async function pause(delay: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let done = (): void => undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await new Promise<void>((resolve) => {
      done = resolve;
      timer = setTimeout(done, delay);
      globalThis.addEventListener?.('online', done);
      signal.addEventListener('abort', done);
    });
  } finally {
    clearTimeout(timer);
    globalThis.removeEventListener?.('online', done);
    signal.removeEventListener('abort', done);
  }
  signal.throwIfAborted();
}
