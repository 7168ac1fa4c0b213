import './dom.js';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { nameOfDrawing } from '../src/icons/icon-set.js';
import { PATHS } from '../src/icons/paths.js';
import { merged, nest, readAction } from '../src/widgets/actions.js';
import { color, plainCss } from '../src/widgets/colors.js';
import { allowedImage } from '../src/widgets/image-sources.js';
import { MAX_DEPTH, MAX_NODES, readTree, type WidgetNode } from '../src/widgets/node.js';
import { labelledFields } from '../src/widgets/scope.js';
import { block, borders, length, radius, space } from '../src/widgets/style.js';

function count({ children }: WidgetNode): number {
  return children.reduce((sum, child) => sum + count(child), 1);
}

function depth({ children }: WidgetNode): number {
  return 1 + Math.max(0, ...children.map(depth));
}

test('trees are cut where they are deeper or larger than a page can bear', () => {
  let deep: object = { type: 'Text', value: 'bottom' };
  for (let level = 0; level < 5000; level++) deep = { type: 'Box', children: [deep] };
  const tree = readTree(deep);
  assert.equal(tree && depth(tree), MAX_DEPTH);

  const wide = { type: 'Card', children: Array.from({ length: 9000 }, () => ({ type: 'Text' })) };
  const flat = readTree(wide);
  assert.equal(flat && count(flat), MAX_NODES);
});

test('what is no component is left out, and every other one has a path of its own', () => {
  const root = {
    type: 'Card',
    children: [
      null,
      7,
      'text',
      [],
      { value: 'no type' },
      { type: 'Text', key: 'a' },
      { type: 'Text', key: 'a' },
      { type: 'Row', children: { type: 'Text' } },
    ],
  };
  const tree = readTree(root);
  const paths = tree?.children.map(({ path }) => path) ?? [];

  assert.equal(paths.length, 3);
  assert.equal(new Set(paths).size, 3);
  assert.equal(tree?.children[2]?.children.length, 1);
  assert.equal(readTree(root), tree);
  for (const none of [null, 'x', [], {}]) assert.equal(readTree(none), null);
});

test('labels belong to the fields of their own form', () => {
  const label = (fieldName: string): object => ({ type: 'Label', fieldName, value: 'x' });
  const tree = readTree({
    type: 'Card',
    children: [label('outer'), { type: 'Form', key: 'f', children: [label('inner')] }],
  });

  assert.deepEqual([...labelledFields(tree as WidgetNode)].sort(), ['/Card0/#f|inner', '|outer']);
});

test('dotted names nest, and names that would reach beyond the values are dropped', () => {
  const values = nest([
    ['todo.title', 'a'],
    ['todo.done', true],
    ['plain', 1],
    ['__proto__.polluted', 1],
    ['x.constructor.y', 1],
  ]);

  assert.deepEqual(values, { todo: { title: 'a', done: true }, plain: 1 });
  assert.equal(({} as { polluted?: number }).polluted, undefined);
});

test('form values go into the payload unless it has the key itself', () => {
  const values = { a: 1, deep: { b: 2, c: 3 } };

  assert.deepEqual(merged({ id: 7, deep: { b: 'own' } }, values), {
    payload: { id: 7, a: 1, deep: { b: 'own', c: 3 } },
    dropped: ['deep.b'],
  });
  assert.deepEqual(merged(null, values), { payload: values, dropped: [] });
  assert.deepEqual(merged('text', values), { payload: 'text', dropped: ['a', 'deep'] });
  assert.deepEqual(merged({ id: 7 }, null), { payload: { id: 7 }, dropped: [] });
});

test('an action has the defaults of the protocol', () => {
  assert.deepEqual(readAction({ type: 'go' }), {
    type: 'go',
    payload: null,
    handler: 'server',
    loadingBehavior: 'auto',
    streaming: true,
  });
  assert.equal(readAction({ type: 'go', handler: 'client', streaming: false })?.streaming, false);
  for (const none of [null, 'go', {}, { type: 7 }]) assert.equal(readAction(none), null);
});

