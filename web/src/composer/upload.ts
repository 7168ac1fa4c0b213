/** A file of a message that is being written: on its way to the server, there, or refused. */
import type { Attachment } from '../protocol.js';

export interface Upload {
  readonly key: string;
  readonly name: string;
  /** Bytes, where they are known. */
  readonly size: number | null;
  readonly mimeType: string;
  /** An address of its picture, if it is one. */
  readonly preview: string | null;
  readonly state: 'sending' | 'done' | 'failed';
  /** How much of it is there, from 0 to 1; `null` where that is not known. */
  readonly progress: number | null;
  /** Why it failed. */
  readonly message: string | null;
  /** What the server calls it. */
  readonly attachment: Attachment | null;
  retry(): void;
  /** Ends what is under way and frees what it holds; the server deletes what it has. */
  remove(): void;
  /** It has been sent: the server keeps it. */
  release(): void;
}

/** What has been uploaded already; `remove` says what is done when it is not to be sent after all. */
export function uploaded(attachment: Attachment, remove: () => void = () => undefined): Upload {
  return {
    key: attachment.id,
    name: attachment.name,
    size: null,
    mimeType: attachment.mime_type,
    preview: attachment.type === 'image' ? attachment.preview_url : null,
    state: 'done',
    progress: 1,
    message: null,
    attachment,
    retry: () => undefined,
    remove,
    release: () => undefined,
  };
}
