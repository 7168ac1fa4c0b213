/**
 * Turns that are told again. Who joins a running turn hears it from its first event, while the
 * server's record, or an earlier look, has already put some of its items on the screen. Such an item
 * stays as it is while a copy behind it is written from the beginning; once the copy says as much,
 * it takes the item's place. So nothing is doubled, and nothing that was read goes and comes back.
 */
import { answerText, isItem, isVisible, normalizeItem, updateItem } from './items.js';
import type { StreamEvent, ThreadItem } from './protocol.js';
import { widgetExtent } from './widget-items.js';

/** The items that are written from the beginning behind those on the screen. */
export type Copies = ReadonlyMap<string, ThreadItem>;

interface Shown {
  items: readonly ThreadItem[];
  live: ReadonlySet<string>;
  copies: Copies;
}

/** What the event does to items that are known; `null` when it is to be treated as any other. */
export function replay<S extends Shown>(state: S, event: StreamEvent): S | null {
  if (event.type === 'thread.item.added') {
    const { item } = event;
    if (!isItem(item) || !isVisible(item) || item.type === 'user_message') return null;
    const known = state.items.some(({ id }) => id === item.id);
    return known ? settled(state, normalizeItem(item)) : null;
  }
  if (event.type !== 'thread.item.updated') return null;
  const copy = state.copies.get(event.item_id);
  if (copy) return event.update ? settled(state, updateItem(copy, event.update)) : state;
  // An item that nobody writes has all its text: the server's record came before this event.
  return state.live.has(event.item_id) ? null : state;
}

function settled<S extends Shown>(state: S, copy: ThreadItem): S {
  const copies = new Map(state.copies).set(copy.id, copy);
  const shown = state.items.find(({ id }) => id === copy.id);
  if (shown && extent(copy) < extent(shown)) return { ...state, copies };
  copies.delete(copy.id);
  return {
    ...state,
    copies,
    items: state.items.map((item) => (item.id === copy.id ? copy : item)),
    live: new Set(state.live).add(copy.id),
  };
}

/** How much there is to read of an item. */
function extent(item: ThreadItem): number {
  if (item.type === 'assistant_message') return answerText(item).length;
  if (item.type === 'widget') return widgetExtent(item.widget);
  if (item.type !== 'workflow') return 0;
  return item.workflow.tasks.reduce((sum, task) => sum + 1 + (task.content?.length ?? 0), 0);
}
