import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ServerSentEvent, type SseComment, SseOverflowError, SseParser } from '../src/sse.js';

const encoder = new TextEncoder();

type Parsed = ServerSentEvent | SseComment;

function parse(chunks: Uint8Array[], options = {}): Parsed[] {
  const parser = new SseParser(options);
  return chunks.flatMap((chunk) => parser.push(chunk));
}

const FIXTURE = encoder.encode(
  '\ufeffdata: {"a":"é – 漢字 🙂"}\r\n\r\n' +
    ': a comment\r\n' +
    'id: 7\r\ndata: first\r\ndata:second\r\n\r\n' +
    'event: ping\ndata: lf\n\n' +
    'data: cr\r\r' +
    'retry: 10\r\nunknown: x\r\ndata\r\n\r\n' +
    'id: 8\n\n' +
    ':\n' +
    'data:  two blanks: and a colon\n\n',
);

const EXPECTED: Parsed[] = [
  { data: '{"a":"é – 漢字 🙂"}', id: null, event: 'message' },
  { comment: 'a comment' },
  { data: 'first\nsecond', id: '7', event: 'message' },
  { data: 'lf', id: '7', event: 'ping' },
  { data: 'cr', id: '7', event: 'message' },
  { data: '', id: '7', event: 'message' },
  { comment: '' },
  { data: ' two blanks: and a colon', id: '8', event: 'message' },
];

test('a stream in one piece gives its events', () => {
  assert.deepEqual(parse([FIXTURE]), EXPECTED);
});

test('a cut at any byte, inside CRLF and inside a character, changes nothing', () => {
  for (let cut = 0; cut <= FIXTURE.length; cut++) {
    assert.deepEqual(parse([FIXTURE.slice(0, cut), FIXTURE.slice(cut)]), EXPECTED, `cut at ${cut}`);
  }
});

test('two cuts around any three bytes change nothing', () => {
  for (let cut = 0; cut + 3 <= FIXTURE.length; cut++) {
    const chunks = [FIXTURE.slice(0, cut), FIXTURE.slice(cut, cut + 3), FIXTURE.slice(cut + 3)];
    assert.deepEqual(parse(chunks), EXPECTED, `cuts around ${cut}`);
  }
});

test('one byte at a time changes nothing', () => {
  assert.deepEqual(parse(Array.from(FIXTURE, (byte) => Uint8Array.of(byte))), EXPECTED);
});

test('an event without its blank line is not delivered', () => {
  assert.deepEqual(parse([encoder.encode('data: half\n')]), []);
});

test('a line that never ends is refused', () => {
  const parser = new SseParser({ maxEventSize: 100 });
  assert.throws(() => {
    for (let i = 0; i < 20; i++) parser.push(encoder.encode('data: xxxx'));
  }, SseOverflowError);
});

test('an event of endless lines is refused', () => {
  const parser = new SseParser({ maxEventSize: 100 });
  assert.throws(() => {
    for (let i = 0; i < 20; i++) parser.push(encoder.encode('data: xxxxxx\n'));
  }, SseOverflowError);
});

test('an event of just the allowed size passes', () => {
  const line = `data: ${'x'.repeat(94)}`;
  const [event] = parse([encoder.encode(`${line}\n\n`)], { maxEventSize: 100 });
  assert.deepEqual(event, { data: 'x'.repeat(94), id: null, event: 'message' });
});

test('an id with a NUL is ignored', () => {
  const [event] = parse([encoder.encode('id: a\0b\ndata: x\n\n')]);
  assert.deepEqual(event, { data: 'x', id: null, event: 'message' });
});
