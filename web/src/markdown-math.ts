/**
 * Formulas in Markdown: `$…$` and `\\(…\\)` in a line, `$$…$$` and `\\[…\\]` by themselves. The parser
 * leaves the source in a marked element; `math/` makes MathML of it where it is shown.
 */
import type { Env, MarkdownIt, StateBlock, StateInline } from 'markdown-it';

interface Formula {
  tex: string;
  display: boolean;
  /** Index behind it. */
  end: number;
}

/** No formula in a line is longer: what looks like one is money then. */
const MAX_INLINE = 500;

const CLOSERS: Record<string, string> = { $$: '$$', '\\[': '\\]', '\\(': '\\)' };

/** The formula at an index; `'open'` when its end may still come, `null` when there is none. */
export function formulaAt(text: string, start: number): Formula | 'open' | null {
  const opener = text.slice(start, start + 2);
  const closer = CLOSERS[opener];
  if (closer) {
    const close = text.indexOf(closer, start + 2);
    if (close < 0) return 'open';
    const tex = text.slice(start + 2, close).trim();
    return tex === '' ? null : { tex, display: opener !== '\\(', end: close + 2 };
  }
  return text[start] === '$' ? dollars(text, start) : null;
}

/** `$…$` by the rule that keeps prices apart: no blanks inside the markers, no digit behind. */
function dollars(text: string, start: number): Formula | 'open' | null {
  const rest = text.slice(start + 1, start + MAX_INLINE);
  if (!/^[^\s$]/.test(rest)) return rest === '' ? 'open' : null;
  const match = /^((?:\\[\s\S]|[^\\$])*?[^\s\\$]|(?:\\[\s\S]|[^\\$])*?\\[\s\S])\$(?!\d)/.exec(rest);
  if (match?.[1]) return { tex: match[1], display: false, end: start + match[0].length + 1 };
  const mayClose = !rest.includes('$') && !/^\d/.test(rest) && rest.length < MAX_INLINE - 1;
  return mayClose ? 'open' : null;
}

/** Makes a parser know formulas. */
export function knowFormulas(md: MarkdownIt): void {
  md.inline.ruler.before('escape', 'chatkeep_formula', inlineFormula);
  md.block.ruler.before('fence', 'chatkeep_formula', blockFormula, {
    alt: ['paragraph', 'blockquote', 'list'],
  });
  const { escapeHtml } = md.utils;
  md.renderer.rules.formula = (tokens, index) => {
    const { content = '', meta, block = false } = tokens[index] ?? {};
    const display = (meta as { display?: boolean } | null)?.display === true;
    const source = `<code class="formula${display ? ' display' : ''}">${escapeHtml(content)}</code>`;
    return block ? `<p>${source}</p>` : source;
  };
}

function inlineFormula(state: StateInline, silent: boolean): boolean {
  const found = formulaAt(state.src, state.pos);
  if (found === null || found === 'open') return false;
  if (!silent) {
    const token = state.push('formula', 'code', 0);
    token.content = found.tex;
    token.meta = { display: found.display };
  }
  state.pos = found.end;
  return true;
}

/** A formula by itself may have empty lines and lines that look like lists. */
function blockFormula(state: StateBlock, from: number, to: number, silent: boolean): boolean {
  const begin = (state.bMarks[from] ?? 0) + (state.tShift[from] ?? 0);
  const opener = state.src.slice(begin, begin + 2);
  if (opener !== '$$' && opener !== '\\[') return false;
  const closer = CLOSERS[opener] ?? '';
  const lines: string[] = [];
  let line = from;
  let closed = false;
  for (; line < to && !closed; line++) {
    const start = line === from ? begin + 2 : (state.bMarks[line] ?? 0) + (state.tShift[line] ?? 0);
    const text = state.src.slice(start, state.eMarks[line]).trimEnd();
    closed = text.endsWith(closer);
    lines.push(closed ? text.slice(0, -closer.length) : text);
  }
  const open = (state.env as Env & { open?: boolean }).open === true;
  // One that is not closed is none, unless more of it may come: then nothing of it is shown.
  if (!closed && !open) return false;
  if (silent) return true;
  state.line = line;
  if (!closed) return true;
  const token = state.push('formula', 'code', 0);
  token.block = true;
  token.content = lines.join('\n').trim();
  token.meta = { display: true };
  token.map = [from, line];
  return true;
}
