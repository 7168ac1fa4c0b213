/**
 * Sends a streaming request until it is answered, or until it is clear that it will not be. The
 * tries of one request share a key, so a server that keeps turns answers it once, however often the
 * answer was lost on the way; of any other server a lost answer is not asked for again.
 */
import { type ChatKitClient, randomKey, type StreamResponse } from './client.js';
import { ChatKitConnectionError, ChatKitRequestError } from './errors.js';
import type { StreamRequest } from './protocol.js';
import { delayAfter, pause } from './reconnect.js';

const TRIES = 4;

/** `onLost` is told when the server could not be reached, and when it could again. */
export async function ask(
  client: ChatKitClient,
  request: StreamRequest,
  signal: AbortSignal,
  onLost: (lost: boolean) => void,
): Promise<StreamResponse> {
  const key = randomKey();
  for (let tried = 1; ; tried++) {
    try {
      const response = await client.stream(request, signal, key);
      if (tried > 1) onLost(false);
      return response;
    } catch (error) {
      if (tried === TRIES || !isWorthATry(client, error)) throw error;
      onLost(error instanceof ChatKitConnectionError);
      await pause(delayAfter(error, tried - 1), signal);
    }
  }
}

function isWorthATry(client: ChatKitClient, error: unknown): boolean {
  if (error instanceof ChatKitConnectionError) return client.keepsTurns;
  if (!(error instanceof ChatKitRequestError)) return false;
  // A proxy says 502 or 504 when the server behind it was lost, perhaps with the request.
  if (error.status === 502 || error.status === 504) return client.keepsTurns;
  return error.status === 503 && error.retryAfter !== null;
}
