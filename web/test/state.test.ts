import assert from 'node:assert/strict';
import { test } from 'node:test';
import type {
  AssistantMessageItem,
  StreamEvent,
  ThreadItem,
  UserMessageItem,
} from '../src/protocol.js';
import { type Action, canResume, INITIAL_STATE, reduce, type ViewState } from '../src/state.js';

const thread = { id: 'thr_1', created_at: '2026-01-01T00:00:00Z' };

function user(id: string, text = 'hi'): UserMessageItem {
  return { type: 'user_message', id, content: [{ type: 'input_text', text }] };
}

function reply(id: string, text = ''): AssistantMessageItem {
  const content = text === '' ? [] : [{ type: 'output_text' as const, text, annotations: [] }];
  return { type: 'assistant_message', id, content };
}

function delta(id: string, text: string, index = 0): StreamEvent {
  return {
    type: 'thread.item.updated',
    item_id: id,
    update: {
      type: 'assistant_message.content_part.text_delta',
      content_index: index,
      delta: text,
    },
  };
}

/** Something a later server may send. */
function unknown<T>(value: object): T {
  return value as T;
}

function run(actions: (Action | StreamEvent)[], from: ViewState = INITIAL_STATE): ViewState {
  return actions.reduce<ViewState>((state, step) => {
    const known = [
      'opened',
      'loaded',
      'reconciled',
      'missing',
      'asked',
      'rewound',
      'refused',
      'ended',
      'older.loaded',
      'thread.changed',
      'notice.dismissed',
    ];
    return known.includes(step.type)
      ? reduce(state, step as Action)
      : reduce(state, { type: 'event', event: step as StreamEvent });
  }, from);
}

const TURN: (Action | StreamEvent)[] = [
  { type: 'asked', message: user('local_1') },
  { type: 'thread.created', thread },
  { type: 'thread.item.done', item: user('msg_1') },
  { type: 'stream_options', stream_options: { allow_cancel: false } },
  { type: 'thread.item.added', item: reply('ans_1') },
  delta('ans_1', 'Hello'),
  delta('ans_1', ' there'),
];

function ids(state: ViewState): string[] {
  return state.items.map((item) => item.id);
}

function textOf(state: ViewState, id: string): string | undefined {
  const item = state.items.find((other) => other.id === id);
  return item?.type === 'assistant_message'
    ? item.content.map((part) => part.text).join('|')
    : undefined;
}

test('a first message creates the thread and streams an answer', () => {
  const state = run(TURN);
  assert.equal(state.threadId, 'thr_1');
  assert.deepEqual(ids(state), ['msg_1', 'ans_1']);
  assert.equal(textOf(state, 'ans_1'), 'Hello there');
  assert.ok(state.answering && state.live.has('ans_1') && !state.allowCancel);
  const done = run(
    [
      { type: 'thread.item.done', item: reply('ans_1', 'Hello there.') },
      { type: 'ended', outcome: 'complete' },
    ],
    state,
  );
  assert.equal(textOf(done, 'ans_1'), 'Hello there.');
  assert.ok(!done.answering && done.live.size === 0 && !canResume(done));
});

test('the optimistic message is replaced in its place, once', () => {
  const state = run([
    { type: 'asked', message: user('local_1') },
    { type: 'thread.item.done', item: user('msg_1') },
    { type: 'thread.item.done', item: user('msg_1') },
    { type: 'thread.item.done', item: user('msg_2') },
  ]);
  assert.deepEqual(ids(state), ['msg_1', 'msg_2']);
});

test('events delivered twice change nothing, save deltas', () => {
  const item = reply('ans_1', 'x');
  const once = run([
    { type: 'thread.item.added', item },
    { type: 'thread.item.done', item },
  ]);
  const twice = run(
    [
      { type: 'thread.item.added', item },
      { type: 'thread.item.done', item },
    ],
    once,
  );
  assert.deepEqual(ids(twice), ids(once));
  assert.equal(textOf(twice, 'ans_1'), 'x');
});

test('parts arrive by index, in any order, and absurd indexes are ignored', () => {
  const base = run([{ type: 'thread.item.added', item: reply('a') }]);
  const state = run(
    [
      delta('a', 'two', 1),
      delta('a', 'one', 0),
      delta('a', 'x', 1e9),
      delta('a', 'x', -1),
      delta('a', 'x', 0.5),
    ],
    base,
  );
  assert.equal(textOf(state, 'a'), 'one|two');
});

test('annotations are placed by index, idempotently', () => {
  const add: StreamEvent = {
    type: 'thread.item.updated',
    item_id: 'a',
    update: {
      type: 'assistant_message.content_part.annotation_added',
      content_index: 0,
      annotation_index: 0,
      annotation: { source: { type: 'url', url: 'https://a.example' } },
    },
  };
  const state = run([{ type: 'thread.item.added', item: reply('a', 'x') }, add, add]);
  const [item] = state.items;
  assert.equal(item?.type === 'assistant_message' && item.content[0]?.annotations.length, 1);
});

test('unknown items, updates and events are ignored without failing', () => {
  const state = run(TURN);
  const after = run(
    [
      unknown({ type: 'galaxy.exploded' }),
      unknown({ type: 'thread.item.updated', item_id: 'ans_1', update: { type: 'future.update' } }),
      unknown({ type: 'thread.item.updated', item_id: 'nobody', update: { type: 'x' } }),
      unknown({ type: 'thread.item.updated', item_id: 'ans_1' }),
      unknown({ type: 'thread.item.done' }),
      unknown({ type: 'thread.item.done', item: null }),
      unknown({
        type: 'thread.item.done',
        item: { type: 'hidden_context_item', id: 'h', content: 's' },
      }),
      unknown({ type: 'thread.item.added', item: { type: 'sdk_hidden_context', id: 'h2' } }),
    ],
    state,
  );
  assert.deepEqual(ids(after), ids(state));
  const widget = run(
    [unknown({ type: 'thread.item.done', item: { type: 'widget', id: 'w' } })],
    state,
  );
  assert.deepEqual(ids(widget), ['msg_1', 'ans_1', 'w']);
});

