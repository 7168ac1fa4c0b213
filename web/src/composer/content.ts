/**
 * The content of a message as a value: texts and tags in order. Places in it are counted in UTF-16
 * units of text; a tag is one unit. Every function returns new content with neighbouring texts joined
 * and without empty ones.
 */
import type { UserContent } from '../protocol.js';

export type Content = readonly UserContent[];
export type Tag = Extract<UserContent, { type: 'input_tag' }>;

export function text(value: string): Content {
  return value === '' ? [] : [{ type: 'input_text', text: value }];
}

export function lengthOf(content: Content): number {
  return content.reduce((length, part) => length + unitsOf(part), 0);
}

function unitsOf(part: UserContent): number {
  return part.type === 'input_tag' ? 1 : part.text.length;
}

export function joined(...pieces: Content[]): Content {
  const parts: UserContent[] = [];
  for (const part of pieces.flat()) {
    const last = parts.at(-1);
    if (part.type === 'input_text' && last?.type === 'input_text') {
      parts[parts.length - 1] = { ...last, text: last.text + part.text };
    } else if (part.type === 'input_tag' || part.text !== '') {
      parts.push(part);
    }
  }
  return parts;
}

export function slice(content: Content, from: number, to: number): Content {
  const parts: UserContent[] = [];
  let start = 0;
  for (const part of content) {
    const end = start + unitsOf(part);
    if (part.type === 'input_tag') {
      if (start >= from && end <= to) parts.push(part);
    } else {
      const cut = part.text.slice(Math.max(0, from - start), Math.max(0, to - start));
      parts.push({ ...part, text: cut });
    }
    start = end;
  }
  return joined(parts);
}

/** The content with something else between two places. */
export function splice(content: Content, from: number, to: number, insert: Content): Content {
  return joined(slice(content, 0, from), insert, slice(content, to, lengthOf(content)));
}

/** The tag that ends, or begins, at a place. */
export function tagAt(content: Content, from: number): Tag | null {
  const [part] = slice(content, from, from + 1);
  return part?.type === 'input_tag' ? part : null;
}

/** Without white space at its ends. */
export function trimmed(content: Content): Content {
  const parts = content.map((part, index) => {
    if (part.type !== 'input_text') return part;
    const start = index === 0 ? part.text.trimStart() : part.text;
    return { ...part, text: index === content.length - 1 ? start.trimEnd() : start };
  });
  return joined(parts);
}

/** As the protocol wants it: a tag has data, if only none. */
export function complete(content: Content): UserContent[] {
  return content.map((part) =>
    part.type === 'input_tag' ? { ...part, data: part.data ?? {} } : part,
  );
}

export interface Trigger {
  /** `@` searches entities, `/` commands. */
  kind: '@' | '/';
  /** Where the sign stands. */
  from: number;
  /** Where the query ends: the caret. */
  to: number;
  query: string;
}

/** Longer words are no queries. */
const MAX_QUERY = 60;
/** Stands for a tag where text is searched. */
const OBJECT = '\uFFFC';
const TAGGING = /(?:^|[\s(\uFFFC])(@)([^\s@]*)$/;
const COMMAND = /(?:^|\n)[^\S\n]*(\/)([^\s/]*)$/;

/** What is being searched for in front of the caret, if it looks like a search. */
export function triggerAt(content: Content, caret: number): Trigger | null {
  const before = slice(content, Math.max(0, caret - MAX_QUERY - 1), caret);
  const last = before.at(-1);
  if (last?.type !== 'input_text') return null;
  const words = before.length === 1 ? last.text : OBJECT + last.text;
  const found = TAGGING.exec(words) ?? COMMAND.exec(words);
  if (!found) return null;
  const [, kind, query = ''] = found;
  return { kind: kind as Trigger['kind'], from: caret - query.length - 1, to: caret, query };
}
