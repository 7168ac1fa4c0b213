/**
 * Markdown that is still being written. Two pure functions keep half-written constructs off the
 * screen: `holdBack` leaves out a last line of which nobody can tell yet what it is, and
 * `closeInline` completes or drops the markers that are open at the end of the last paragraph.
 */
import { formulaAt } from './markdown-math.js';

const FENCE_LINE = /^[\s>]*(?:(?:[-*+]|\d{1,9}[.)])\s+)*(`{3,}|~{3,})(.*)$/;

/** A line that may still become a list marker, heading, quote, rule, underline, fence or table. */
const UNDECIDED_LINE =
  /^[\s>]*(?:(?:[-*+]|\d{1,9}[.)]|\[[ xX]?\]?)\s*)*(?:\d{1,9}[.)]?|#{1,6}|[-*_=+]+[-*_=+\s]*|`{1,2}|~{1,2}|(?:`{3,}|~{3,})[^`]*|\[[ xX]?\]?|\||[|:\-\s]+)?\s*$/;

/** The text without the part at its end that cannot be shown yet. */
export function holdBack(text: string): string {
  const lineStart = text.lastIndexOf('\n') + 1;
  const last = text.slice(lineStart);
  const fence = openFence(text.slice(0, lineStart));
  if (fence !== null) {
    // Inside a code block only the closing fence itself can be half-written.
    const closing = last.trim();
    const isFence = closing !== '' && closing === fence[0]?.repeat(closing.length);
    return isFence ? text.slice(0, lineStart) : text;
  }
  const kept = UNDECIDED_LINE.test(last) ? text.slice(0, lineStart) : text;
  return holdBackTable(kept);
}

/** The fence that is open at the end of these complete lines, or `null`. */
export function openFence(text: string): string | null {
  let open: string | null = null;
  for (const line of text.split('\n')) {
    const match = FENCE_LINE.exec(line);
    if (!match) continue;
    const [, marker = '', rest = ''] = match;
    if (open === null) {
      if (marker[0] === '~' || !rest.includes('`')) open = marker;
    } else if (marker[0] === open[0] && marker.length >= open.length && rest.trim() === '') {
      open = null;
    }
  }
  return open;
}

/** Rows of a table stay hidden until the delimiter row makes a table of them. */
function holdBackTable(text: string): string {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  let first = lines.length;
  while (first > 0 && /^[\s>]*\|/.test(lines[first - 1] ?? '')) first -= 1;
  const rows = lines.slice(first);
  if (rows.length === 0 || rows.length > 2) return text;
  const complete = text.endsWith('\n') ? rows.length : rows.length - 1;
  if (complete >= 2) return text;
  return lines
    .slice(0, first)
    .map((line) => `${line}\n`)
    .join('');
}

/** Deeper nesting is no honest text; it is shown as it was written. */
const MAX_OPEN = 20;

interface Opener {
  char: string;
  count: number;
  /** Where the run begins in the text, and where the text after it begins. */
  start: number;
  end: number;
}

