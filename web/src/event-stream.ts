/** The body of a streamed answer: its events, and the marks that Chatkeep sets between them. */
import { ChatKitConnectionError, ChatKitProtocolError, isAbort } from './errors.js';
import type { StreamEvent } from './protocol.js';
import { SseOverflowError, SseParser } from './sse.js';

export type StreamPart =
  /** `id` is the number of the event, 0 in a stream without numbers. */
  | { kind: 'event'; event: StreamEvent; id: number }
  /** What follows belongs to this turn. */
  | { kind: 'turn'; turnId: string }
  /** The turn is over. */
  | { kind: 'end' }
  /** The rest is to be asked for anew. */
  | { kind: 'reconnect' };

/** Chatkeep says something every 15 s; a line that is silent for longer than this is dead. */
export const MAX_SILENCE = 45_000;

/**
 * Ends with the body; `silence` ms without a byte (0: any time) end it too. Leaving the loop closes
 * the request.
 */
export async function* readParts(
  body: ReadableStream<Uint8Array>,
  silence: number,
): AsyncGenerator<StreamPart, void, undefined> {
  const reader = body.getReader();
  const parser = new SseParser();
  const close = (): Promise<void> => reader.cancel().catch(() => undefined);
  let ended = false;
  try {
    for (;;) {
      const timer = silence > 0 ? setTimeout(close, silence) : undefined;
      const { done, value } = await reader.read().finally(() => clearTimeout(timer));
      if (done) {
        ended = true;
        return;
      }
      for (const message of parser.push(value)) {
        const part =
          'comment' in message ? parseMark(message.comment) : parseEvent(message.data, message.id);
        if (part) yield part;
      }
    }
  } catch (error) {
    if (isAbort(error) || error instanceof ChatKitProtocolError) throw error;
    if (error instanceof SseOverflowError) {
      throw new ChatKitProtocolError(error.message, { cause: error });
    }
    throw new ChatKitConnectionError('The connection to the server was lost.', { cause: error });
  } finally {
    // Closing the reader closes the request; a broken body rejects, and has been answered above.
    if (!ended) await close();
  }
}

function parseMark(comment: string): StreamPart | null {
  if (comment === 'end' || comment === 'reconnect') return { kind: comment };
  return comment.startsWith('turn ') ? { kind: 'turn', turnId: comment.slice(5) } : null;
}

function parseEvent(data: string, id: string | null): StreamPart | null {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (error) {
    throw new ChatKitProtocolError('The server sent an event that is not JSON.', { cause: error });
  }
  if (typeof value !== 'object' || value === null || !('type' in value)) return null;
  return { kind: 'event', event: value as StreamEvent, id: Number(id) || 0 };
}