test('items without their lists are made safe', () => {
  const state = run([
    unknown({
      type: 'thread.item.done',
      item: { type: 'assistant_message', id: 'a', content: [{ type: 'output_text', text: 'x' }] },
    }),
    unknown({ type: 'thread.item.done', item: { type: 'user_message', id: 'u' } }),
    unknown({
      type: 'thread.item.done',
      item: { type: 'workflow', id: 'w', workflow: { type: 'custom' } },
    }),
  ]);
  assert.equal(textOf(state, 'a'), 'x');
  const workflow = state.items.find((item: ThreadItem) => item.id === 'w');
  assert.deepEqual(workflow?.type === 'workflow' && workflow.workflow.tasks, []);
});

test('retry removes what followed the message', () => {
  const done = run([{ type: 'ended', outcome: 'complete' }], run(TURN));
  const state = run(
    [
      { type: 'rewound', itemId: 'msg_1' },
      { type: 'asked', message: null },
    ],
    done,
  );
  assert.deepEqual(ids(state), ['msg_1']);
  assert.ok(state.answering);
});

test('an error event is an alert and ends the progress line', () => {
  const state = run([
    ...TURN,
    { type: 'progress_update', text: 'Searching' },
    { type: 'error', code: 'custom', message: 'Full', allow_retry: true },
  ]);
  assert.deepEqual(state.alert, { kind: 'stream', message: 'Full', allowRetry: true });
  assert.equal(state.progress, null);
});

test('a refused message leaves no trace but the alert', () => {
  const asked = run([{ type: 'asked', message: user('local_1') }]);
  const state = run(
    [{ type: 'refused', items: [], alert: { kind: 'busy', message: null, allowRetry: false } }],
    asked,
  );
  assert.equal(state.items.length, 0);
  assert.ok(!state.answering && state.alert?.kind === 'busy');
});

test('a lost connection keeps the text, and the server’s record replaces it', () => {
  const lost = run([...TURN, { type: 'ended', outcome: 'lost' }]);
  assert.equal(textOf(lost, 'ans_1'), 'Hello there');
  assert.ok(lost.reconnecting && lost.partial.has('ans_1'));
  const back = run(
    [
      {
        type: 'reconciled',
        thread,
        items: [user('msg_1'), reply('ans_1', 'Hello there, friend.')],
        cursor: null,
      },
    ],
    lost,
  );
  assert.equal(textOf(back, 'ans_1'), 'Hello there, friend.');
  assert.ok(!back.reconnecting && !canResume(back));
});

test('a partial answer of which the server knows nothing stays, with a retry', () => {
  const lost = run([...TURN, { type: 'ended', outcome: 'lost' }]);
  const back = run([{ type: 'reconciled', thread, items: [user('msg_1')], cursor: null }], lost);
  assert.deepEqual(ids(back), ['msg_1', 'ans_1']);
  assert.ok(canResume(back));
});

test('reconciling keeps older pages and their cursor', () => {
  const loaded = run([
    { type: 'opened', threadId: 'thr_1' },
    { type: 'loaded', thread, items: [user('m3'), reply('a3', 'x')], cursor: 'm3' },
    { type: 'older.loaded', items: [user('m1'), reply('a1', 'x')], cursor: 'm1' },
  ]);
  const state = run(
    [
      {
        type: 'reconciled',
        thread,
        items: [user('m3'), reply('a3', 'x'), user('m4')],
        cursor: 'm3',
      },
    ],
    loaded,
  );
  assert.deepEqual(ids(state), ['m1', 'a1', 'm3', 'a3', 'm4']);
  assert.equal(state.olderCursor, 'm1');
});

test('older pages bring each item once', () => {
  const loaded = run([
    { type: 'opened', threadId: 'thr_1' },
    { type: 'loaded', thread, items: [user('m2')], cursor: 'm2' },
  ]);
  const state = run(
    [{ type: 'older.loaded', items: [user('m1'), user('m2')], cursor: null }],
    loaded,
  );
  assert.deepEqual(ids(state), ['m1', 'm2']);
});

test('hidden items never reach the view', () => {
  const hidden = unknown<ThreadItem>({ type: 'hidden_context_item', id: 'h' });
  const state = run([
    { type: 'opened', threadId: 'thr_1' },
    { type: 'loaded', thread, items: [hidden, user('m')], cursor: null },
  ]);
  assert.deepEqual(ids(state), ['m']);
});

test('notices are bounded and can be dismissed', () => {
  const notice: StreamEvent = { type: 'notice', level: 'info', message: 'x' };
  const state = run(Array.from({ length: 50 }, () => notice));
  assert.equal(state.notices.length, 20);
  const id = state.notices.at(-1)?.id ?? 0;
  assert.equal(run([{ type: 'notice.dismissed', id }], state).notices.length, 19);
});

test('the state that was is never changed', () => {
  const state = run(TURN);
  const copy = structuredClone({ ...state, live: [...state.live] });
  run(
    [
      delta('ans_1', '!'),
      { type: 'thread.item.removed', item_id: 'msg_1' },
      { type: 'ended', outcome: 'stopped' },
    ],
    state,
  );
  assert.deepEqual({ ...state, live: [...state.live] }, copy);
});
