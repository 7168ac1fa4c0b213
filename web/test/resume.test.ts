/** Turns asked on this page, on connections that break. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canResume } from '../src/state.js';
import {
  added,
  assertGrown,
  delta,
  done,
  FakeChatkeep,
  type FakeTurn,
  hurry,
  problem,
  random,
  Tab,
  until,
  WORDS,
  write,
} from './fake-chatkeep.js';

test('a stream cut at any byte goes on where it was', async () => {
  const final = `${WORDS.join(' ')} `;
  const run = async (seed: number): Promise<void> => {
    const next = random(seed);
    const server = new FakeChatkeep();
    let cuts = 1 + Math.floor(next() * 4);
    server.joins = next() < 0.5;
    server.cut = () =>
      cuts-- > 0 ? { bytes: Math.floor(next() * 1500), hard: next() < 0.5 } : null;
    server.begun = (turn) => void write(turn, 'ans', WORDS);
    const tab = new Tab(server);
    const sent = tab.send('hi');
    await hurry(() => !tab.state.answering, `seed ${seed}`);
    await sent;
    assertGrown(tab, 'ans', final);
    assert.deepEqual(tab.ids(), ['msg_1', 'ans'], `seed ${seed}`);
    assert.equal(tab.state.alert, null);
    assert.equal(tab.state.reconnecting, false);
    assert.equal(server.turns.size, 1);
    assert.deepEqual(tab.restored, []);
  };
  await Promise.all(Array.from({ length: 60 }, (_, seed) => run(seed)));
});

test('the hint to come back is followed, also when the server is away for a while', async () => {
  const server = new FakeChatkeep();
  let turn: FakeTurn | undefined;
  server.begun = (begun) => {
    turn = begun;
    begun.push(added('ans'), delta('ans', 'one '));
  };
  const tab = new Tab(server);
  await tab.send('hi');
  await until(() => tab.text('ans') === 'one ');
  let away = true;
  server.intercept = ({ method }) => {
    if (method === 'GET' && away) throw new TypeError('refused');
    return undefined;
  };
  server.drain();
  await hurry(() => tab.state.reconnecting);
  assert.equal(tab.state.answering, true);
  away = false;
  turn?.push(delta('ans', 'two'));
  await hurry(() => tab.text('ans') === 'one two');
  assert.equal(tab.state.reconnecting, false);
  assert.ok(server.count(/GET .*events\?after=4$/) > 0);
  turn?.push(done('ans', 'one two'));
  turn?.end();
  await until(() => !tab.state.answering);
  assertGrown(tab, 'ans', 'one two');
});

test('a turn whose events are gone is read from the record', async () => {
  const server = new FakeChatkeep();
  let turn: FakeTurn | undefined;
  let cut = true;
  server.cut = ({ type }) => (type && cut ? { bytes: 700, hard: true } : null);
  server.begun = (begun) => {
    turn = begun;
    begun.push(added('ans'), delta('ans', 'par'), delta('ans', 'x'.repeat(2000)));
    begun.push(done('ans', 'all of it'));
    begun.end();
    begun.pruned = true;
  };
  const tab = new Tab(server);
  await tab.send('hi');
  await hurry(() => !tab.state.answering && !tab.state.reconnecting);
  cut = false;
  assert.equal(tab.text('ans'), 'all of it');
  assert.deepEqual(tab.ids(), ['msg_1', 'ans']);
  assert.equal(tab.state.alert, null);
  assert.equal(turn?.pruned, true);
  assert.equal(canResume(tab.state), false);
});

test('a request whose answer was lost is sent again with its key, and is one message', async () => {
  const server = new FakeChatkeep();
  server.begun = (turn) => void write(turn, 'ans', ['one']);
  let lost = 2;
  const through = server.fetch;
  const tab = new Tab({
    // The server takes the request; what it answers does not arrive.
    fetch: async (input, init) => {
      const response = await through(input, init);
      if (init?.method === 'POST' && lost-- > 0) {
        await response.body?.cancel();
        throw new TypeError('reset');
      }
      return response;
    },
  });
  const sent = tab.send('hi');
  await hurry(() => !tab.state.answering);
  await sent;
  assert.equal(tab.text('ans'), 'one ');
  assert.equal(server.turns.size, 1);
  assert.equal(tab.state.reconnecting, false);
  const keys = server.seen
    .filter(({ type }) => type === 'threads.create')
    .map(({ headers }) => headers.get('Idempotency-Key') ?? '');
  assert.equal(keys.length, 3);
  assert.equal(new Set(keys).size, 1);
  assert.match(keys[0] ?? '', /^[0-9a-f]{32}$/);
  await tab.send('again');
  assert.notEqual(server.seen.at(-1)?.headers.get('Idempotency-Key'), keys[0]);
});

test('a stop ends the waiting for a server that is away, and gives the text back', async () => {
  const server = new FakeChatkeep();
  server.intercept = () => Promise.reject(new TypeError('down'));
  const tab = new Tab(server);
  const sending = assert.rejects(tab.send('precious'));
  await until(() => tab.state.reconnecting);
  assert.equal(tab.state.answering, true);
  tab.conversation.stop();
  await sending;
  assert.deepEqual(tab.restored, ['precious']);
  assert.equal(tab.state.answering, false);
  assert.equal(tab.state.alert, null);
});

test('a server that stays away is told after a few tries', async () => {
  const server = new FakeChatkeep();
  let gone = 0;
  server.intercept = ({ type }) => {
    if (type !== 'threads.create') return undefined;
    gone += 1;
    return problem(503, 'draining', {}, { 'Retry-After': '0' });
  };
  const tab = new Tab(server);
  await assert.rejects(tab.send('precious'));
  assert.equal(gone, 4);
  assert.deepEqual(tab.restored, ['precious']);
  assert.equal(tab.state.alert?.kind, 'request');
  assert.deepEqual(tab.ids(), []);
});

test('a server that drains is asked again, quietly, with the same key', async () => {
  const server = new FakeChatkeep();
  let drained = 2;
  server.intercept = ({ type }) =>
    type === 'threads.create' && drained-- > 0
      ? problem(503, 'draining', {}, { 'Retry-After': '0' })
      : undefined;
  server.begun = (turn) => void write(turn, 'ans', ['one']);
  const tab = new Tab(server);
  let noticed = false;
  tab.conversation.store.subscribe(() => {
    noticed ||= tab.state.reconnecting || tab.state.alert !== null;
  });
  await tab.send('hi');
  await until(() => !tab.state.answering);
  assert.equal(noticed, false);
  const asked = server.seen.filter(({ type }) => type === 'threads.create');
  assert.equal(asked.length, 3);
  assert.equal(new Set(asked.map(({ headers }) => headers.get('Idempotency-Key'))).size, 1);
  assert.deepEqual(
    tab.events.filter((type) => type === 'chatkit.error'),
    [],
  );
});

test('a stop reads on to the end of the turn, so that what is shown is what is kept', async () => {
  const server = new FakeChatkeep();
  server.begun = (turn) => turn.push(added('ans'), delta('ans', 'begun '));
  server.cancelled = (turn) => {
    // Written between the click and the stop.
    turn.push(delta('ans', 'and more'), done('ans', 'begun and more'));
    turn.end('cancelled');
  };
  const tab = new Tab(server);
  await tab.send('hi');
  await until(() => tab.text('ans') === 'begun ');
  tab.conversation.stop();
  await until(() => !tab.state.answering);
  assert.equal(tab.text('ans'), 'begun and more');
  assert.ok(tab.state.partial.has('ans'));
  assert.ok(canResume(tab.state));
  assert.equal(server.count(/POST .*cancel/), 1);
  assertGrown(tab, 'ans', 'begun and more');
});

test('a stop that comes too late marks nothing as incomplete', async () => {
  const server = new FakeChatkeep();
  server.begun = (turn) => turn.push(added('ans'));
  server.cancelled = (turn) => {
    turn.push(done('ans', 'complete'));
    turn.end('completed');
  };
  const tab = new Tab(server);
  await tab.send('hi');
  await until(() => tab.state.live.has('ans'));
  tab.conversation.stop();
  await until(() => !tab.state.answering);
  assert.equal(tab.state.partial.size, 0);
  assert.equal(canResume(tab.state), false);
});

test('a stop before the answer has begun waits for the turn and cancels it', async () => {
  const server = new FakeChatkeep();
  let release: () => void = () => undefined;
  server.intercept = ({ type }) =>
    type === 'threads.create'
      ? (new Promise<undefined>((resolve) => {
          release = () => resolve(undefined);
        }) as Promise<never>)
      : undefined;
  server.begun = (turn) => turn.push(added('ans'));
  const tab = new Tab(server);
  const sent = tab.send('hi');
  await until(() => server.seen.length === 1);
  tab.conversation.stop();
  release();
  await sent;
  await until(() => !tab.state.answering);
  assert.equal(server.turns.get('turn_1')?.state, 'cancelled');
  assert.deepEqual(tab.ids().slice(0, 1), ['msg_1']);
});

test('a stop is tried again when it did not get through', async () => {
  const server = new FakeChatkeep();
  server.begun = (turn) => turn.push(added('ans'), delta('ans', 'x'));
  const tab = new Tab(server);
  await tab.send('hi');
  await until(() => tab.text('ans') === 'x');
  let fails = 1;
  server.intercept = ({ path }) => {
    if (path.endsWith('/cancel') && fails-- > 0) throw new TypeError('reset');
    return undefined;
  };
  tab.conversation.stop();
  await hurry(() => !tab.state.answering);
  assert.equal(server.turns.get('turn_1')?.state, 'cancelled');
});

test('leaving the thread stops nothing', async () => {
  const server = new FakeChatkeep();
  server.begun = (turn) => turn.push(added('ans'));
  const tab = new Tab(server);
  await tab.send('hi');
  await until(() => tab.state.live.has('ans'));
  await tab.conversation.open(null);
  await until(() => server.open.size === 0);
  assert.equal(server.turns.get('turn_1')?.state, 'running');
  assert.equal(server.count(/cancel/), 0);
  await until(() => tab.events.filter((type) => type === 'chatkit.response.end').length === 1);
});

test('a plain server of another origin sees nothing that it does not know', async () => {
  const seen: Headers[] = [];
  const paths: string[] = [];
  let down = false;
  const tab = new Tab(
    {
      fetch: async (input, init) => {
        seen.push(new Headers(init?.headers));
        paths.push(String(input));
        if (down) throw new TypeError('down');
        const item = { type: 'user_message', id: `m${seen.length}`, content: [] };
        return new Response(
          `data: ${JSON.stringify({ type: 'thread.created', thread: { id: 't' } })}\n\n` +
            `data: ${JSON.stringify({ type: 'thread.item.done', item })}\n\n`,
        );
      },
    },
    {},
  );
  await tab.send('hi');
  await until(() => !tab.state.answering);
  down = true;
  await assert.rejects(tab.send('lost'));
  // A server that may have taken the message is not asked twice.
  assert.deepEqual(paths, Array(2).fill('http://x.example/chatkit'));
  assert.deepEqual(tab.restored, ['lost']);
  assert.equal(tab.state.alert?.kind, 'offline');
  for (const headers of seen) {
    assert.deepEqual([...headers.keys()].sort(), ['accept', 'content-type']);
  }
  assert.equal(tab.page.watched, false);
});

test('a server of another origin is known by its first answer', async () => {
  const server = new FakeChatkeep();
  server.begun = (turn) => void write(turn, 'ans', WORDS);
  let cuts = 1;
  server.cut = ({ type }) =>
    type === 'threads.create' && cuts-- > 0 ? { bytes: 900, hard: true } : null;
  const tab = new Tab(server, {});
  await tab.send('hi');
  // Without numbers the turn is told again from its beginning, behind what is on the screen.
  await hurry(() => !tab.state.answering);
  assert.equal(server.seen[0]?.headers.has('Idempotency-Key'), false);
  assertGrown(tab, 'ans', `${WORDS.join(' ')} `);
  await tab.send('more');
  await until(() => !tab.state.answering);
  const again = server.seen.find(({ type }) => type === 'threads.add_user_message');
  assert.equal(again?.headers.get('X-Chatkeep-Events'), 'numbered');
});