/** Inline text with everything that is open at its end closed, or dropped when it is empty. */
export function closeInline(source: string): string {
  const text = source
    .replace(/(?<!\\)(?:\\\\)*\\$/, (run) => run.slice(0, -1))
    .replace(/&(?:#x?)?[\da-z]{0,31}$/i, '')
    .replace(/<\/?[a-z][^\s>]*$/i, '');
  return scanInline(text);
}

function scanInline(text: string): string {
  const openers: Opener[] = [];
  const brackets: { start: number; openers: number }[] = [];
  let i = 0;
  while (i < text.length) {
    const char = text[i] ?? '';
    if (openers.length > MAX_OPEN || brackets.length > MAX_OPEN) return text;
    const formula = char === '\\' || char === '$' ? formulaAt(text, i) : null;
    // Half a formula is nothing to read.
    if (formula === 'open') return scanInline(text.slice(0, i));
    if (formula) {
      i = formula.end;
    } else if (char === '\\') {
      i += 2;
    } else if (char === '`') {
      const length = runLength(text, i);
      const close = findCodeEnd(text, i + length, length);
      if (close < 0) return closeCode(text, i, length, openers);
      i = close + length;
    } else if (char === '[' || (char === '!' && text[i + 1] === '[')) {
      brackets.push({ start: i, openers: openers.length });
      i += char === '!' ? 2 : 1;
    } else if (char === ']') {
      const bracket = brackets.pop();
      const end = bracket ? linkEnd(text, i) : i + 1;
      if (bracket && end < 0) return unlink(text, bracket.start, i);
      i = end;
    } else if (char === '*' || char === '_' || char === '~') {
      i = scanRun(text, i, openers);
    } else {
      i += 1;
    }
  }
  const bracket = brackets[0];
  if (bracket) return unlink(text, bracket.start, text.length);
  return closeOpeners(text, openers);
}

/** Where a link that starts with this `]` ends; -1 while its address is not complete. */
function linkEnd(text: string, index: number): number {
  const next = text[index + 1];
  if (next === undefined) return -1;
  if (next !== '(') return index + 1;
  let depth = 0;
  for (let i = index + 1; i < text.length; i++) {
    if (text[i] === '\\') i += 1;
    else if (text[i] === '(') depth += 1;
    else if (text[i] === ')') {
      depth -= 1;
      if (depth === 0) return i + 1;
    }
  }
  return -1;
}

/** A link whose address is missing is shown as its text, an image as nothing. */
function unlink(text: string, start: number, labelEnd: number): string {
  const before = text.slice(0, start);
  if (text[start] === '!') return scanInline(before);
  return scanInline(before + text.slice(start + 1, labelEnd));
}

function runLength(text: string, start: number): number {
  let end = start;
  while (text[end] === text[start]) end += 1;
  return end - start;
}

function findCodeEnd(text: string, from: number, length: number): number {
  for (let i = text.indexOf('`', from); i >= 0; i = text.indexOf('`', i)) {
    const run = runLength(text, i);
    if (run === length) return i;
    i += run;
  }
  return -1;
}

function closeCode(text: string, start: number, length: number, openers: Opener[]): string {
  const body = text
    .slice(start + length)
    .replace(/`+$/, '')
    .trimEnd();
  const head = text.slice(0, start);
  if (body.trim() === '') return closeOpeners(head, openers);
  return closeOpeners(`${head}${'`'.repeat(length)}${body}${'`'.repeat(length)}`, openers);
}

const SPACE = /^\s?$/;
const PUNCTUATION = /[\p{P}\p{S}]/u;

/** One run of `*`, `_` or `~`, by the flanking rules; returns the index behind it. */
function scanRun(text: string, start: number, openers: Opener[]): number {
  const char = text[start] ?? '';
  const length = runLength(text, start);
  const end = start + length;
  const before = text[start - 1] ?? '';
  const after = text[end] ?? '';
  const spaceBefore = SPACE.test(before);
  const spaceAfter = SPACE.test(after);
  const left = !spaceAfter && (!PUNCTUATION.test(after) || spaceBefore || PUNCTUATION.test(before));
  const right =
    !spaceBefore && (!PUNCTUATION.test(before) || spaceAfter || PUNCTUATION.test(after));
  const atEnd = end === text.length;
  let rest = length;
  if (right) {
    for (let k = openers.length - 1; k >= 0 && rest > 0; k--) {
      const opener = openers[k];
      if (!opener || opener.char !== char) continue;
      const used = Math.min(rest, opener.count);
      // Half of a closing marker at the very end: the opener stays open and is closed below.
      if (atEnd && used < opener.count) break;
      rest -= used;
      opener.count -= used;
      openers.length = opener.count === 0 ? k : k + 1;
    }
  }
  const inWord = left && right;
  const opens = left && rest > 0 && !(inWord && (char === '_' || rest === 1));
  if (opens || (atEnd && rest > 0 && (!right || openers.some((o) => o.char === char)))) {
    if (char !== '~' || rest > 1 || atEnd) openers.push({ char, count: rest, start, end });
  }
  return end;
}

function closeOpeners(text: string, openers: readonly Opener[]): string {
  let result = text;
  const open = [...openers];
  // Markers with nothing behind them have nothing to mark yet.
  for (let last = open.at(-1); last && result.slice(last.end).trim() === ''; last = open.at(-1)) {
    result = result.slice(0, last.start);
    open.pop();
  }
  if (open.length === 0) return result;
  const closers = open.reverse().map(({ char, count }) => char.repeat(count));
  return result.trimEnd() + closers.join('');
}
