import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ItemUpdate, StreamEvent, WidgetItem } from '../src/protocol.js';
import { INITIAL_STATE, reduce, type ViewState } from '../src/state.js';
import { updateWidget, widgetExtent } from '../src/widget-items.js';

function item(): WidgetItem {
  return {
    type: 'widget',
    id: 'wig_1',
    widget: {
      type: 'Card',
      children: [
        { type: 'Title', value: 'A story' },
        { type: 'Row', children: [{ type: 'Text', id: 'story', value: 'Once ', streaming: true }] },
        { type: 'Transition', children: { type: 'Text', id: 'inner', value: 'a' } },
      ],
    },
  };
}

function delta(id: string, text: string, done = false): ItemUpdate {
  return { type: 'widget.streaming_text.value_delta', component_id: id, delta: text, done };
}

test('a text that is written grows where it stands, and nothing else changes', () => {
  const before = item();
  const after = updateWidget(
    updateWidget(before, delta('story', 'upon ')),
    delta('story', 'a time', true),
  );

  const children = after.widget.children as { children: object[] }[];
  assert.deepEqual(children[1]?.children[0], {
    type: 'Text',
    id: 'story',
    value: 'Once upon a time',
    streaming: false,
  });
  assert.equal(children[0], (before.widget.children as object[])[0]);
  assert.deepEqual(before, item());
});

test('a component that stands alone in its container is found, too', () => {
  const after = updateWidget(item(), delta('inner', 'b'));

  assert.equal(
    (after.widget.children as { children: { value: string } }[])[2]?.children.value,
    'ab',
  );
});

test('a root and a component take the place of what was there, any number of times', () => {
  const component = { type: 'Text', id: 'story', value: 'New' };
  const update: ItemUpdate = { type: 'widget.component.updated', component_id: 'story', component };
  const once = updateWidget(item(), update);
  assert.deepEqual(updateWidget(once, update), once);

  const widget = { type: 'Card', children: [] };
  const root: ItemUpdate = { type: 'widget.root.updated', widget };
  assert.deepEqual(updateWidget(updateWidget(once, root), root).widget, widget);
});

test('what does not fit changes nothing', () => {
  const before = item();
  const strange = [
    delta('elsewhere', 'x'),
    { type: 'widget.root.updated', widget: null },
    { type: 'widget.component.updated', component_id: 'story', component: 'no' },
    { type: 'widget.later' },
  ] as unknown as ItemUpdate[];

  for (const update of strange) assert.equal(updateWidget(before, update), before);
});

test('a widget that is told again from its beginning is never shorter than it was', () => {
  const told = (events: StreamEvent[], from: ViewState, again = false): ViewState =>
    events.reduce((state, event) => reduce(state, { type: 'event', event, again }), from);
  const update = (one: ItemUpdate): StreamEvent => ({
    type: 'thread.item.updated',
    item_id: 'wig_1',
    update: one,
  });
  const events: StreamEvent[] = [
    { type: 'thread.item.added', item: item() },
    update(delta('story', 'upon ')),
    update(delta('story', 'a time', true)),
  ];
  const first = told(events, { ...INITIAL_STATE, threadId: 'thr_1' });
  const joined = told([events[0] as StreamEvent], first, true);
  assert.deepEqual(joined.items, first.items);
  assert.deepEqual(told(events.slice(1), joined, true).items, first.items);
});

test('a widget that is none is an empty one', () => {
  const bad = { type: 'widget', id: 'wig_2', widget: 'text' } as unknown as WidgetItem;
  const state = reduce(INITIAL_STATE, {
    type: 'event',
    event: { type: 'thread.item.done', item: bad },
  });

  assert.deepEqual((state.items[0] as WidgetItem).widget, { type: 'Basic' });
});

test('an item that was changed aside takes its place, and no other item comes in that way', () => {
  const done: StreamEvent = { type: 'thread.item.done', item: item() };
  const state = reduce(INITIAL_STATE, { type: 'event', event: done });
  const widget = { type: 'Card' };

  const changed = reduce(state, { type: 'item.changed', item: { ...item(), widget } });
  assert.deepEqual((changed.items[0] as WidgetItem).widget, widget);
  const foreign = { ...item(), id: 'wig_9' };
  assert.equal(reduce(state, { type: 'item.changed', item: foreign }), state);
});

test('the extent of a widget grows with its text and its components', () => {
  const before = widgetExtent(item().widget);

  assert.ok(widgetExtent(updateWidget(item(), delta('story', 'more')).widget) > before);
});
