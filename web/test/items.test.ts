import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pendingInput, updateItem, upsertItem } from '../src/items.js';
import type { StructuredInputItem, ThreadItem } from '../src/protocol.js';

const asked: StructuredInputItem = {
  type: 'structured_input',
  id: 'msg_1',
  status: 'pending',
  inputs: [{ type: 'freeform', id: 'name', question: 'Your name?' }],
};

test('questions wait until they are answered, or something else was said', () => {
  const said: ThreadItem = { type: 'user_message', id: 'msg_2', content: [], attachments: [] };
  assert.equal(pendingInput([said, asked])?.id, 'msg_1');
  assert.equal(pendingInput([asked, said]), null);
  assert.equal(pendingInput([{ ...asked, status: 'answered' }]), null);
  assert.equal(pendingInput([{ ...asked, inputs: [] }]), null);
});

test('questions without a list have none', () => {
  const broken = { type: 'structured_input', id: 'msg_3', status: 'pending' } as ThreadItem;
  assert.equal(pendingInput(upsertItem([], broken)), null);
});

test('an image comes in steps, of which a repeated one changes nothing', () => {
  const image = { id: 'img_1', url: 'data:image/png;base64,AA==' };
  const item: ThreadItem = { type: 'generated_image', id: 'msg_4' };
  const half = updateItem(item, { type: 'generated_image.updated', image, progress: 0.5 });
  assert.deepEqual(half, { ...item, image, progress: 0.5 });
  assert.deepEqual(updateItem(half, { type: 'generated_image.updated', image }), half);
});
