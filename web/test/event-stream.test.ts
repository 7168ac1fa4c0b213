import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readParts, type StreamPart } from '../src/event-stream.js';

async function collect(body: ReadableStream<Uint8Array>, silence: number): Promise<StreamPart[]> {
  const all: StreamPart[] = [];
  for await (const part of readParts(body, silence)) all.push(part);
  return all;
}

test('a line that has fallen silent ends, and its request is closed', async () => {
  let closed = false;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('id: 1\ndata: {"type":"future"}\n\nid: 2\ndata'));
    },
    cancel() {
      closed = true;
    },
  });
  const [part, ...rest] = await collect(body, 20);
  assert.deepEqual(part, { kind: 'event', event: { type: 'future' }, id: 1 });
  assert.deepEqual(rest, []);
  assert.ok(closed);
});

test('marks and numbers are read, other comments and odd ids are not', async () => {
  const text =
    ': \n\n: end of nothing\n\n: turn t1\n\nid: x\ndata: {"type":"a"}\n\n' +
    'id: 12\ndata: {"type":"b"}\n\ndata: []\n\n: reconnect\n\n: end\n\n: en';
  const body = new Response(text).body;
  assert.ok(body);
  assert.deepEqual(await collect(body, 0), [
    { kind: 'turn', turnId: 't1' },
    { kind: 'event', event: { type: 'a' }, id: 0 },
    { kind: 'event', event: { type: 'b' }, id: 12 },
    { kind: 'reconnect' },
    { kind: 'end' },
  ]);
});
