/** Bytes to a server, with what is known of how far they have come. */
import { ChatKitConnectionError, ChatKitRequestError } from '../errors.js';
import { readProblem } from '../problem.js';

export interface Parcel {
  url: string;
  method: 'POST' | 'PUT';
  headers: Record<string, string>;
  body: Blob | FormData;
}

/**
 * Sends a parcel and returns the answer; rejects unless its status is a success.
 *
 * A host's own `fetch` is used where there is one, which knows how to authenticate but cannot tell
 * of progress; else `onProgress` gets shares from 0 to 1.
 */
export async function sendParcel(
  parcel: Parcel,
  own: typeof fetch | undefined,
  signal: AbortSignal,
  onProgress: (share: number) => void,
): Promise<Response> {
  const response = own
    ? await byFetch(parcel, own, signal)
    : await byXhr(parcel, signal, onProgress);
  if (!response.ok) throw new ChatKitRequestError(await readProblem(response));
  return response;
}

async function byFetch(
  { url, ...init }: Parcel,
  send: typeof fetch,
  signal: AbortSignal,
): Promise<Response> {
  try {
    return await send(url, { ...init, signal });
  } catch (error) {
    signal.throwIfAborted();
    throw new ChatKitConnectionError('The server could not be reached.', { cause: error });
  }
}

function byXhr(
  { url, method, headers, body }: Parcel,
  signal: AbortSignal,
  onProgress: (share: number) => void,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    const abort = (): void => request.abort();
    signal.addEventListener('abort', abort);
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total, lengthComputable }) => {
      if (lengthComputable) onProgress(loaded / total);
    };
    request.onload = () => {
      const type = request.getResponseHeader('Content-Type');
      const empty = [204, 205, 304].includes(request.status);
      resolve(
        new Response(empty ? null : request.responseText, {
          status: request.status,
          headers: type ? { 'Content-Type': type } : {},
        }),
      );
    };
    request.onerror = () => reject(new ChatKitConnectionError('The server could not be reached.'));
    request.onabort = () => reject(signal.reason);
    request.onloadend = () => signal.removeEventListener('abort', abort);
    request.send(body);
  });
}
