import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AttachmentOptions, bytes, sift, typeOf } from '../src/composer/limits.js';

const file = (name: string, type = 'text/plain', size = 10) => ({ name, type, size });
const only = (options: Omit<AttachmentOptions, 'enabled'>) => ({ enabled: true, ...options });

test('a file is accepted by its type or by its extension', () => {
  const options = only({ accept: { 'image/*': [], 'application/pdf': ['.pdf'] } });
  const files = [file('a.png', 'image/png'), file('B.PDF', ''), file('c.txt')];
  const { taken, refused } = sift(files, 0, options);
  assert.deepEqual(
    taken.map(({ name }) => name),
    ['a.png', 'B.PDF'],
  );
  assert.deepEqual(refused, [{ why: 'kind', name: 'c.txt' }]);
});

test('sizes are limited for all, or by type from the narrowest to the rest', () => {
  const most = (maxSize: AttachmentOptions['maxSize'], ...of: Parameters<typeof file>) => {
    const [refusal] = sift(
      [file(...of)],
      0,
      only(maxSize === undefined ? {} : { maxSize }),
    ).refused;
    return refusal?.why === 'size' ? refusal.most : null;
  };
  assert.equal(most(9, 'a'), 9);
  assert.equal(most(10, 'a'), null);
  const each = { 'image/*': 5, 'image/png': 20, '*': 7 };
  assert.equal(most(each, 'a.gif', 'image/gif'), 5);
  assert.equal(most(each, 'a.png', 'image/png'), null);
  assert.equal(most(each, 'a.txt', 'text/plain'), 7);
  assert.equal(most({ '': 3 }, 'a.txt', 'text/plain'), 3);
  assert.equal(most({ 'image/*': 5 }, 'a.txt', 'text/plain', 100 * 1024 * 1024), null);
  assert.equal(most(undefined, 'a', 'x/y', 100 * 1024 * 1024 + 1), 100 * 1024 * 1024);
});

test('those that are there count, and the refusal of the rest is told once', () => {
  const { taken, refused } = sift([file('a'), file('b'), file('c')], 2, only({ maxCount: 3 }));
  assert.deepEqual(taken, [file('a')]);
  assert.deepEqual(refused, [{ why: 'count', most: 3 }]);
  assert.equal(sift(Array(12).fill(file('x')), 0, only({})).taken.length, 10);
});

test('text is known by its name where the system has no type for it', () => {
  assert.equal(typeOf(file('README.md', '')), 'text/markdown');
  assert.equal(typeOf(file('main.rs', '')), 'text/plain');
  assert.equal(typeOf(file('x.bin', '')), 'application/octet-stream');
  assert.equal(typeOf(file('x', 'Text/HTML')), 'text/html');
});

test('sizes are told in words of the locale', () => {
  assert.equal(bytes(12, 'en'), '12 bytes');
  assert.equal(bytes(1234, 'en'), '1.2 kB');
  assert.equal(bytes(52_428_800, 'de'), '52 MB');
});
