import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { ChatKitClient } from '../src/client.js';
import {
  ChatKitConnectionError,
  ChatKitProtocolError,
  ChatKitRequestError,
} from '../src/errors.js';
import type { StreamPart } from '../src/event-stream.js';
import type { StreamEvent, StreamRequest } from '../src/protocol.js';

async function withServer(
  listener: RequestListener,
  use: (url: string, server: Server) => Promise<void>,
) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/chatkit`, server);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

const ASK: StreamRequest = {
  type: 'threads.create',
  params: {
    input: {
      content: [{ type: 'input_text', text: 'hi' }],
      attachments: [],
      quoted_text: null,
      inference_options: {},
    },
  },
};

async function collect(parts: AsyncIterable<StreamPart>): Promise<StreamEvent[]> {
  const all: StreamEvent[] = [];
  for await (const part of parts) if (part.kind === 'event') all.push(part.event);
  return all;
}

test('a request carries type, params and the locale', async () => {
  let seen: { body: unknown; language: string | undefined } | null = null;
  await withServer(
    async (request, response) => {
      seen = {
        body: JSON.parse(await bodyOf(request)),
        language: request.headers['accept-language'],
      };
      response.setHeader('Content-Type', 'application/json').end('{"data":[],"has_more":false}');
    },
    async (url) => {
      const client = new ChatKitClient(url, () => ({ locale: 'de-DE' }));
      const page = await client.call('threads.list', { limit: 5, order: 'desc' });
      assert.deepEqual(page, { data: [], has_more: false });
    },
  );
  assert.deepEqual(seen, {
    body: { type: 'threads.list', params: { limit: 5, order: 'desc' } },
    language: 'de-DE',
  });
});

test('events arrive one by one, with the turn’s id; the end of the body is the end', async () => {
  await withServer(
    (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream', 'X-Chatkeep-Turn': 'turn_1' });
      response.write(': ping\n\ndata: {"type":"progress_update","text":"a"}\n\nda');
      setTimeout(() => response.end('ta: {"type":"future"}\r\n\r\n\n'), 20);
    },
    async (url) => {
      const { turnId, parts } = await new ChatKitClient(url).stream(ASK);
      assert.equal(turnId, 'turn_1');
      assert.deepEqual(
        (await collect(parts)).map((event) => event.type),
        ['progress_update', 'future'],
      );
    },
  );
});

test('problem+json becomes a typed error', async () => {
  const problem = {
    type: 'https://x.example/limit',
    title: 'Too Many Requests',
    status: 429,
    detail: 'Slow down.',
  };
  const more = { turn_id: 'turn_1' };
  await withServer(
    (_request, response) =>
      response
        .writeHead(429, { 'Content-Type': 'application/problem+json', 'Retry-After': '7' })
        .end(JSON.stringify({ ...problem, ...more })),
    async (url) => {
      await assert.rejects(new ChatKitClient(url).stream(ASK), (error: unknown) => {
        assert.ok(error instanceof ChatKitRequestError);
        assert.deepEqual(
          { type: error.type, title: error.title, status: error.status, detail: error.detail },
          problem,
        );
        assert.equal(error.message, 'Slow down.');
        assert.equal(error.turnId, 'turn_1');
        assert.equal(error.retryAfter, 7);
        return true;
      });
    },
  );
});

test('an error page that is not JSON still gives its status', async () => {
  for (const [type, body] of [
    ['text/html', '<h1>Bad gateway</h1>'],
    ['application/json', '{broken'],
    ['application/json', '[1]'],
  ] as const) {
    await withServer(
      (_request, response) => response.writeHead(502, { 'Content-Type': type }).end(body),
      async (url) => {
        await assert.rejects(
          new ChatKitClient(url).call('threads.delete', { thread_id: 't' }),
          (error: unknown) =>
            error instanceof ChatKitRequestError &&
            error.status === 502 &&
            error.title === 'Bad Gateway',
        );
      },
    );
  }
});

test('a server that is not there is a connection error', async () => {
  let gone = '';
  await withServer(
    () => undefined,
    async (url) => {
      gone = url;
    },
  );
  await assert.rejects(new ChatKitClient(gone).stream(ASK), ChatKitConnectionError);
});

test('a stream that breaks off is a connection error, after the events that came', async () => {
  let breakOff = () => {};
  await withServer(
    (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write('data: {"type":"progress_update","text":"a"}\n\n');
      breakOff = () => response.destroy();
    },
    async (url) => {
      const { parts } = await new ChatKitClient(url).stream(ASK);
      assert.equal((await parts.next()).done, false);
      breakOff();
      await assert.rejects(parts.next(), ChatKitConnectionError);
    },
  );
});

test('an abort ends the request at the server and leaves as an abort', async () => {
  let closed: Promise<void> | null = null;
  await withServer(
    (_request, response) => {
      closed = new Promise((resolve) => response.on('close', () => resolve()));
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write('data: {"type":"progress_update","text":"a"}\n\n');
    },
    async (url) => {
      const controller = new AbortController();
      const { parts } = await new ChatKitClient(url).stream(ASK, controller.signal);
      await parts.next();
      controller.abort();
      await assert.rejects(
        parts.next(),
        (error: unknown) => error instanceof Error && error.name === 'AbortError',
      );
      await closed;
    },
  );
});

test('a reader that stops reading closes the request', async () => {
  let closed: Promise<void> | null = null;
  await withServer(
    (_request, response) => {
      closed = new Promise((resolve) => response.on('close', () => resolve()));
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write('data: {"type":"progress_update","text":"a"}\n\n');
    },
    async (url) => {
      const { parts } = await new ChatKitClient(url).stream(ASK);
      for await (const _event of parts) break;
      await closed;
    },
  );
});

test('what is not the protocol is a protocol error', async () => {
  await withServer(
    (_request, response) =>
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end('data: {oops\n\n'),
    async (url) => {
      const { parts } = await new ChatKitClient(url).stream(ASK);
      await assert.rejects(parts.next(), ChatKitProtocolError);
      await assert.rejects(
        new ChatKitClient(url).call('threads.delete', { thread_id: 't' }),
        ChatKitProtocolError,
      );
    },
  );
});

test('a request asks for numbers under a key of its own where turns are kept', async () => {
  const seen: IncomingMessage['headers'][] = [];
  await withServer(
    (request, response) => {
      seen.push(request.headers);
      response.writeHead(200, { 'X-Chatkeep-Turn': 'turn_1' });
      response.end('id: 4\ndata: {"type":"future"}\n\n: turn turn_2\n\n: end\n\n');
    },
    async (url) => {
      const plain = new ChatKitClient(url, () => ({ resumable: false }));
      const first = await plain.stream(ASK);
      assert.equal(first.numbered, false);
      await collect(first.parts);
      assert.equal(plain.mayKeepTurns, false);

      // Another origin: only once it has shown that it keeps turns.
      const client = new ChatKitClient(url);
      assert.equal(client.mayKeepTurns, false);
      await collect((await client.stream(ASK)).parts);
      assert.ok(client.keepsTurns && client.mayKeepTurns);
      const { numbered, parts } = await client.stream(ASK);
      assert.ok(numbered);
      const all: StreamPart[] = [];
      for await (const part of parts) all.push(part);
      assert.deepEqual(all, [
        { kind: 'event', event: { type: 'future' }, id: 4 },
        { kind: 'turn', turnId: 'turn_2' },
        { kind: 'end' },
      ]);
      await collect((await client.stream(ASK)).parts);
    },
  );
  const keys = seen.map((headers) => headers['idempotency-key']);
  assert.deepEqual(keys.slice(0, 2), [undefined, undefined]);
  assert.equal(new Set(keys.slice(2)).size, 2);
  assert.deepEqual(
    seen.map((headers) => headers['x-chatkeep-events']),
    [undefined, undefined, 'numbered', 'numbered'],
  );
});

test('the turn of a thread is a turn, none, or an answer of somebody else', async () => {
  const paths: string[] = [];
  await withServer(
    (request, response) => {
      paths.push(`${request.method} ${request.url}`);
      if (request.url?.includes('none')) response.writeHead(204).end();
      else if (request.url?.includes('page')) {
        response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html>');
      } else {
        response.writeHead(200, { 'Content-Type': 'application/json' });
        response.end(request.url?.includes('odd') ? '[]' : '{"id":"turn_1","state":"running"}');
      }
    },
    async (url) => {
      const client = new ChatKitClient(`${url}?tenant=a`);
      assert.deepEqual(await client.runningTurn('thr/1'), { id: 'turn_1', state: 'running' });
      assert.equal(await client.runningTurn('none'), null);
      await assert.rejects(client.runningTurn('page'), ChatKitProtocolError);
      await assert.rejects(client.runningTurn('odd'), ChatKitProtocolError);
      await assert.rejects(client.turnEvents('turn_1', 7), ChatKitProtocolError);
    },
  );
  assert.equal(paths[0], 'GET /chatkit/threads/thr%2F1/turn?tenant=a');
  assert.equal(paths.at(-1), 'GET /chatkit/turns/turn_1/events?tenant=a&after=7');
});

test('a turn is cancelled beside the protocol’s own address', async () => {
  const seen: string[] = [];
  await withServer(
    (request, response) => {
      seen.push(`${request.method} ${request.url}`);
      response.end('{"id":"turn_1","thread_id":"thr_1","state":"cancelled","reason":null}');
    },
    async (url) => {
      const turn = await new ChatKitClient(url).cancelTurn('turn_1');
      assert.deepEqual(turn, { id: 'turn_1', state: 'cancelled' });
      await new ChatKitClient(`${url}/?tenant=a`).cancelTurn('turn/2');
    },
  );
  assert.deepEqual(seen, [
    'POST /chatkit/turns/turn_1/cancel',
    'POST /chatkit/turns/turn%2F2/cancel?tenant=a',
  ]);
});
