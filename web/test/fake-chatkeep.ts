/**
 * A small server that keeps turns, behind `fetch`: numbered logs that can be read from any place,
 * during and after a turn, over connections that break where a test wants them to.
 */

import assert from 'node:assert/strict';
import { after } from 'node:test';
import { ChatKitClient } from '../src/client.js';
import { Conversation } from '../src/conversation.js';
import { userText } from '../src/items.js';
import type { StreamEvent, ThreadItem, UserMessageInput } from '../src/protocol.js';
import type { Visibility } from '../src/visibility.js';

export const THREAD = { id: 'thr_1', title: 'T', created_at: '2026-01-01T00:00:00Z' };

export interface Seen {
  method: string;
  /** The path behind `/chatkit`, with its query. */
  path: string;
  type: string;
  headers: Headers;
}

export class FakeTurn {
  readonly events: StreamEvent[] = [];
  state = 'running';
  /** The events of an ended turn are kept for a while only. */
  pruned = false;
  #waiting: (() => void)[] = [];

  constructor(
    readonly id: string,
    readonly server: FakeChatkeep,
  ) {}

  push(...events: StreamEvent[]): void {
    for (const event of events) {
      this.events.push(event);
      if (event.type === 'thread.item.done') this.server.store(event.item);
    }
    this.wake();
  }

  end(state = 'completed'): void {
    this.state = state;
    this.wake();
  }

