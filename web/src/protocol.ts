/**
 * The part of the ChatKit protocol this element speaks: requests, thread items and stream events.
 *
 * Servers may be newer than this file, so nothing here is closed: an item, update or event of an
 * unknown type is a value of `UnknownItem`, `UnknownUpdate` or `UnknownEvent` and is ignored later.
 */

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = Record<string, unknown>;

export interface ThreadStatus {
  type: 'active' | 'locked' | 'closed';
  reason?: string | null;
}

export interface Thread {
  id: string;
  title?: string | null;
  created_at: string;
  status?: ThreadStatus;
  /** Where images in answers may come from; left out, from nowhere. */
  allowed_image_domains?: string[] | null;
}

export interface Page<T> {
  data: T[];
  has_more: boolean;
  after?: string | null;
}

export type UserContent =
  | { type: 'input_text'; text: string }
  | {
      type: 'input_tag';
      id: string;
      text: string;
      group?: string | null;
      data?: JsonObject;
      interactive?: boolean;
    };

interface AttachmentBase {
  id: string;
  name: string;
  mime_type: string;
  /** Where the bytes go, until they are there. */
  upload_descriptor?: UploadDescriptor | null;
}

export type Attachment =
  | (AttachmentBase & { type: 'file' })
  | (AttachmentBase & { type: 'image'; preview_url: string });

export interface UploadDescriptor {
  url: string;
  method: 'POST' | 'PUT';
  headers?: Record<string, string>;
}

export interface InferenceOptions {
  tool_choice?: { id: string };
  model?: string;
}

export interface UserMessageInput {
  content: UserContent[];
  attachments: string[];
  quoted_text: string | null;
  inference_options: InferenceOptions;
}

interface ItemBase {
  id: string;
  thread_id?: string;
  created_at?: string;
}

export interface UserMessageItem extends ItemBase {
  type: 'user_message';
  content: UserContent[];
  attachments?: Attachment[];
  quoted_text?: string | null;
  inference_options?: InferenceOptions;
}

export interface Source {
  type: string;
  title?: string;
  url?: string;
  filename?: string;
  description?: string | null;
  attribution?: string | null;
  timestamp?: string | null;
  group?: string | null;
  /** The rest is of entities only. */
  id?: string;
  icon?: string | null;
  label?: string | null;
  inline_label?: string | null;
  interactive?: boolean;
  data?: JsonObject;
}

export interface Annotation {
  source: Source;
  index?: number | null;
}

export interface OutputText {
  type: 'output_text';
  text: string;
  annotations: Annotation[];
}

export interface AssistantMessageItem extends ItemBase {
  type: 'assistant_message';
  content: OutputText[];
}

export interface Task {
  type: string;
  title?: string | null;
  content?: string | null;
  status_indicator?: string;
  icon?: string | null;
  sources?: Source[];
  title_query?: string | null;
  queries?: string[];
}

export interface Workflow {
  type: string;
  tasks: Task[];
  summary?: { title?: string; icon?: string; duration?: number } | null;
  expanded?: boolean;
}

export interface WorkflowItem extends ItemBase {
  type: 'workflow';
  workflow: Workflow;
}

export interface TaskItem extends ItemBase {
  type: 'task';
  task: Task;
}

export interface GeneratedImageItem extends ItemBase {
  type: 'generated_image';
  image?: { id: string; url: string } | null;
  /** From 0 to 1, while it is made; not part of what is stored. */
  progress?: number | null;
}

interface Answered {
  id: string;
  question: string;
  answer?: { values?: string[]; skipped?: boolean } | null;
}

export type StructuredInput =
  | (Answered & { type: 'multiple_choice'; options: { value: string }[]; multiple?: boolean })
  | (Answered & { type: 'freeform'; description?: string | null });

export interface StructuredInputItem extends ItemBase {
  type: 'structured_input';
  status: 'pending' | 'answered' | 'skipped';
  inputs: StructuredInput[];
}

export interface StructuredSubmission {
  status: 'answered' | 'skipped';
  answers: Record<string, { values: string[]; skipped: boolean }>;
}

export interface ClientToolCallItem extends ItemBase {
  type: 'client_tool_call';
  status: 'pending' | 'completed';
  call_id: string;
  name: string;
  arguments: JsonObject;
}

/** A component of a widget; what it consists of is read with care where it is shown. */
export type WidgetComponent = JsonObject & { type: string };

export interface WidgetItem extends ItemBase {
  type: 'widget';
  widget: WidgetComponent;
  copy_text?: string | null;
}

export interface UnknownItem extends ItemBase {
  type: 'unknown';
}

