/** Failed requests in the reader's terms. */
import { ChatKitConnectionError, ChatKitRequestError } from './errors.js';
import type { Alert } from './state.js';

/** Nothing was sent: the server is not there. */
export const OFFLINE: Alert = { kind: 'offline', message: null, allowRetry: false };

/** What a reader is told about a request that failed. */
export function alertFor(error: unknown): Alert {
  if (error instanceof ChatKitRequestError) {
    if (error.status === 401) return { kind: 'signed-out', message: null, allowRetry: false };
    // A conversation that is locked is a conflict too, and the server says so.
    if (error.status === 409 && (error.turnId !== null || error.detail === '')) {
      return { kind: 'busy', message: null, allowRetry: false };
    }
    return { kind: 'request', message: error.detail || error.title || null, allowRetry: false };
  }
  if (error instanceof ChatKitConnectionError) return OFFLINE;
  return { kind: 'request', message: null, allowRetry: false };
}
