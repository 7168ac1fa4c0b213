/**
 * ChatKit requests over a given `fetch`. One method for streams, one for JSON answers; every
 * failure leaves as an error of `errors.ts`, except an abort, which leaves as it is.
 */
import {
  ChatKitConnectionError,
  ChatKitProtocolError,
  ChatKitRequestError,
  isAbort,
  type Problem,
} from './errors.js';
import type { JsonCalls, StreamEvent, StreamRequest } from './protocol.js';
import { SseOverflowError, SseParser } from './sse.js';

/** Longest error body that is read; the rest of an HTML error page is of no use to anybody. */
const MAX_PROBLEM_LENGTH = 64 * 1024;

/** What may change from one request to the next; read anew for each. */
export interface Transport {
  fetch?: typeof fetch | undefined;
  locale?: string | undefined;
}

/** An answer that has begun: its headers are here, its events follow. */
export interface StreamResponse {
  /** The turn's id where the server names one (`X-Chatkeep-Turn`), for an explicit stop. */
  turnId: string | null;
  events: AsyncGenerator<StreamEvent, void, undefined>;
}

export class ChatKitClient {
  readonly #url: string;
  readonly #transport: () => Transport;

  constructor(url: string, transport: () => Transport = () => ({})) {
    this.#url = url;
    this.#transport = transport;
  }

  async call<T extends keyof JsonCalls>(
    type: T,
    params: JsonCalls[T]['params'],
    signal?: AbortSignal,
  ): Promise<JsonCalls[T]['result']> {
    const response = await this.#post({ type, params }, 'application/json', signal);
    try {
      return (await response.json()) as JsonCalls[T]['result'];
    } catch (error) {
      if (isAbort(error)) throw error;
      if (error instanceof SyntaxError) {
        throw new ChatKitProtocolError(`The answer to ${type} is not JSON.`, { cause: error });
      }
      throw new ChatKitConnectionError('The connection to the server was lost.', { cause: error });
    }
  }

  /** Resolves when the answer has begun; an error status rejects here, before any event. */
  async stream(request: StreamRequest, signal?: AbortSignal): Promise<StreamResponse> {
    const response = await this.#post(request, 'text/event-stream', signal);
    if (!response.body) throw new ChatKitProtocolError('The answer has no body to read.');
    return {
      turnId: response.headers.get('X-Chatkeep-Turn'),
      events: readEvents(response.body),
    };
  }

  /** Ends a turn on servers that can; a server that cannot has already noticed the abort. */
  async cancelTurn(turnId: string, signal?: AbortSignal): Promise<void> {
    const [path = '', query] = this.#url.split('?');
    const url = `${path.replace(/\/$/, '')}/turns/${encodeURIComponent(turnId)}/cancel`;
    await this.#send(query ? `${url}?${query}` : url, '{}', 'application/json', signal);
  }

  #post(body: object, accept: string, signal?: AbortSignal): Promise<Response> {
    return this.#send(this.#url, JSON.stringify(body), accept, signal);
  }

  async #send(url: string, body: string, accept: string, signal?: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { 'Content-Type': 'application/json', Accept: accept };
    const { fetch: send = fetch, locale } = this.#transport();
    if (locale) headers['Accept-Language'] = locale;
    let response: Response;
    try {
      response = await send(url, { method: 'POST', headers, body, signal: signal ?? null });
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new ChatKitConnectionError('The server could not be reached.', { cause: error });
    }
    if (!response.ok) throw new ChatKitRequestError(await readProblem(response));
    return response;
  }
}

async function* readEvents(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<StreamEvent, void, undefined> {
  const reader = body.getReader();
  const parser = new SseParser();
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        ended = true;
        return;
      }
      for (const { data } of parser.push(value)) {
        const event = parseEvent(data);
        if (event) yield event;
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
    if (!ended) await reader.cancel().catch(() => undefined);
  }
}

function parseEvent(data: string): StreamEvent | null {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (error) {
    throw new ChatKitProtocolError('The server sent an event that is not JSON.', { cause: error });
  }
  if (typeof value !== 'object' || value === null || !('type' in value)) return null;
  return value as StreamEvent;
}

async function readProblem(response: Response): Promise<Problem> {
  const problem: Problem = {
    status: response.status,
    title: response.statusText,
    detail: '',
    type: 'about:blank',
  };
  if (!/\bjson\b/.test(response.headers.get('Content-Type') ?? '')) return problem;
  try {
    const body: unknown = JSON.parse((await response.text()).slice(0, MAX_PROBLEM_LENGTH));
    if (typeof body !== 'object' || body === null) return problem;
    for (const key of ['title', 'detail', 'type'] as const) {
      const value = (body as Record<string, unknown>)[key];
      if (typeof value === 'string') problem[key] = value;
    }
  } catch {
    // A broken error body must not hide the status, which is the part that matters.
  }
  return problem;
}