test('colours are tokens, steps of the palette, pairs, or plain CSS', () => {
  assert.equal(color('secondary', 'text'), 'var(--soft-text)');
  assert.equal(color('surface-secondary', 'background'), 'var(--raised)');
  assert.match(color('blue-500', 'text') ?? '', /^oklch\(0\.640 0\.\d+ 258\)$/);
  assert.match(color('gray-50', 'text') ?? '', /^oklch\(0\.972 0\.\d+ 250\)$/);
  assert.equal(
    color({ light: '#fff', dark: 'gray-1000' }, 'text'),
    'light-dark(#fff, oklch(0.120 0.003 250))',
  );
  assert.equal(color('constructor-100', 'text'), 'constructor-100');
  assert.equal(color(7, 'text'), undefined);
});

test('CSS that could load something or leave its place is refused', () => {
  for (const bad of [
    'url(https://evil.example/x)',
    'u\\72l(x)',
    'image-set("x" 1x)',
    'red; position: fixed',
    '} * { color: red',
    'env(x)',
    `calc(${'1px + '.repeat(60)}1px)`,
  ]) {
    assert.equal(plainCss(bad), undefined, bad);
  }
  assert.equal(plainCss('calc(100% - 2rem)'), 'calc(100% - 2rem)');
});

test('sizes are pixels, distances are steps, radii are tokens', () => {
  assert.equal(length(40), '40px');
  assert.equal(length('50%'), '50%');
  assert.equal(length(Number.POSITIVE_INFINITY), undefined);
  assert.equal(length(1e9), undefined);
  assert.equal(space(2), 'calc(var(--u) * 2)');
  assert.equal(radius('full'), '9999px');
  assert.equal(radius('toString'), undefined);
  const style = block({
    size: 20,
    minSize: 10,
    flex: 1,
    aspectRatio: '16 / 9',
    margin: { x: 2, top: 1 },
  });
  assert.equal(style.width, '20px');
  assert.equal(style['min-height'], '10px');
  assert.equal(style.flex, '1 1 0%');
  assert.equal(style['margin-inline-start'], 'calc(var(--u) * 2)');
  assert.equal(style['margin-block-start'], 'calc(var(--u) * 1)');
  assert.equal(style['margin-block-end'], undefined);
  assert.deepEqual(borders({ bottom: { size: 2, color: 'strong', style: 'dashed' } }), {
    'border-block-end': '2px dashed var(--strong-line)',
  });
});

test('images come from here, from what they say themselves, and from where the thread allows', () => {
  const sources = {
    origins: ['https://chat.example'],
    domains: ['images.example', '*.cdn.example'],
  };
  const allowed = (src: string): boolean => allowedImage(src, sources) !== null;

  for (const src of [
    'data:image/png;base64,AAAA',
    '/files/a.png',
    'https://chat.example/a.png',
    'https://images.example/a.png',
    'https://a.images.example/a.png',
    'https://x.cdn.example/a.png',
  ]) {
    assert.ok(allowed(src), src);
  }
  for (const src of [
    'data:text/html,<script>',
    'javascript:alert(1)',
    'https://evilimages.example/a.png',
    'https://images.example.evil.example/a.png',
    'https://chat.example@evil.example/a.png',
    'https://user:word@images.example/a.png',
    '//evil.example/a.png',
    'blob:https://chat.example/1',
    'ftp://images.example/a.png',
    '',
  ]) {
    assert.ok(!allowed(src) || src === '', src);
  }
});

test('every icon of the published types has a drawing, and foreign names get one that comes near', () => {
  const types = new URL('../node_modules/@openai/chatkit/types/', import.meta.url);
  const names = ['widgets.d.ts', 'index.d.ts'].flatMap((file) => {
    const text = readFileSync(new URL(file, types), 'utf8');
    const list = /export type (?:WidgetIcon|ChatKitIcon) =([^;]*);/.exec(text)?.[1] ?? '';
    return [...list.matchAll(/'([\w-]+)'/g)].map(([, name]) => name as string);
  });

  assert.ok(names.length > 120);
  assert.deepEqual(
    names.filter((name) => !Object.hasOwn(PATHS, name)),
    [],
  );
  assert.equal(nameOfDrawing('lucide:mail-open'), 'mail');
  assert.equal(nameOfDrawing('vendor:file-text'), 'document');
  assert.equal(nameOfDrawing('lucide:constructor'), 'dot');
});
