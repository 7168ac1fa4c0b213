/**
 * The errors the element knows. All are `ChatKitError`, so a host can tell them from its own.
 *
 *   ChatKitError
 *   ├── ChatKitRequestError      the server answered with an error status, before any stream
 *   ├── ChatKitConnectionError   no answer, or the answer broke off
 *   ├── ChatKitProtocolError     the answer is not what the protocol says
 *   └── ChatKitStreamError       an `error` event inside a stream
 */
export class ChatKitError extends Error {
  override readonly name: string = 'ChatKitError';
}

export interface Problem {
  status: number;
  title: string;
  detail: string;
  type: string;
  /** The turn that stands in the way (409), where the server names it. */
  turnId: string | null;
  /** Seconds after which the server wants to be asked again. */
  retryAfter: number | null;
}

export class ChatKitRequestError extends ChatKitError {
  override readonly name = 'ChatKitRequestError';
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly type: string;
  readonly turnId: string | null;
  readonly retryAfter: number | null;

  constructor(problem: Problem) {
    super(problem.detail || problem.title || `The server answered ${problem.status}.`);
    this.status = problem.status;
    this.title = problem.title;
    this.detail = problem.detail;
    this.type = problem.type;
    this.turnId = problem.turnId;
    this.retryAfter = problem.retryAfter;
  }
}

export class ChatKitConnectionError extends ChatKitError {
  override readonly name = 'ChatKitConnectionError';
}

export class ChatKitProtocolError extends ChatKitError {
  override readonly name = 'ChatKitProtocolError';
}

export class ChatKitStreamError extends ChatKitError {
  override readonly name = 'ChatKitStreamError';
}

/** Whatever was thrown, as an error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new ChatKitError(String(thrown));
}

/** True for the error a fetch throws when its own signal was aborted. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/** True when the same request may well succeed later: nothing answered, or a server in trouble. */
export function isPassing(error: unknown): boolean {
  if (error instanceof ChatKitRequestError) {
    return error.status === 429 || (error.status >= 500 && error.status !== 501);
  }
  return error instanceof ChatKitConnectionError;
}
