/**
 * Server-sent events: bytes in, events out. No I/O and no timers, so every hostile cut of a stream
 * can be tried in a test.
 *
 * Lines are collected in a list and joined once, when their end arrives: joining per chunk would
 * cost O(n²) on one long line. Both the open line and the open event count against `maxEventSize`,
 * so a server (or a proxy's endless error page) cannot fill the memory of the tab.
 */

export interface ServerSentEvent {
  data: string;
  /** The last `id:` seen on the stream, or `null`. */
  id: string | null;
  event: string;
}

/** A line that begins with a colon. The format gives it no meaning; Chatkeep's streams do. */
export interface SseComment {
  comment: string;
}

export class SseOverflowError extends Error {
  override readonly name = 'SseOverflowError';
  constructor(readonly limit: number) {
    super(`A server-sent event is larger than ${limit} characters.`);
  }
}

const DEFAULT_MAX_EVENT_SIZE = 8 * 1024 * 1024;

export class SseParser {
  readonly #limit: number;
  // `ignoreBOM: false` removes a byte order mark at the start, as the format demands.
  readonly #decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: false });
  #pieces: string[] = [];
  #pieceLength = 0;
  #data: string[] = [];
  #dataLength = 0;
  #event = '';
  #id: string | null = null;
  #afterCarriageReturn = false;

  constructor(options: { maxEventSize?: number } = {}) {
    this.#limit = options.maxEventSize ?? DEFAULT_MAX_EVENT_SIZE;
  }

  /** What this chunk completed. Throws `SseOverflowError` when an event grows past the limit. */
  push(chunk: Uint8Array): (ServerSentEvent | SseComment)[] {
    return this.#scan(this.#decoder.decode(chunk, { stream: true }));
  }

  #scan(text: string): (ServerSentEvent | SseComment)[] {
    const events: (ServerSentEvent | SseComment)[] = [];
    let start = 0;
    // A CR ended the last line; the LF of a CRLF pair may arrive in the next chunk.
    if (this.#afterCarriageReturn && text.length > 0) {
      this.#afterCarriageReturn = false;
      if (text.charCodeAt(0) === 10) start = 1;
    }
    for (let i = start; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code !== 10 && code !== 13) continue;
      this.#keep(text.slice(start, i));
      const event = this.#endLine();
      if (event) events.push(event);
      if (code === 13) {
        if (i + 1 === text.length) this.#afterCarriageReturn = true;
        else if (text.charCodeAt(i + 1) === 10) i++;
      }
      start = i + 1;
    }
    if (start < text.length) this.#keep(text.slice(start));
    return events;
  }

  #keep(piece: string): void {
    if (piece === '') return;
    this.#pieces.push(piece);
    this.#pieceLength += piece.length;
    if (this.#pieceLength + this.#dataLength > this.#limit) throw new SseOverflowError(this.#limit);
  }

  #endLine(): ServerSentEvent | SseComment | null {
    const line = this.#pieces.length === 1 ? (this.#pieces[0] ?? '') : this.#pieces.join('');
    this.#pieces = [];
    this.#pieceLength = 0;
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return { comment: line.slice(1).trim() };
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value.startsWith(' ')) value = value.slice(1);
    if (field === 'data') {
      this.#data.push(value);
      this.#dataLength += value.length + 1;
    } else if (field === 'event') {
      this.#event = value;
    } else if (field === 'id' && !value.includes('\0')) {
      this.#id = value;
    }
    return null;
  }

  #dispatch(): ServerSentEvent | null {
    const event = this.#event;
    this.#event = '';
    if (this.#data.length === 0) return null;
    const data = this.#data.join('\n');
    this.#data = [];
    this.#dataLength = 0;
    return { data, id: this.#id, event: event || 'message' };
  }
}
