/** A plain ChatKit server: no turns to resume, an aborted request is a stop. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatKitClient } from '../src/client.js';
import { Conversation } from '../src/conversation.js';
import { userText } from '../src/items.js';
import type { UserMessageInput } from '../src/protocol.js';
import { canResume } from '../src/state.js';

interface Request {
  type: string;
  params: Record<string, unknown>;
}

type Answer = (request: Request, signal: AbortSignal | null) => Response | Promise<Response>;

const THREAD = { id: 'thr_1', title: 'T', created_at: '2026-01-01T00:00:00Z' };
const MESSAGE = {
  type: 'user_message',
  id: 'msg_1',
  content: [{ type: 'input_text', text: 'hi' }],
};
const ANSWER = {
  type: 'assistant_message',
  id: 'ans_1',
  content: [{ type: 'output_text', text: 'Hello', annotations: [] }],
};

function json(value: unknown, status = 200): Response {
  return Response.json(value, {
    status,
    ...(status >= 400 ? { headers: { 'Content-Type': 'application/problem+json' } } : {}),
  });
}

function sse(...events: object[]): Response {
  const text = events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('');
  return new Response(text);
}

/** A body that gives these events and then waits until the request is aborted, or breaks off. */
function openBody(signal: AbortSignal | null, breaks: boolean, ...events: object[]): Response {
  const left = [...events];
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      signal?.addEventListener('abort', () => controller.error(signal.reason));
    },
    // Called when what came before was read: breaking off takes away what was not.
    pull(controller) {
      const event = left.shift();
      if (event) controller.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(event)}\n\n`));
      else if (breaks) controller.error(new TypeError('network error'));
      else return new Promise<void>(() => {});
    },
  });
  return new Response(body);
}

function setUp(answer: Answer) {
  const requests: Request[] = [];
  const events: string[] = [];
  const restored: string[] = [];
  const client = new ChatKitClient('http://x.example/chatkit', () => ({
    fetch: async (_input, init) => {
      const request = { ...(JSON.parse(String(init?.body)) as Request) };
      requests.push(request);
      return answer(request, init?.signal ?? null);
    },
  }));
  const conversation = new Conversation(client, {
    emit: (type) => events.push(type),
    runTool: async ({ name }) => ({ ran: name }),
    restore: ({ content }) => restored.push(userText(content)),
  });
  return { conversation, requests, events, restored };
}

function input(text: string): UserMessageInput {
  return {
    content: [{ type: 'input_text', text }],
    attachments: [],
    quoted_text: null,
    inference_options: {},
  };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 6000 && !condition(); i++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(condition());
}

const CREATED = [
  { type: 'thread.created', thread: THREAD },
  { type: 'thread.item.done', item: MESSAGE },
];

test('the first message creates a thread, the next is added to it', async () => {
  const { conversation, requests, events } = setUp(() =>
    sse(...CREATED, { type: 'thread.item.done', item: ANSWER }),
  );
  await conversation.send(input('hi'));
  await until(() => !conversation.store.value.answering);
  await conversation.send(input('more'));
  await until(() => !conversation.store.value.answering);
  assert.deepEqual(
    requests.map(({ type }) => type),
    ['threads.create', 'threads.add_user_message'],
  );
  assert.deepEqual(events.slice(0, 3), [
    'chatkit.response.start',
    'chatkit.thread.change',
    'chatkit.response.end',
  ]);
});

test('a refused message puts everything back', async () => {
  const { conversation, restored, events } = setUp(() =>
    json({ title: 'Conflict', status: 409 }, 409),
  );
  await assert.rejects(conversation.send(input('keep me')));
  assert.deepEqual(restored, ['keep me']);
  assert.equal(conversation.store.value.items.length, 0);
  assert.equal(conversation.store.value.alert?.kind, 'busy');
  assert.deepEqual(events, ['chatkit.error']);
});

test('stop aborts the request and keeps the text', async () => {
  const { conversation } = setUp((_request, signal) =>
    openBody(signal, false, ...CREATED, { type: 'thread.item.added', item: ANSWER }),
  );
  await conversation.send(input('hi'));
  await until(() => conversation.store.value.live.size === 1);
  conversation.stop();
  await until(() => !conversation.store.value.answering);
  assert.deepEqual(
    conversation.store.value.items.map((item) => item.id),
    ['msg_1', 'ans_1'],
  );
  assert.ok(canResume(conversation.store.value));
});

test('a lost connection is taken up again and the record of the server is shown', async () => {
  const complete = {
    ...ANSWER,
    content: [{ type: 'output_text', text: 'Hello, complete.', annotations: [] }],
  };
  let down = 1;
  const { conversation } = setUp(({ type }, signal) => {
    if (type === 'threads.create')
      return openBody(signal, true, ...CREATED, { type: 'thread.item.added', item: ANSWER });
    if (down-- > 0) throw new TypeError('down');
    return type === 'items.list'
      ? json({ data: [complete, MESSAGE], has_more: false })
      : json(THREAD);
  });
  await conversation.send(input('hi'));
  await until(() => conversation.store.value.reconnecting);
  assert.equal(conversation.store.value.items.length, 2);
  await until(() => !conversation.store.value.reconnecting);
  const last = conversation.store.value.items.at(-1);
  assert.equal(last?.type === 'assistant_message' && last.content[0]?.text, 'Hello, complete.');
});

test('a message lost before the server confirmed it is given back', async () => {
  const { conversation, restored } = setUp((_request, signal) => openBody(signal, true));
  await conversation.send(input('precious'));
  await until(() => restored.length > 0);
  assert.deepEqual(restored, ['precious']);
  assert.equal(conversation.store.value.items.length, 0);
});

test('the newest page is shown, and older ones by cursor', async () => {
  const { conversation, requests } = setUp(({ type, params }) => {
    if (type !== 'items.list')
      return json({ ...THREAD, items: { data: [{ ...MESSAGE, id: 'oldest' }] } });
    return params.after
      ? json({ data: [{ ...MESSAGE, id: 'm0' }], has_more: false, after: 'm0' })
      : json({ data: [ANSWER, MESSAGE], has_more: true, after: 'msg_1' });
  });
  await conversation.open('thr_1');
  assert.deepEqual(
    conversation.store.value.items.map((item) => item.id),
    ['msg_1', 'ans_1'],
  );
  await conversation.loadOlder();
  assert.deepEqual(
    conversation.store.value.items.map((item) => item.id),
    ['m0', 'msg_1', 'ans_1'],
  );
  await conversation.loadOlder();
  assert.equal(requests.filter(({ type }) => type === 'items.list').length, 2);
});

test('a thread that is not there is a state of its own', async () => {
  const { conversation, events } = setUp(() => json({ title: 'Not Found', status: 404 }, 404));
  await conversation.open('thr_x');
  assert.ok(conversation.store.value.missing);
  assert.ok(events.includes('chatkit.thread.load.end'));
});

test('what still loads for the last thread does not land in the next', async () => {
  let release: () => void = () => undefined;
  const slow = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { conversation } = setUp(async ({ type, params }) => {
    if (params.thread_id === 'slow') await slow;
    if (type === 'items.list')
      return json({ data: [{ ...MESSAGE, id: `m_${params.thread_id}` }], has_more: false });
    return json({ ...THREAD, id: params.thread_id });
  });
  const first = conversation.open('slow');
  await conversation.open('fast');
  release();
  await first;
  assert.deepEqual(
    conversation.store.value.items.map((item) => item.id),
    ['m_fast'],
  );
});

test('retry asks for the last user message and drops what followed', async () => {
  const { conversation, requests } = setUp(({ type }) => {
    if (type === 'items.list') return json({ data: [ANSWER, MESSAGE], has_more: false });
    if (type === 'threads.get_by_id') return json(THREAD);
    return sse({ type: 'thread.item.done', item: { ...ANSWER, id: 'ans_2' } });
  });
  await conversation.open('thr_1');
  await conversation.retry();
  await until(() => !conversation.store.value.answering);
  assert.deepEqual(requests.at(-1), {
    type: 'threads.retry_after_item',
    params: { thread_id: 'thr_1', item_id: 'msg_1' },
  });
  assert.deepEqual(
    conversation.store.value.items.map((item) => item.id),
    ['msg_1', 'ans_2'],
  );
});

test('a client tool runs once and its result goes back', async () => {
  const call = {
    type: 'client_tool_call',
    id: 'c1',
    status: 'pending',
    call_id: 'x',
    name: 'locate',
    arguments: {},
  };
  const { conversation, requests } = setUp(({ type }) =>
    type === 'threads.create'
      ? sse(...CREATED, { type: 'thread.item.done', item: call })
      : sse({ type: 'thread.item.done', item: ANSWER }),
  );
  await conversation.send(input('where am I'));
  await until(() => !conversation.store.value.answering);
  assert.deepEqual(requests.at(-1), {
    type: 'threads.add_client_tool_output',
    params: { thread_id: 'thr_1', result: { ran: 'locate' } },
  });
});
