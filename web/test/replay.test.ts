/** A turn that is told again behind what is on the screen. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StreamEvent, ThreadItem } from '../src/protocol.js';
import { INITIAL_STATE, reduce, type ViewState } from '../src/state.js';
import { added, delta, done, random, reply } from './fake-chatkeep.js';

function hear(state: ViewState, ...events: StreamEvent[]): ViewState {
  return events.reduce((now, event) => reduce(now, { type: 'event', event, again: true }), state);
}

function joined(items: ThreadItem[]): ViewState {
  const thread = { id: 'thr_1', created_at: '' };
  const loaded = reduce(INITIAL_STATE, { type: 'loaded', thread, items, cursor: null });
  return reduce(loaded, { type: 'joined' });
}

function shown(state: ViewState): string {
  const item = state.items.find(({ id }) => id === 'a');
  return item?.type === 'assistant_message' ? item.content.map(({ text }) => text).join('') : '';
}

test('whatever was stored, the text only grows and is whole in the end', () => {
  for (let seed = 0; seed < 200; seed++) {
    const next = random(seed);
    const final = Array.from({ length: 30 }, () => Math.floor(next() * 1e6)).join(' ');
    const events = [added('a')];
    for (let at = 0; at < final.length; ) {
      const end = at + 1 + Math.floor(next() * 20);
      events.push(delta('a', final.slice(at, end)));
      at = end;
    }
    events.push(done('a', final));
    const stored = final.slice(0, Math.floor(next() * (final.length + 1)));
    let state = joined(next() < 0.8 ? [reply('a', stored)] : []);
    let before = shown(state);
    for (const event of events) {
      state = hear(state, event);
      assert.ok(shown(state).startsWith(before) && final.startsWith(shown(state)), `seed ${seed}`);
      before = shown(state);
    }
    assert.equal(shown(state), final);
    assert.deepEqual([state.items.length, state.live.size], [1, 0]);
  }
});

test('an item that the record has whole is not written further', () => {
  let state = joined([reply('a', 'all of it')]);
  state = hear(state, delta('a', ' of it'));
  assert.equal(shown(state), 'all of it');
  // Only of a turn that is told again: elsewhere a server may well write without a beginning.
  state = reduce(state, { type: 'event', event: delta('a', '!') });
  assert.equal(shown(state), 'all of it!');
});

test('thoughts that are stored already stay until the copy has caught up', () => {
  const workflow = (...contents: string[]): ThreadItem => ({
    type: 'workflow',
    id: 'w',
    workflow: {
      type: 'reasoning',
      tasks: contents.map((content) => ({ type: 'thought', content })),
    },
  });
  const task = (index: number, content: string): StreamEvent => ({
    type: 'thread.item.updated',
    item_id: 'w',
    update: {
      type: index < 0 ? 'workflow.task.added' : 'workflow.task.updated',
      task_index: Math.max(index, 0),
      task: { type: 'thought', content },
    },
  });
  let state = joined([workflow('one', 'two')]);
  state = hear(state, { type: 'thread.item.added', item: workflow() }, task(0, 'one'));
  assert.deepEqual(state.items, [workflow('one', 'two')]);
  state = hear(state, task(1, 'two, and more'));
  assert.deepEqual(state.items, [workflow('one', 'two, and more')]);
  assert.ok(state.live.has('w'));
});

test('what is being written survives a look at the record, in its place', () => {
  let state = hear(joined([]), done('first', 'done'), added('a'), delta('a', 'half'));
  const thread = { id: 'thr_1', created_at: '' };
  const items = [reply('first', 'done')];
  state = reduce(state, { type: 'reconciled', thread, items, cursor: null });
  assert.deepEqual(
    state.items.map(({ id }) => id),
    ['first', 'a'],
  );
  state = hear(state, delta('a', ' and half'));
  assert.equal(shown(state), 'half and half');
  state = reduce(state, {
    type: 'reconciled',
    thread,
    items: [...items, reply('a', 'half and half!')],
    cursor: null,
  });
  state = hear(state, delta('a', '!'), done('a', 'half and half!'));
  assert.equal(shown(state), 'half and half!');
});