export type ThreadItem =
  | UserMessageItem
  | AssistantMessageItem
  | WorkflowItem
  | TaskItem
  | GeneratedImageItem
  | StructuredInputItem
  | ClientToolCallItem
  | WidgetItem
  | UnknownItem;

export type ItemUpdate =
  | { type: 'assistant_message.content_part.added'; content_index: number; content: OutputText }
  | { type: 'assistant_message.content_part.text_delta'; content_index: number; delta: string }
  | {
      type: 'assistant_message.content_part.annotation_added';
      content_index: number;
      annotation_index: number;
      annotation: Annotation;
    }
  | { type: 'assistant_message.content_part.done'; content_index: number; content: OutputText }
  | { type: 'workflow.task.added'; task_index: number; task: Task }
  | { type: 'workflow.task.updated'; task_index: number; task: Task }
  | { type: 'widget.root.updated'; widget: WidgetComponent }
  | { type: 'widget.component.updated'; component_id: string; component: WidgetComponent }
  | {
      type: 'widget.streaming_text.value_delta';
      component_id: string;
      delta: string;
      done: boolean;
    }
  | {
      type: 'generated_image.updated';
      image: { id: string; url: string };
      progress?: number | null;
    };

export type StreamEvent =
  | { type: 'thread.created'; thread: Thread }
  | { type: 'thread.updated'; thread: Thread }
  | { type: 'thread.item.added'; item: ThreadItem }
  | { type: 'thread.item.done'; item: ThreadItem }
  | { type: 'thread.item.replaced'; item: ThreadItem }
  | { type: 'thread.item.updated'; item_id: string; update: ItemUpdate }
  | { type: 'thread.item.removed'; item_id: string }
  | { type: 'stream_options'; stream_options: { allow_cancel: boolean } }
  | { type: 'progress_update'; icon?: string | null; text: string }
  | { type: 'client_effect'; name: string; data?: JsonObject }
  | { type: 'notice'; level: 'info' | 'warning' | 'danger'; message: string; title?: string | null }
  | { type: 'error'; code?: string; message?: string | null; allow_retry?: boolean };

export type StreamRequest =
  | { type: 'threads.create'; params: { input: UserMessageInput } }
  | { type: 'threads.add_user_message'; params: { thread_id: string; input: UserMessageInput } }
  | { type: 'threads.add_client_tool_output'; params: { thread_id: string; result: unknown } }
  | {
      type: 'threads.add_structured_input';
      params: { thread_id: string; item_id: string; input: StructuredSubmission };
    }
  | { type: 'threads.retry_after_item'; params: { thread_id: string; item_id: string } }
  | {
      type: 'threads.custom_action';
      params: {
        thread_id: string;
        item_id: string | null;
        action: CustomAction;
      };
    };

export interface CustomAction {
  type: string;
  payload: unknown;
}

/** A turn as Chatkeep's own routes name it; these fields are the ones the element reads. */
export interface TurnRecord {
  id: string;
  /** queued, running, completed, failed, cancelled or interrupted */
  state: string;
}

type Order = 'asc' | 'desc';

/** Requests answered with one JSON value, each with the type of its answer. */
export interface JsonCalls {
  'threads.get_by_id': { params: { thread_id: string }; result: Thread };
  'threads.list': {
    params: { limit: number; order: Order; after?: string };
    result: Page<Thread>;
  };
  'threads.update': { params: { thread_id: string; title: string }; result: Thread };
  'threads.delete': { params: { thread_id: string }; result: JsonObject };
  'items.list': {
    params: { thread_id: string; limit: number; order: Order; after?: string };
    result: Page<ThreadItem>;
  };
  'threads.sync_custom_action': {
    params: { thread_id: string; item_id: string | null; action: CustomAction };
    result: { updated_item?: ThreadItem | null };
  };
  'items.feedback': {
    params: { thread_id: string; item_ids: string[]; kind: 'positive' | 'negative' };
    result: JsonObject;
  };
  'attachments.create': {
    params: { name: string; size: number; mime_type: string };
    result: Attachment;
  };
  'attachments.delete': { params: { attachment_id: string }; result: JsonObject };
  'input.transcribe': {
    params: { audio_base64: string; mime_type: string };
    result: { text: string };
  };
}

/** A message that the server has not taken: what the composer gets back. */
export interface Unsent {
  content: readonly UserContent[];
  attachments: readonly Attachment[];
  quote: string | null;
}

/** Item kinds that are never for a reader's eyes, whatever a server sends. */
export const HIDDEN_ITEM_TYPES: ReadonlySet<string> = new Set([
  'hidden_context_item',
  'sdk_hidden_context',
]);
