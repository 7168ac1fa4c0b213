/** Pure updates of thread items: an item and a protocol update in, a new item out. */
import type {
  AssistantMessageItem,
  ItemUpdate,
  OutputText,
  StructuredInputItem,
  Task,
  ThreadItem,
  UserContent,
  UserMessageItem,
  WorkflowItem,
} from './protocol.js';
import { HIDDEN_ITEM_TYPES } from './protocol.js';
import { isComponent, updateWidget } from './widget-items.js';

/** Ids of messages the server has not confirmed yet begin with this. */
export const LOCAL_PREFIX = 'local_';

/** No honest answer has more parts; an index beyond it must not make a huge sparse list. */
const MAX_PARTS = 1000;

export function isVisible(item: ThreadItem): boolean {
  return !HIDDEN_ITEM_TYPES.has(item.type);
}

export function isLocal(item: ThreadItem): boolean {
  return item.id.startsWith(LOCAL_PREFIX);
}

export function userText(content: readonly UserContent[]): string {
  return content.map((part) => part.text ?? '').join('');
}

export function answerText(item: AssistantMessageItem): string {
  return item.content.map((part) => part.text ?? '').join('\n\n');
}

export function isItem(value: unknown): value is ThreadItem {
  if (typeof value !== 'object' || value === null) return false;
  const { id, type } = value as Record<string, unknown>;
  return typeof id === 'string' && typeof type === 'string';
}

/**
 * A server's item made safe to show: what the view reads as a list is a list. A server that leaves
 * empty lists out (or a type of a later version) must not break the page.
 */
export function normalizeItem(item: ThreadItem): ThreadItem {
  if (item.type === 'assistant_message' && Array.isArray(item.content)) {
    return item.content.every((part) => Array.isArray(part.annotations))
      ? item
      : { ...item, content: item.content.map(normalizePart) };
  }
  if (item.type === 'assistant_message' || item.type === 'user_message') {
    return Array.isArray(item.content) ? item : ({ ...item, content: [] } as ThreadItem);
  }
  if (item.type === 'widget' && !isComponent(item.widget)) {
    return { ...item, widget: { type: 'Basic' } };
  }
  if (item.type === 'structured_input') {
    return Array.isArray(item.inputs) ? item : { ...item, inputs: [] };
  }
  if (item.type === 'workflow' && !Array.isArray(item.workflow?.tasks)) {
    return { ...item, workflow: { ...item.workflow, tasks: [] } };
  }
  return item;
}

function normalizePart(part: OutputText): OutputText {
  return { ...part, text: part.text ?? '', annotations: part.annotations ?? [] };
}

/** The item after the update; the same item when the update is not known or does not fit it. */
export function updateItem(item: ThreadItem, update: ItemUpdate): ThreadItem {
  if (item.type === 'assistant_message') return updateAnswer(item, update);
  if (item.type === 'workflow') return updateWorkflow(item, update);
  if (item.type === 'widget') return updateWidget(item, update);
  if (item.type === 'generated_image' && update.type === 'generated_image.updated') {
    return { ...item, image: update.image, progress: update.progress ?? item.progress ?? null };
  }
  return item;
}

function updateAnswer(item: AssistantMessageItem, update: ItemUpdate): AssistantMessageItem {
  switch (update.type) {
    case 'assistant_message.content_part.added':
    case 'assistant_message.content_part.done':
      return withPart(item, update.content_index, () => normalizePart(update.content));
    case 'assistant_message.content_part.text_delta':
      return withPart(item, update.content_index, (part) => ({
        ...part,
        text: part.text + update.delta,
      }));
    case 'assistant_message.content_part.annotation_added':
      return withPart(item, update.content_index, (part) => ({
        ...part,
        annotations: placed(part.annotations, update.annotation_index, update.annotation),
      }));
    default:
      return item;
  }
}

function withPart(
  item: AssistantMessageItem,
  index: number,
  change: (part: OutputText) => OutputText,
): AssistantMessageItem {
  if (!Number.isInteger(index) || index < 0 || index >= MAX_PARTS) return item;
  const content = [...item.content];
  while (content.length <= index) content.push({ type: 'output_text', text: '', annotations: [] });
  const part = content[index];
  if (part) content[index] = change(part);
  return { ...item, content };
}

function updateWorkflow(item: WorkflowItem, update: ItemUpdate): WorkflowItem {
  if (update.type !== 'workflow.task.added' && update.type !== 'workflow.task.updated') return item;
  const tasks: Task[] = placed(item.workflow.tasks, update.task_index, update.task);
  return { ...item, workflow: { ...item.workflow, tasks } };
}

/** The list with the value at the index, or at the end: repeated delivery changes nothing. */
function placed<T>(list: readonly T[], index: number, value: T): T[] {
  const next = [...list];
  if (Number.isInteger(index) && index >= 0 && index < next.length) next[index] = value;
  else if (next.length < MAX_PARTS) next.push(value);
  return next;
}

/**
 * Items with this one in its place. An item that is there is replaced where it stands; the first
 * user message from the server takes the place of the optimistic one; anything else is appended.
 */
export function upsertItem(items: readonly ThreadItem[], item: ThreadItem): ThreadItem[] {
  const next = [...items];
  let index = next.findLastIndex((other) => other.id === item.id);
  if (index < 0 && item.type === 'user_message') index = next.findIndex(isLocal);
  if (index < 0) next.push(normalizeItem(item));
  else next[index] = normalizeItem(item);
  return next;
}

/** Older items before newer ones, each id once; what is loaded already wins. */
export function prependItems(
  older: readonly ThreadItem[],
  items: readonly ThreadItem[],
): ThreadItem[] {
  const known = new Set(items.map((item) => item.id));
  return [...older.filter((item) => !known.has(item.id)).map(normalizeItem), ...items];
}

/**
 * What to show after the server was asked again for its newest page. The server's record wins;
 * only two things survive beside it: pages older than its page, and a partial answer of which the
 * server has no trace, because text that was read must not vanish.
 */
export function reconcileItems(
  local: readonly ThreadItem[],
  server: readonly ThreadItem[],
): ThreadItem[] {
  const first = server[0];
  const overlap = first ? local.findIndex((item) => item.id === first.id) : -1;
  const before = overlap > 0 ? local.slice(0, overlap) : [];
  const known = new Set(server.map((item) => item.id));
  const lastQuestion = local.findLastIndex((item) => item.type === 'user_message');
  const partial =
    server.at(-1)?.type === 'user_message'
      ? local.slice(lastQuestion + 1).filter((item) => !known.has(item.id))
      : [];
  return [...before, ...server.map(normalizeItem), ...partial];
}

/** The questions that wait for their answers; the newest ones, if a server asked twice. */
export function pendingInput(items: readonly ThreadItem[]): StructuredInputItem | null {
  const item = items.findLast(
    (other) => other.type === 'structured_input' || other.type === 'user_message',
  );
  return item?.type === 'structured_input' && item.status === 'pending' && item.inputs.length > 0
    ? item
    : null;
}

export function lastUserMessage(items: readonly ThreadItem[]): UserMessageItem | null {
  const item = items.findLast((other) => other.type === 'user_message' && !isLocal(other));
  return item?.type === 'user_message' ? item : null;
}
