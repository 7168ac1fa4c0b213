/**
 * Files on their way to the server: in two phases (`attachments.create`, then the bytes to where its
 * answer says) or directly. A failure stays with its file, which can be tried again.
 */
import type { ChatKitClient } from '../client.js';
import { ChatKitProtocolError, ChatKitRequestError } from '../errors.js';
import type { ChatKitOptions } from '../options.js';
import type { Attachment } from '../protocol.js';
import { typeOf } from './limits.js';
import { sendParcel } from './sending.js';
import type { Upload } from './upload.js';
import css from './uploads.css';

export { bytes, sift } from './limits.js';
export { uploadList } from './uploads-view.js';

export const styles = css;

/** Uploads at once; the rest wait. */
const MAX_PARALLEL = 3;

export interface UploadContext {
  client: ChatKitClient;
  api(): ChatKitOptions['api'];
  /** The words for a failure. */
  failure(error: unknown): string;
  /** Something is to be shown anew. */
  changed(): void;
  report(error: unknown): void;
}

export class Uploads {
  readonly #context: UploadContext;
  #count = 0;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(context: UploadContext) {
    this.#context = context;
  }

  /** Begins to upload a file. */
  add(file: File): Upload {
    this.#count += 1;
    const upload = new FileUpload(`upload-${this.#count}`, file, this.#context, (run) =>
      this.#inTurn(run),
    );
    upload.retry();
    return upload;
  }

  async #inTurn(run: () => Promise<void>): Promise<void> {
    if (this.#running >= MAX_PARALLEL) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running += 1;
    try {
      await run();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }
}

class FileUpload implements Upload {
  readonly key: string;
  readonly name: string;
  readonly size: number;
  readonly mimeType: string;
  state: Upload['state'] = 'sending';
  progress: number | null = null;
  message: string | null = null;
  attachment: Attachment | null = null;
  #preview: string | null;
  /** What the server has registered, whether or not it has the bytes. */
  #created: Attachment | null = null;
  #controller = new AbortController();
  readonly #file: File;
  readonly #context: UploadContext;
  readonly #inTurn: (run: () => Promise<void>) => Promise<void>;

  constructor(
    key: string,
    file: File,
    context: UploadContext,
    inTurn: (run: () => Promise<void>) => Promise<void>,
  ) {
    this.key = key;
    this.name = file.name;
    this.size = file.size;
    this.mimeType = typeOf(file);
    this.#file = file;
    this.#context = context;
    this.#inTurn = inTurn;
    this.#preview = file.type.startsWith('image/') ? URL.createObjectURL(file) : null;
  }

  get preview(): string | null {
    return this.#preview;
  }

  retry(): void {
    this.state = 'sending';
    this.progress = null;
    this.message = null;
    this.#controller = new AbortController();
    const { signal } = this.#controller;
    void this.#inTurn(() => this.#send(signal));
    this.#context.changed();
  }

  remove(): void {
    this.#controller.abort();
    this.release();
    if (this.#created) this.#forget(this.#created);
  }

  release(): void {
    if (this.#preview) URL.revokeObjectURL(this.#preview);
    this.#preview = null;
  }

  /** What is left behind by a failure here is the server's to sweep up. */
  #forget({ id }: Attachment): void {
    this.#created = null;
    this.#context.client
      .call('attachments.delete', { attachment_id: id })
      .catch((error: unknown) => this.#context.report(error));
  }

  async #send(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    try {
      const { uploadStrategy } = this.#context.api();
      this.attachment =
        uploadStrategy?.type === 'direct'
          ? await this.#directly(uploadStrategy.uploadUrl, signal)
          : await this.#inTwoPhases(signal);
      this.#created = this.attachment;
      // Removed while the last bytes were on their way.
      if (signal.aborted) {
        this.#forget(this.attachment);
        return;
      }
      this.state = 'done';
      this.progress = 1;
    } catch (error) {
      if (signal.aborted) return;
      this.state = 'failed';
      this.message = this.#context.failure(error);
      this.#context.report(error);
    }
    this.#context.changed();
  }

  async #directly(url: string, signal: AbortSignal): Promise<Attachment> {
    const body = new FormData();
    body.append('file', this.#file, this.name);
    const response = await this.#deliver({ url, method: 'POST', headers: {}, body }, signal);
    const attachment: unknown = await response.json().catch(() => null);
    return checked(attachment);
  }

  async #inTwoPhases(signal: AbortSignal): Promise<Attachment> {
    // A link that has been used, or has run out, is no good for another try.
    if (this.#created) this.#forget(this.#created);
    const created = checked(
      await this.#context.client.call(
        'attachments.create',
        { name: this.name, size: this.size, mime_type: this.mimeType },
        signal,
      ),
    );
    this.#created = created;
    const { upload_descriptor: target } = created;
    if (!target) throw new ChatKitProtocolError('The server does not say where the file goes.');
    const { url, method, headers = {} } = target;
    await this.#deliver({ url, method, headers, body: this.#file }, signal);
    return created;
  }

  #deliver(parcel: Parameters<typeof sendParcel>[0], signal: AbortSignal): Promise<Response> {
    return sendParcel(parcel, this.#context.api().fetch, signal, (share) => {
      this.progress = share;
      this.#context.changed();
    });
  }
}

function checked(value: unknown): Attachment {
  const attachment = value as Partial<Attachment> | null;
  if (typeof attachment?.id !== 'string') {
    throw new ChatKitProtocolError('The answer to the upload is not an attachment.');
  }
  return attachment as Attachment;
}

/** Why a file was not taken, where the server has said so. */
export function reasonOf(error: unknown): string | null {
  return error instanceof ChatKitRequestError ? error.detail || error.title || null : null;
}