  wake(): void {
    for (const waiter of this.#waiting.splice(0)) waiter();
  }

  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

export class FakeChatkeep {
  readonly seen: Seen[] = [];
  readonly turns = new Map<string, FakeTurn>();
  readonly items: ThreadItem[] = [];
  /** Streams that are open now, by path. */
  readonly open = new Set<string>();
  /** Answers a request in place of the server; `undefined` leaves it to the server. */
  intercept: (seen: Seen) => Response | Promise<Response> | undefined = () => undefined;
  /** After how many bytes the next stream breaks off, and whether as an error; `null`: never. */
  cut: (seen: Seen) => { bytes: number; hard: boolean } | null = () => null;
  /** Told of each turn that a request begins. */
  begun: (turn: FakeTurn) => void = () => undefined;
  /** Whether text deltas are joined in a resumed stream. */
  joins = true;
  #keys = new Map<string, FakeTurn>();
  #bells: (() => void)[] = [];
  #drainings = 0;

  get running(): FakeTurn | undefined {
    return [...this.turns.values()].find((turn) => turn.state === 'running');
  }

  count(path: string | RegExp): number {
    return this.seen.filter((seen) =>
      typeof path === 'string' ? seen.type === path : path.test(`${seen.method} ${seen.path}`),
    ).length;
  }

  store(item: ThreadItem): void {
    const index = this.items.findIndex(({ id }) => id === item.id);
    if (index < 0) this.items.push(item);
    else this.items[index] = item;
  }

  begin(): FakeTurn {
    const turn = new FakeTurn(`turn_${this.turns.size + 1}`, this);
    this.turns.set(turn.id, turn);
    this.#ring();
    return turn;
  }

  /** Ends every open stream with the hint to come back. */
  drain(): void {
    this.#drainings += 1;
    for (const turn of this.turns.values()) turn.wake();
    this.#ring();
  }

  #ring(): void {
    for (const bell of this.#bells.splice(0)) bell();
  }

  readonly fetch: typeof fetch = async (input, init) => {
    const path = String(input).replace(/^.*\/chatkit/, '');
    const body = init?.body ? (JSON.parse(String(init.body)) as { type?: string }) : {};
    const seen: Seen = {
      method: init?.method ?? 'GET',
      path,
      type: body.type ?? '',
      headers: new Headers(init?.headers),
    };
    this.seen.push(seen);
    await Promise.resolve();
    init?.signal?.throwIfAborted();
    const signal = init?.signal ?? new AbortController().signal;
    return (await this.intercept(seen)) ?? this.#answer(seen, body, signal);
  };

  #answer(seen: Seen, body: object, signal: AbortSignal): Response {
    const [, kind, id = '', what = ''] = seen.path.split('?')[0]?.split('/') ?? [];
    if (seen.method === 'POST' && seen.path === '') return this.#protocol(seen, body, signal);
    if (kind === 'threads' && what === 'turn') {
      const turn = this.running;
      return turn ? Response.json(record(turn)) : new Response(null, { status: 204 });
    }
    if (kind === 'threads' && what === 'events') {
      return this.#body(seen, this.#threadStream(signal), signal, {});
    }
    const turn = this.turns.get(id);
    if (kind !== 'turns' || !turn) return problem(404, 'not_found');
    if (what === 'cancel') {
      this.cancelled(turn);
      return Response.json(record(turn));
    }
    if (turn.pruned) return problem(410, 'gone');
    const after = Number(/after=(\d+)/.exec(seen.path)?.[1] ?? 0);
    return this.#body(seen, this.#turnStream(turn, after, this.joins), signal, {});
  }

  /** What a cancel does; by default the turn ends with what it has. */
  cancelled: (turn: FakeTurn) => void = (turn) => {
    if (turn.state === 'running') turn.end('cancelled');
  };

  #protocol(seen: Seen, body: object, signal: AbortSignal): Response {
    if (seen.type === 'threads.get_by_id') return Response.json(THREAD);
    if (seen.type === 'items.list') {
      return Response.json({ data: [...this.items].reverse(), has_more: false });
    }
    const key = seen.headers.get('Idempotency-Key') ?? '';
    let turn = this.#keys.get(key);
    if (!turn) {
      if (this.running) return problem(409, 'conflict', { turn_id: this.running.id });
      turn = this.begin();
      if (key) this.#keys.set(key, turn);
      const { params } = body as { params: { input: UserMessageInput } };
      if (seen.type === 'threads.create') turn.push({ type: 'thread.created', thread: THREAD });
      if (params.input) {
        const id = `msg_${this.turns.size}`;
        turn.push({
          type: 'thread.item.done',
          item: { type: 'user_message', id, content: params.input.content },
        });
      }
      this.begun(turn);
    }
    const numbered = seen.headers.get('X-Chatkeep-Events') === 'numbered';
    return this.#body(seen, this.#turnStream(turn, 0, false, numbered), signal, {
      'X-Chatkeep-Turn': turn.id,
    });
  }

  async *#turnStream(
    turn: FakeTurn,
    after: number,
    joins: boolean,
    numbered = true,
  ): AsyncGenerator<string> {
    const drainings = this.#drainings;
    for (let next = after; ; ) {
      while (next < turn.events.length) {
        let event = turn.events[next++];
        while (joins && next < turn.events.length) {
          const joined = join(event, turn.events[next]);
          if (!joined) break;
          event = joined;
          next++;
        }
        yield `${numbered ? `id: ${next}\n` : ''}data: ${JSON.stringify(event)}\n\n`;
      }
      if (turn.state !== 'running') {
        if (numbered) yield ': end\n\n';
        return;
      }
      if (drainings !== this.#drainings) {
        yield ': reconnect\n\n';
        return;
      }
      const changed = turn.changed();
      yield ': \n\n';
      await changed;
    }
  }

  async *#threadStream(signal: AbortSignal): AsyncGenerator<string> {
    const drainings = this.#drainings;
    let told = [...this.turns.values()].filter(({ state }) => state !== 'running').length;
    while (!signal.aborted && drainings === this.#drainings) {
      const rung = new Promise<void>((resolve) => {
        this.#bells.push(resolve);
        signal.addEventListener('abort', () => resolve());
      });
      for (const turn of [...this.turns.values()].slice(told)) {
        told += 1;
        yield `: turn ${turn.id}\n\n`;
        for (const [index, event] of turn.events.entries()) {
          yield `id: ${7000 + index}\ndata: ${JSON.stringify(event)}\n\n`;
        }
      }
      yield ': \n\n';
      await rung;
    }
    yield ': reconnect\n\n';
  }

  #body(
    seen: Seen,
    source: AsyncGenerator<string>,
    signal: AbortSignal,
    headers: Record<string, string>,
  ): Response {
    const cut = this.cut(seen);
    let left = cut?.bytes ?? Number.POSITIVE_INFINITY;
    const name = `${this.seen.length} ${seen.method} ${seen.path}`;
    this.open.add(name);
    const closed = (): void => {
      this.open.delete(name);
    };
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        signal.addEventListener('abort', () => {
          if (this.open.has(name)) controller.error(signal.reason);
          closed();
        });
      },
      pull: async (controller) => {
        const { done, value } = await source.next();
        if (!this.open.has(name)) return;
        const bytes = new TextEncoder().encode(value ?? '').slice(0, left);
        left -= bytes.length;
        if (bytes.length > 0) controller.enqueue(bytes);
        if (!done && left > 0) return;
        closed();
        if (left <= 0 && cut?.hard) {
          // An error takes away what has not been read; a real socket mostly delivers it first.
          setTimeout(() => controller.error(new TypeError('network error')), 1);
        } else controller.close();
      },
      cancel: closed,
    });
    return new Response(body, { headers: { 'Content-Type': 'text/event-stream', ...headers } });
  }
}

function record(turn: FakeTurn): object {
  return { id: turn.id, thread_id: THREAD.id, state: turn.state, reason: null };
}

export function problem(status: number, name: string, more: object = {}, headers = {}): Response {
  return Response.json(
    { type: `urn:chatkeep:problem:${name}`, title: name, status, ...more },
    { status, headers: { 'Content-Type': 'application/problem+json', ...headers } },
  );
}

