/** Waiting between attempts to reach a server that is gone. */

const FIRST_DELAY = 1000;
const LONGEST_DELAY = 15_000;

/** 1, 2, 4, 8, 15, 15 … seconds. */
export function backoff(attempt: number): number {
  return Math.min(FIRST_DELAY * 2 ** Math.min(attempt, 10), LONGEST_DELAY);
}

/** Resolves after the delay, as soon as the browser is online again, or when the signal aborts. */
export function pause(delay: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      globalThis.removeEventListener?.('online', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, delay);
    globalThis.addEventListener?.('online', done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
