/** Turns asked on another page, or on this one before it was loaded anew. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  added,
  assertGrown,
  delta,
  done,
  FakeChatkeep,
  hurry,
  problem,
  random,
  reply,
  Tab,
  until,
  WORDS,
  write,
} from './fake-chatkeep.js';

const FINAL = `${WORDS.join(' ')} `;
const BELL = /GET \/threads\/thr_1\/events/;

function bells(server: FakeChatkeep): number {
  return [...server.open].filter((name) => BELL.test(name)).length;
}

async function listening(server: FakeChatkeep, tabs: number): Promise<void> {
  await until(() => bells(server) === tabs, `${tabs} followers`);
}

test('a page loaded in the middle of an answer shows it to its end, whenever that is', async () => {
  const run = async (seed: number): Promise<void> => {
    const next = random(seed);
    const server = new FakeChatkeep();
    server.joins = next() < 0.5;
    // What the server has stored by then may be nothing, or a part of the answer.
    server.begun = (turn) => void write(turn, 'ans', WORDS);
    const first = new Tab(server);
    await first.send('hi');
    const pause = Math.floor(next() * WORDS.length);
    await until(() => first.text('ans').split(' ').length > pause, `seed ${seed}`);
    if (next() < 0.3) server.store(reply('ans', first.text('ans')));
    first.conversation.close();
    let cuts = Math.floor(next() * 3);
    server.cut = ({ method }) =>
      method === 'GET' && cuts-- > 0
        ? { bytes: Math.floor(next() * 1500), hard: next() < 0.5 }
        : null;

    const second = new Tab(server);
    await second.conversation.open('thr_1');
    await hurry(() => second.text('ans') === FINAL && !second.state.answering, `seed ${seed}`);
    assertGrown(second, 'ans', FINAL);
    assert.deepEqual(second.ids(), ['msg_1', 'ans'], `seed ${seed}`);
    assert.equal(second.state.live.size, 0);
    assert.equal(second.state.copies.size, 0);
    assert.equal(server.count(/cancel/), 0);
    second.conversation.close();
  };
  await Promise.all(Array.from({ length: 60 }, (_, seed) => run(seed)));
});

test('a turn that was joined looks like an own one, and is stopped by its id', async () => {
  const server = new FakeChatkeep();
  server.begin().push(added('ans'), delta('ans', 'half'));
  server.cancelled = (turn) => {
    turn.push(done('ans', 'half'));
    turn.end('cancelled');
  };
  const tab = new Tab(server);
  await tab.conversation.open('thr_1');
  await until(() => tab.text('ans') === 'half');
  assert.equal(tab.state.answering, true);
  await assert.rejects(tab.send('not yet'));
  tab.conversation.stop();
  await until(() => !tab.state.answering);
  assert.equal(server.count(/POST \/turns\/turn_1\/cancel/), 1);
  assert.equal(tab.text('ans'), 'half');
  assert.ok(tab.state.partial.has('ans'));
  const responses = tab.events.filter((type) => type.startsWith('chatkit.response'));
  assert.deepEqual(responses, ['chatkit.response.start', 'chatkit.response.end']);
});

test('two tabs see one conversation', async () => {
  const server = new FakeChatkeep();
  server.begun = (turn) => void write(turn, `ans_${server.turns.size}`, WORDS);
  const one = new Tab(server);
  const two = new Tab(server);
  await one.conversation.open('thr_1');
  await two.conversation.open('thr_1');
  await listening(server, 2);
  for (const [turn, [asks, sees]] of [
    [one, two],
    [two, one],
    [one, two],
  ].entries()) {
    assert.ok(asks && sees);
    await asks.send('hi');
    const answer = `ans_${turn + 1}`;
    await until(() => sees.text(answer) !== '');
    assert.equal(sees.state.answering, true);
    await until(() => !asks.state.answering && !sees.state.answering);
    assertGrown(sees, answer, FINAL);
    assert.deepEqual(sees.ids(), asks.ids());
    await listening(server, 2);
  }
  assert.deepEqual(one.ids(), ['msg_1', 'ans_1', 'msg_2', 'ans_2', 'msg_3', 'ans_3']);
});

test('a client tool is run by the tab that asked, not by the one that looks on', async () => {
  const server = new FakeChatkeep();
  server.begun = (turn) => {
    const call = { id: 'c1', status: 'pending', call_id: 'x', name: 'locate', arguments: {} };
    if (server.turns.size === 1) {
      const item = { type: 'client_tool_call', ...call } as const;
      turn.push({ type: 'thread.item.done', item: item as never });
    } else turn.push(done('ans', 'here'));
    turn.end();
  };
  const one = new Tab(server);
  const two = new Tab(server);
  await one.conversation.open('thr_1');
  await two.conversation.open('thr_1');
  await listening(server, 2);
  await one.send('where');
  await until(() => one.text('ans') === 'here' && two.text('ans') === 'here');
  assert.equal(server.count('threads.add_client_tool_output'), 1);
});

test('a hidden tab holds no connection, and goes on where it was when it is seen again', async () => {
  const server = new FakeChatkeep();
  const tab = new Tab(server);
  await tab.conversation.open('thr_1');
  await listening(server, 1);
  tab.page.show(false);
  await until(() => server.open.size === 0);
  server.store(reply('before', 'came and went'));
  tab.page.show(true);
  await until(() => tab.ids().includes('before'));
  tab.page.show(false);
  await until(() => server.open.size === 0);
  const turn = server.begin();
  turn.push(added('ans'), delta('ans', 'one '));
  tab.page.show(true);
  await until(() => tab.text('ans') === 'one ');

  tab.page.show(false);
  await until(() => server.open.size === 0);
  turn.push(delta('ans', 'two '));
  tab.page.show(true);
  await until(() => tab.text('ans') === 'one two ');
  assert.ok(server.count(/turns\/turn_1\/events\?after=2$/) === 1);

  // This time it ends, and another one passes, while nobody looks.
  tab.page.show(false);
  await until(() => server.open.size === 0);
  turn.push(delta('ans', 'three'), done('ans', 'one two three'));
  turn.end();
  const next = server.begin();
  next.push(done('next', 'another'));
  next.end();
  tab.page.show(true);
  await until(() => tab.ids().includes('next') && !tab.state.answering);
  assertGrown(tab, 'ans', 'one two three');
  assert.deepEqual(tab.ids(), ['before', 'ans', 'next']);
  await listening(server, 1);
});

test('a hidden tab reads its own turn to the end', async () => {
  const server = new FakeChatkeep();
  server.begun = (turn) => void write(turn, 'ans', WORDS);
  const tab = new Tab(server);
  await tab.send('hi');
  tab.page.show(false);
  await until(() => !tab.state.answering);
  assertGrown(tab, 'ans', FINAL);
  assert.equal(server.open.size, 0);
  tab.page.show(true);
  await listening(server, 1);
});

test('closing ends all watching, and stops nothing', async () => {
  const server = new FakeChatkeep();
  const turn = server.begin();
  turn.push(added('ans'), delta('ans', 'x'));
  const tab = new Tab(server);
  await tab.conversation.open('thr_1');
  await until(() => tab.text('ans') === 'x');
  tab.conversation.close();
  await until(() => server.open.size === 0);
  assert.equal(tab.page.watched, false);
  assert.equal(turn.state, 'running');
  assert.equal(server.count(/cancel/), 0);
});

test('a message that met a running turn is given back, and the turn is shown', async () => {
  const server = new FakeChatkeep();
  const tab = new Tab(server);
  await tab.conversation.open('thr_1');
  await listening(server, 1);
  tab.page.show(false);
  await until(() => server.open.size === 0);
  const turn = server.begin();
  turn.push(added('ans'), delta('ans', 'of another '));
  // The refusal itself names the turn.
  server.intercept = ({ path }) => (path.startsWith('/threads/') ? problem(503, 'x') : undefined);
  tab.page.visible = true; // seen again, but the browser has not said so yet
  await assert.rejects(tab.send('me too'));
  assert.deepEqual(tab.restored, ['me too']);
  assert.equal(tab.state.alert?.kind, 'busy');
  await until(() => tab.text('ans') === 'of another ');
  assert.equal(tab.state.answering, true);
  assert.equal(tab.state.alert?.kind, 'busy');
  turn.push(done('ans', 'of another tab'));
  turn.end();
  await until(() => !tab.state.answering);
  assert.equal(tab.state.alert, null);
  assert.deepEqual(tab.ids(), ['ans']);
});

test('items that a retry in another tab removed go', async () => {
  const server = new FakeChatkeep();
  server.items.push({ type: 'user_message', id: 'msg', content: [] }, reply('old', 'old answer'));
  const tab = new Tab(server);
  await tab.conversation.open('thr_1');
  await listening(server, 1);
  const turn = server.begin();
  turn.push(added('new'), delta('new', 'new answer'));
  await until(() => tab.text('new') !== '');
  server.items.splice(1, 1);
  turn.push(done('new', 'new answer'));
  turn.end();
  await until(() => !tab.state.answering && tab.ids().length === 2);
  assert.deepEqual(tab.ids(), ['msg', 'new']);
});

test('a thread is followed again after the line was lost, and what was missed is read', async () => {
  const server = new FakeChatkeep();
  const tab = new Tab(server);
  await tab.conversation.open('thr_1');
  await listening(server, 1);
  let down = 2;
  server.intercept = () => {
    if (down-- > 0) throw new TypeError('down');
    return undefined;
  };
  server.drain();
  await hurry(() => down < 0);
  server.store(reply('missed', 'meanwhile'));
  await hurry(() => bells(server) === 1);
  server.drain();
  await hurry(() => tab.ids().includes('missed'));
  assert.equal(tab.state.alert, null);
  assert.equal(tab.state.reconnecting, false);
});

test('a server without these routes is asked once', async () => {
  const answers = [
    () => problem(404, 'x').clone(),
    () => new Response('Not Found', { status: 404 }),
    () => new Response('', { status: 405 }),
    () => new Response('', { status: 501 }),
    () => new Response('<!doctype html>', { headers: { 'Content-Type': 'text/html' } }),
  ];
  for (const [index, answer] of answers.entries()) {
    const server = new FakeChatkeep();
    server.intercept = ({ method }) => (method === 'GET' ? answer() : undefined);
    const tab = new Tab(server);
    await tab.conversation.open('thr_1');
    await until(() => !tab.page.watched);
    await tab.conversation.open(null);
    await tab.conversation.open('thr_1');
    // In Chatkeep's own words it is the thread that is not there, and the next one may be.
    assert.equal(tab.page.watched, index === 0);
    assert.equal(server.count(/GET/), index === 0 ? 2 : 1);
    assert.equal(tab.state.alert, null);
    assert.deepEqual(
      tab.events.filter((type) => type === 'chatkit.error'),
      [],
    );
  }
});

test('a server that is not to be asked is not asked', async () => {
  const server = new FakeChatkeep();
  server.begun = (turn) => void write(turn, 'ans', ['one']);
  const tab = new Tab(server, { resumable: false });
  await tab.conversation.open('thr_1');
  await tab.send('hi');
  await until(() => !tab.state.answering);
  assert.equal(server.count(/GET/), 0);
  assert.ok(server.seen.every(({ headers }) => !headers.has('Idempotency-Key')));
});
