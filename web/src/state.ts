/**
 * What the reader sees of one conversation, as an immutable value, and the pure function that
 * moves it. Every stream event may be delivered twice or be of a kind this version does not know:
 * the first changes nothing the second time, the second changes nothing at all.
 */
import {
  isItem,
  isVisible,
  prependItems,
  reconcileItems,
  updateItem,
  upsertItem,
} from './items.js';
import type { StreamEvent, Thread, ThreadItem, UserMessageItem } from './protocol.js';
import { type Copies, replay } from './replay.js';

export interface Notice {
  id: number;
  level: 'info' | 'warning' | 'danger';
  title: string | null;
  message: string;
}

/** An error a reader must see. `message: null` means that the view has to find the words. */
export interface Alert {
  kind: 'stream' | 'request' | 'signed-out' | 'busy' | 'offline';
  message: string | null;
  allowRetry: boolean;
}

export interface ViewState {
  threadId: string | null;
  thread: Thread | null;
  items: readonly ThreadItem[];
  /** Cursor of the next older page; `null` when the beginning is loaded. */
  olderCursor: string | null;
  loading: boolean;
  loadingOlder: boolean;
  /** The thread does not exist for this user. */
  missing: boolean;
  /** A turn is under way, of this page or of another. */
  answering: boolean;
  allowCancel: boolean;
  /** Ids of items still being written. */
  live: ReadonlySet<string>;
  /** Ids of answers that broke off. */
  partial: ReadonlySet<string>;
  copies: Copies;
  progress: string | null;
  notices: readonly Notice[];
  alert: Alert | null;
  reconnecting: boolean;
}

export type Action =
  | { type: 'opened'; threadId: string | null }
  | { type: 'loaded'; thread: Thread; items: ThreadItem[]; cursor: string | null }
  | { type: 'reconciled'; thread: Thread; items: ThreadItem[]; cursor: string | null }
  | { type: 'missing' }
  | { type: 'load.failed'; alert: Alert }
  | { type: 'older.started' }
  | { type: 'older.loaded'; items: ThreadItem[]; cursor: string | null }
  | { type: 'older.failed' }
  | { type: 'asked'; message: UserMessageItem | null }
  | { type: 'rewound'; itemId: string }
  | { type: 'joined' }
  | { type: 'lost'; lost: boolean }
  | { type: 'event'; event: StreamEvent; again?: boolean }
  | { type: 'refused'; items: readonly ThreadItem[]; alert: Alert | null }
  | { type: 'ended'; outcome: 'complete' | 'stopped' | 'lost' | 'failed'; alert?: Alert }
  | { type: 'thread.changed'; thread: Thread }
  | { type: 'item.changed'; item: ThreadItem }
  | { type: 'action.failed'; alert: Alert }
  | { type: 'alert.dismissed' }
  | { type: 'notice.dismissed'; id: number };

/** More than anybody reads; the oldest go first. */
const MAX_NOTICES = 20;

const NONE: ReadonlySet<string> = new Set();
const NO_COPIES: Copies = new Map();

export const INITIAL_STATE: ViewState = {
  threadId: null,
  thread: null,
  items: [],
  olderCursor: null,
  loading: false,
  loadingOlder: false,
  missing: false,
  answering: false,
  allowCancel: true,
  live: NONE,
  partial: NONE,
  copies: NO_COPIES,
  progress: null,
  notices: [],
  alert: null,
  reconnecting: false,
};

export function reduce(state: ViewState, action: Action): ViewState {
  switch (action.type) {
    case 'opened':
      return { ...INITIAL_STATE, threadId: action.threadId, loading: action.threadId !== null };
    case 'loaded':
      return {
        ...state,
        thread: action.thread,
        items: reconcileItems([], action.items.filter(isVisible)),
        olderCursor: action.cursor,
        loading: false,
      };
    case 'reconciled':
      return reconciled(state, action);
    case 'missing':
      return { ...INITIAL_STATE, threadId: state.threadId, missing: true };
    case 'load.failed':
      return { ...state, loading: false, reconnecting: false, alert: action.alert };
    case 'older.started':
      return { ...state, loadingOlder: true };
    case 'older.loaded':
      return {
        ...state,
        items: prependItems(action.items.filter(isVisible), state.items),
        olderCursor: action.cursor,
        loadingOlder: false,
      };
    case 'older.failed':
      return { ...state, loadingOlder: false };
    case 'asked':
      return asked(state, action.message);
    case 'rewound':
      return rewound(state, action.itemId);
    case 'joined':
      // Who was told that another answer runs still has to be told so while it runs.
      return { ...asked(state, null), alert: state.alert?.kind === 'busy' ? state.alert : null };
    case 'lost':
      return { ...state, reconnecting: action.lost };
    case 'event':
      return (action.again ? replay(state, action.event) : null) ?? onEvent(state, action.event);
    case 'refused':
      return { ...idle(state), items: action.items, alert: action.alert };
    case 'ended':
      return ended(state, action);
    case 'thread.changed':
      return state.threadId === action.thread.id
        ? { ...state, thread: { ...state.thread, ...action.thread } }
        : state;
    case 'item.changed':
      return withItem(state, action.item);
    case 'action.failed':
      return { ...state, alert: action.alert };
    case 'alert.dismissed':
      return { ...state, alert: null };
    case 'notice.dismissed':
      return { ...state, notices: state.notices.filter((notice) => notice.id !== action.id) };
  }
}

function idle(state: ViewState): ViewState {
  return {
    ...state,
    answering: false,
    progress: null,
    live: NONE,
    copies: NO_COPIES,
    reconnecting: false,
  };
}

