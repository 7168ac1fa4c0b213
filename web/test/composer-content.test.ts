import './dom.js';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Content,
  joined,
  lengthOf,
  slice,
  splice,
  tagAt,
  text,
  triggerAt,
  trimmed,
} from '../src/composer/content.js';
import { locate, placeOf, read, write } from '../src/composer/editor-dom.js';
import { Undo } from '../src/composer/undo.js';
import type { UserContent } from '../src/protocol.js';

const ADA: UserContent = { type: 'input_tag', id: 'ada', text: 'Ada Lovelace', data: {} };

function field(content: Content): HTMLElement {
  const element = document.createElement('div');
  write(element, content);
  return element;
}

test('neighbouring texts are one, and empty ones none', () => {
  assert.deepEqual(joined(text('a'), text(''), text('b'), [ADA], text('')), [...text('ab'), ADA]);
});

test('a tag counts as one unit and is cut as a whole', () => {
  const content = joined(text('ab'), [ADA], text('cd'));
  assert.equal(lengthOf(content), 5);
  assert.deepEqual(slice(content, 1, 4), joined(text('b'), [ADA], text('c')));
  assert.deepEqual(slice(content, 0, 2), text('ab'));
  assert.deepEqual(tagAt(content, 2), ADA);
  assert.equal(tagAt(content, 1), null);
  assert.deepEqual(splice(content, 2, 3, text('-')), text('ab-cd'));
});

test('white space goes at the ends only', () => {
  const content = joined(text('  a '), [ADA], text(' b\n'));
  assert.deepEqual(trimmed(content), joined(text('a '), [ADA], text(' b')));
  assert.deepEqual(trimmed(text(' \n ')), []);
});

test('a sign at the beginning of a word starts a search, inside a word it does not', () => {
  const at = (words: string) => triggerAt(text(words), words.length);
  assert.deepEqual(at('hi @ad'), { kind: '@', from: 3, to: 6, query: 'ad' });
  assert.deepEqual(at('@'), { kind: '@', from: 0, to: 1, query: '' });
  assert.equal(at('ada@example'), null);
  assert.equal(at('@ada '), null);
  assert.deepEqual(at('/cle'), { kind: '/', from: 0, to: 4, query: 'cle' });
  assert.deepEqual(at('one\n/x'), { kind: '/', from: 4, to: 6, query: 'x' });
  assert.equal(at('either/or'), null);
  assert.equal(at(`@${'x'.repeat(100)}`), null);
});

test('behind a tag "@" searches and "/" does not', () => {
  const after = (words: string) => triggerAt(joined([ADA], text(words)), 1 + words.length);
  assert.deepEqual(after('@b'), { kind: '@', from: 1, to: 3, query: 'b' });
  assert.equal(after('/b'), null);
  assert.deepEqual(after('\n/b'), { kind: '/', from: 2, to: 4, query: 'b' });
});

test('content goes into the field and comes back, with places', () => {
  const content = joined(text('ab'), [ADA], text('cd\n'));
  const element = field(content);
  assert.deepEqual(read(element), content);
  assert.equal(element.textContent, 'abAda Lovelacecd\n');
  assert.ok(element.lastChild?.nodeName === 'BR');
  for (let place = 0; place <= lengthOf(content); place++) {
    assert.equal(placeOf(element, ...locate(element, place)), place);
  }
  const chip = element.querySelector('.tag');
  assert.ok(chip?.firstChild);
  assert.equal(placeOf(element, chip.firstChild, 3), 3);
});

test('what a browser makes of lines is read as lines', () => {
  const element = document.createElement('div');
  element.append('one', document.createElement('br'), 'two');
  const block = document.createElement('div');
  block.append('three');
  element.append(block, document.createElement('br'));
  assert.deepEqual(read(element), text('one\ntwo\nthree'));
});

test('typing in a row is undone at once, and redone', () => {
  const undo = new Undo<string>({ content: '', start: 0, end: 0 });
  const type = (content: string, kind: string | null) =>
    undo.record({ content, start: content.length, end: content.length }, kind);
  type('a', 'insertText');
  type('ab', 'insertText');
  type('ab ', null);
  type('ab c', 'insertText');
  assert.equal(undo.undo()?.content, 'ab ');
  assert.equal(undo.undo()?.content, 'ab');
  assert.equal(undo.redo()?.content, 'ab ');
  assert.equal(undo.undo()?.content, 'ab');
  assert.equal(undo.undo()?.content, '');
  assert.equal(undo.undo(), null);
  type('x', 'insertText');
  assert.equal(undo.redo(), null);
});