function join(a: StreamEvent | undefined, b: StreamEvent | undefined): StreamEvent | null {
  if (a?.type !== 'thread.item.updated' || b?.type !== 'thread.item.updated') return null;
  const one = a.update;
  const two = b.update;
  if (one.type !== 'assistant_message.content_part.text_delta' || two.type !== one.type)
    return null;
  return { ...a, update: { ...one, delta: one.delta + two.delta } };
}

export function added(id: string): StreamEvent {
  return { type: 'thread.item.added', item: { type: 'assistant_message', id, content: [] } };
}

export function delta(id: string, text: string): StreamEvent {
  return {
    type: 'thread.item.updated',
    item_id: id,
    update: {
      type: 'assistant_message.content_part.text_delta',
      content_index: 0,
      delta: text,
    },
  };
}

export function reply(id: string, text: string): ThreadItem {
  const content = [{ type: 'output_text' as const, text, annotations: [] }];
  return { type: 'assistant_message', id, content };
}

export function done(id: string, text: string): StreamEvent {
  return { type: 'thread.item.done', item: reply(id, text) };
}

/** A page that is seen or not. */
export class FakePage implements Visibility {
  visible = true;
  readonly #listeners = new Set<() => void>();

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  show(visible: boolean): void {
    this.visible = visible;
    for (const listener of this.#listeners) listener();
  }

  get watched(): boolean {
    return this.#listeners.size > 0;
  }
}

const tabs: Tab[] = [];
after(() => {
  for (const tab of tabs) tab.conversation.close();
});

/** A conversation on a page, and all that was to be seen of it. */
export class Tab {
  readonly events: string[] = [];
  readonly restored: string[] = [];
  /** Every text that was on the screen, by item. */
  readonly texts = new Map<string, string[]>();
  readonly page = new FakePage();
  readonly conversation: Conversation;

  constructor(
    server: { fetch: typeof fetch },
    options: { resumable?: boolean } = { resumable: true },
  ) {
    tabs.push(this);
    const client = new ChatKitClient('http://x.example/chatkit', () => ({
      fetch: server.fetch,
      ...options,
    }));
    this.conversation = new Conversation(
      client,
      {
        emit: (type) => this.events.push(type),
        runTool: async ({ name }) => ({ ran: name }),
        restore: ({ content }) => this.restored.push(userText(content)),
      },
      this.page,
    );
    this.conversation.store.subscribe(() => {
      for (const item of this.state.items) {
        if (item.type !== 'assistant_message') continue;
        const shown = this.texts.get(item.id) ?? [];
        shown.push(this.text(item.id));
        this.texts.set(item.id, shown);
      }
    });
  }

  get state() {
    return this.conversation.store.value;
  }

  text(id: string): string {
    const item = this.state.items.find((other) => other.id === id);
    return item?.type === 'assistant_message'
      ? item.content.map((part) => part.text).join('|')
      : '';
  }

  send(text: string): Promise<void> {
    return this.conversation.send({
      content: [{ type: 'input_text', text }],
      attachments: [],
      quoted_text: null,
      inference_options: {},
    });
  }

  ids(): string[] {
    return this.state.items.map(({ id }) => id);
  }
}

export async function until(condition: () => boolean, what = ''): Promise<void> {
  for (let i = 0; i < 6000; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`This never came true: ${what || condition}`);
}

const network = new EventTarget();
Object.assign(globalThis, {
  addEventListener: network.addEventListener.bind(network),
  removeEventListener: network.removeEventListener.bind(network),
});

/** As `until`, in a browser that is online again and again: nothing waits for its next try. */
export function hurry(condition: () => boolean, what?: string): Promise<void> {
  return until(() => {
    network.dispatchEvent(new Event('online'));
    return condition();
  }, what);
}

/** Random numbers that a failed test can be repeated with. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export const WORDS =
  'The quick brown fox – 漢字 🙂 – jumps over the lazy dog, and once more. '.split(' ');

/** Writes an answer word by word, each when the last has been given out. */
export async function write(turn: FakeTurn, id: string, words: string[]): Promise<void> {
  turn.push(added(id));
  for (const word of words) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (turn.state !== 'running') return;
    turn.push(delta(id, `${word} `));
  }
  turn.push(done(id, `${words.join(' ')} `));
  turn.end();
}

/** Each text continues the one before: nothing vanished, nothing came twice. */
export function assertGrown(tab: Tab, id: string, final: string): void {
  let before = '';
  for (const text of tab.texts.get(id) ?? []) {
    assert.ok(text.startsWith(before), `"${text}" does not continue "${before}"`);
    assert.ok(final.startsWith(text), `"${text}" is no beginning of "${final}"`);
    before = text;
  }
  assert.equal(tab.text(id), final);
}