function asked(state: ViewState, message: UserMessageItem | null): ViewState {
  return {
    ...state,
    items: message ? [...state.items, message] : state.items,
    answering: true,
    allowCancel: true,
    live: NONE,
    partial: NONE,
    copies: NO_COPIES,
    progress: null,
    notices: [],
    alert: null,
    reconnecting: false,
  };
}

function rewound(state: ViewState, itemId: string): ViewState {
  const index = state.items.findIndex((item) => item.id === itemId);
  return index < 0 ? state : { ...state, items: state.items.slice(0, index + 1) };
}

function ended(state: ViewState, action: Extract<Action, { type: 'ended' }>): ViewState {
  const alert = state.alert?.kind === 'busy' ? null : state.alert;
  return {
    ...idle(state),
    partial: brokenOff(state, action.outcome),
    reconnecting: action.outcome === 'lost',
    alert: action.alert ?? alert,
  };
}

function brokenOff(
  state: ViewState,
  outcome: Extract<Action, { type: 'ended' }>['outcome'],
): ReadonlySet<string> {
  // A server that keeps turns sends what was written to a stopped one as done.
  const last = state.items.at(-1);
  if (outcome === 'stopped' && last && last.type !== 'user_message') {
    return new Set(state.live).add(last.id);
  }
  // A body that simply ends is the normal end; anything still open then was all there was. An error
  // event ends an answer too, even when the body then ends as it should.
  const broken = outcome !== 'complete' || state.alert?.kind === 'stream';
  return broken && state.live.size > 0 ? state.live : state.partial;
}

function reconciled(state: ViewState, action: Extract<Action, { type: 'reconciled' }>): ViewState {
  const stored = action.items.filter(isVisible);
  const known = new Set(action.items.map((item) => item.id));
  const unknown = (id: string): boolean => !known.has(id);
  const items = reconcileItems(state.items, stored);
  // What is being written has no record yet.
  const shown = new Set(items.map((item) => item.id));
  items.push(...state.items.filter(({ id }) => state.live.has(id) && !shown.has(id)));
  const grewBefore = items.length > stored.length;
  return {
    ...state,
    thread: action.thread,
    items,
    olderCursor:
      grewBefore && items[0]?.id === state.items[0]?.id ? state.olderCursor : action.cursor,
    live: new Set([...state.live].filter(unknown)),
    partial: new Set([...state.partial].filter(unknown)),
    loading: false,
    missing: false,
    reconnecting: false,
    alert: state.alert?.kind === 'offline' ? null : state.alert,
  };
}

function onEvent(state: ViewState, event: StreamEvent): ViewState {
  switch (event.type) {
    case 'thread.created':
      return { ...state, threadId: event.thread.id, thread: event.thread };
    case 'thread.updated':
      return { ...state, thread: { ...state.thread, ...event.thread } };
    case 'thread.item.added':
      return onItem(state, event.item, true);
    case 'thread.item.done':
    case 'thread.item.replaced':
      return onItem(state, event.item, false);
    case 'thread.item.updated':
      return onUpdate(state, event);
    case 'thread.item.removed':
      return {
        ...state,
        items: state.items.filter((item) => item.id !== event.item_id),
        live: without(state.live, event.item_id),
      };
    case 'stream_options':
      return { ...state, allowCancel: event.stream_options?.allow_cancel !== false };
    case 'progress_update':
      return { ...state, progress: event.text };
    case 'notice':
      return withNotice(state, event);
    case 'error':
      return {
        ...state,
        progress: null,
        alert: {
          kind: 'stream',
          message: event.message ?? null,
          allowRetry: event.allow_retry === true,
        },
      };
    default:
      return state;
  }
}

function onItem(state: ViewState, item: ThreadItem, open: boolean): ViewState {
  if (!isItem(item) || !isVisible(item)) return state;
  const isAnswer = item.type !== 'user_message';
  const live = open && isAnswer ? new Set(state.live).add(item.id) : without(state.live, item.id);
  return {
    ...state,
    items: upsertItem(state.items, item),
    live,
    progress: isAnswer && item.type !== 'workflow' ? null : state.progress,
  };
}

/** An item that is on the screen, changed outside of any stream. */
function withItem(state: ViewState, item: ThreadItem): ViewState {
  if (!isItem(item) || !state.items.some(({ id }) => id === item.id)) return state;
  return { ...state, items: upsertItem(state.items, item) };
}

function onUpdate(
  state: ViewState,
  event: Extract<StreamEvent, { type: 'thread.item.updated' }>,
): ViewState {
  const index = state.items.findLastIndex((item) => item.id === event.item_id);
  const item = state.items[index];
  if (!item || !event.update) return state;
  const changed = updateItem(item, event.update);
  if (changed === item) return state;
  const items = [...state.items];
  items[index] = changed;
  return { ...state, items };
}

function withNotice(state: ViewState, event: Extract<StreamEvent, { type: 'notice' }>): ViewState {
  const id = (state.notices.at(-1)?.id ?? 0) + 1;
  const { level, message, title = null } = event;
  const notices = [...state.notices, { id, level, message, title }].slice(-MAX_NOTICES);
  return { ...state, notices };
}

function without(set: ReadonlySet<string>, id: string): ReadonlySet<string> {
  if (!set.has(id)) return set;
  const next = new Set(set);
  next.delete(id);
  return next;
}

/** True when the conversation waits for an answer that nobody is writing. */
export function canResume(state: ViewState): boolean {
  if (state.answering || state.loading || state.reconnecting || state.missing) return false;
  const last = state.items.at(-1);
  return last !== undefined && (last.type === 'user_message' || state.partial.has(last.id));
}
