/** Reading a thread: its newest page first, older ones by cursor. */
import type { ChatKitClient } from './client.js';
import type { Thread, ThreadItem } from './protocol.js';

const PAGE_SIZE = 50;

/** A page in reading order, and where the next older one begins (`null`: nowhere). */
interface ItemPage {
  items: ThreadItem[];
  cursor: string | null;
}

export async function fetchNewest(
  client: ChatKitClient,
  threadId: string,
  signal: AbortSignal,
): Promise<ItemPage & { thread: Thread }> {
  // The items inside `threads.get_by_id` are the oldest ones; the newest page is asked for.
  const [thread, page] = await Promise.all([
    client.call('threads.get_by_id', { thread_id: threadId }, signal),
    fetchPage(client, threadId, signal),
  ]);
  return { thread, ...page };
}

export async function fetchPage(
  client: ChatKitClient,
  threadId: string,
  signal: AbortSignal,
  after?: string,
): Promise<ItemPage> {
  const page = await client.call(
    'items.list',
    { thread_id: threadId, limit: PAGE_SIZE, order: 'desc', ...(after ? { after } : {}) },
    signal,
  );
  const cursor = page.has_more ? (page.after ?? null) : null;
  return { items: [...page.data].reverse(), cursor };
}
