/**
 * ChatKit requests over a given `fetch`, and Chatkeep's own routes for turns beside them. Every
 * failure leaves as an error of `errors.ts`, except an abort, which leaves as it is.
 */
import {
  ChatKitConnectionError,
  ChatKitProtocolError,
  ChatKitRequestError,
  isAbort,
} from './errors.js';
import { MAX_SILENCE, readParts, type StreamPart } from './event-stream.js';
import { readProblem } from './problem.js';
import type { JsonCalls, StreamRequest, TurnRecord } from './protocol.js';

const JSON_TYPE = 'application/json';
const STREAM_TYPE = 'text/event-stream';

/** What may change from one request to the next; read anew for each. */
export interface Transport {
  fetch?: typeof fetch | undefined;
  locale?: string | undefined;
  /** Whether the server keeps turns (`api.resumable`); left out, the element finds out. */
  resumable?: boolean | undefined;
}

/** An answer that has begun: its headers are here, its events follow. */
export interface StreamResponse {
  /** The turn's id where the server names one (`X-Chatkeep-Turn`): it can be stopped by it. */
  turnId: string | null;
  /** Events have numbers, and an end without a mark is a cut. */
  numbered: boolean;
  parts: AsyncGenerator<StreamPart, void, undefined>;
}

interface Sending {
  method?: 'GET';
  body?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

export class ChatKitClient {
  readonly #url: string;
  readonly #transport: () => Transport;
  /** What the server's answers have shown. */
  #seen: boolean | undefined;

  constructor(url: string, transport: () => Transport = () => ({})) {
    this.#url = url;
    this.#transport = transport;
  }

  /** The server surely keeps turns: a request sent twice with one key is answered once. */
  get keepsTurns(): boolean {
    const { resumable } = this.#transport();
    return resumable !== false && (this.#seen ?? resumable === true);
  }

  /**
   * The server may be asked for turns. A server of another origin is not before it is known: the
   * headers of such requests need a permission that a plain ChatKit server does not give.
   */
  get mayKeepTurns(): boolean {
    const { resumable } = this.#transport();
    return resumable !== false && (this.#seen ?? resumable ?? isSameOrigin(this.#url));
  }

  async call<T extends keyof JsonCalls>(
    type: T,
    params: JsonCalls[T]['params'],
    signal?: AbortSignal,
  ): Promise<JsonCalls[T]['result']> {
    const body = JSON.stringify({ type, params });
    const response = await this.#send(this.#url, JSON_TYPE, { body, signal });
    return (await readJson(response, type)) as JsonCalls[T]['result'];
  }

  /**
   * Resolves when the answer has begun; an error status rejects here, before any event. The same
   * request sent again with the same `key` gets the answer of the first.
   */
  async stream(
    request: StreamRequest,
    signal?: AbortSignal,
    key: string = randomKey(),
  ): Promise<StreamResponse> {
    const asked = this.mayKeepTurns;
    const response = await this.#send(this.#url, STREAM_TYPE, {
      body: JSON.stringify(request),
      headers: asked ? { 'X-Chatkeep-Events': 'numbered', 'Idempotency-Key': key } : {},
      signal,
    });
    const turnId = response.headers.get('X-Chatkeep-Turn');
    this.#seen = turnId !== null;
    return opened(response, turnId, asked && turnId !== null);
  }

  /** The events of a turn behind number `after`, to its end. */
  async turnEvents(turnId: string, after: number, signal?: AbortSignal): Promise<StreamResponse> {
    const url = this.#route(`turns/${encodeURIComponent(turnId)}/events`, `after=${after}`);
    return opened(await this.#get(url, STREAM_TYPE, signal), turnId, true);
  }

  /** What happens in a thread from now on (and in the turn that runs); it does not end. */
  async threadEvents(threadId: string, signal?: AbortSignal): Promise<StreamResponse> {
    const url = this.#route(`threads/${encodeURIComponent(threadId)}/events`);
    return opened(await this.#get(url, STREAM_TYPE, signal), null, true);
  }

  /** The turn that runs in a thread, or waits to; `null` when there is none. */
  async runningTurn(threadId: string, signal?: AbortSignal): Promise<TurnRecord | null> {
    const url = this.#route(`threads/${encodeURIComponent(threadId)}/turn`);
    const response = await this.#get(url, JSON_TYPE, signal);
    return response.status === 204 ? null : readTurn(await readJson(response, url));
  }

  /** Ends a turn; what it has written stays. */
  async cancelTurn(turnId: string, signal?: AbortSignal): Promise<TurnRecord> {
    const url = this.#route(`turns/${encodeURIComponent(turnId)}/cancel`);
    return readTurn(await readJson(await this.#send(url, JSON_TYPE, { body: '{}', signal }), url));
  }

  #route(path: string, query = ''): string {
    const [base = '', own = ''] = this.#url.split('?');
    const search = [own, query].filter(Boolean).join('&');
    return `${base.replace(/\/$/, '')}/${path}${search && `?${search}`}`;
  }

  async #get(url: string, accept: string, signal?: AbortSignal): Promise<Response> {
    const response = await this.#send(url, accept, { method: 'GET', signal });
    const type = response.headers.get('Content-Type') ?? '';
    // A site that answers every unknown path with its start page has not answered this one.
    if (response.status !== 204 && !type.startsWith(accept)) {
      await response.body?.cancel().catch(() => undefined);
      throw new ChatKitProtocolError(`The answer is not ${accept}.`);
    }
    return response;
  }

  async #send(
    url: string,
    accept: string,
    { method, body, headers, signal }: Sending,
  ): Promise<Response> {
    const { fetch: send = fetch, locale } = this.#transport();
    let response: Response;
    try {
      response = await send(url, {
        method: method ?? 'POST',
        headers: {
          Accept: accept,
          ...(method ? {} : { 'Content-Type': JSON_TYPE }),
          ...(locale ? { 'Accept-Language': locale } : {}),
          ...headers,
        },
        body: body ?? null,
        signal: signal ?? null,
      });
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new ChatKitConnectionError('The server could not be reached.', { cause: error });
    }
    if (!response.ok) throw new ChatKitRequestError(await readProblem(response));
    return response;
  }
}

/** A fresh key for one request: 128 random bits. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function opened(response: Response, turnId: string | null, numbered: boolean): StreamResponse {
  if (!response.body) throw new ChatKitProtocolError('The answer has no body to read.');
  return { turnId, numbered, parts: readParts(response.body, numbered ? MAX_SILENCE : 0) };
}

async function readJson(response: Response, what: string): Promise<unknown> {
  try {
    return await response.json();
  } catch (error) {
    if (isAbort(error)) throw error;
    if (error instanceof SyntaxError) {
      throw new ChatKitProtocolError(`The answer to ${what} is not JSON.`, { cause: error });
    }
    throw new ChatKitConnectionError('The connection to the server was lost.', { cause: error });
  }
}

function readTurn(value: unknown): TurnRecord {
  const turn = value as Partial<TurnRecord> | null;
  if (typeof turn?.id !== 'string') throw new ChatKitProtocolError('The answer is not a turn.');
  return { id: turn.id, state: String(turn.state) };
}

function isSameOrigin(url: string): boolean {
  return (
    typeof location !== 'undefined' && new URL(url, document.baseURI).origin === location.origin
  );
}
