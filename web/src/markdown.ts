/**
 * Markdown → sanitised DOM. Two independent walls: the parser makes no HTML of what is not
 * Markdown (`html: false`, own rules for links and images), and DOMPurify lets only the listed
 * elements and attributes through. Nothing is ever loaded: an image becomes a link.
 *
 * Text comes in blocks. While an answer is written, only the blocks behind `settled` are parsed
 * again, so the cost per frame does not grow with the answer.
 */
import DOMPurify from 'dompurify';
import createMarkdownIt, {
  type Env,
  type MarkdownIt,
  type StateCore,
  type Token,
} from 'markdown-it';
import type { MarkdownLabels } from './markdown-labels.js';
import { knowFormulas } from './markdown-math.js';
import { closeInline, holdBack } from './markdown-stream.js';
import { CITE_CLOSE, CITE_OPEN } from './sources.js';
import styles from './view/styles/markdown.css';

export { styles };

interface RenderEnv extends Env {
  open: boolean;
  labels: MarkdownLabels;
}

const SAFE_URL = /^(?:https?:\/\/|mailto:|chatkit-link:\/\/)/i;

const ALLOWED_TAGS =
  'p h1 h2 h3 h4 h5 h6 ul ol li pre code blockquote table thead tbody tr th td em strong s a hr br input div span button sup'.split(
    ' ',
  );
/** Attributes whose values are never addresses; `href` is the only one that is checked as one. */
const PLAIN_ATTR = 'target rel class start type disabled checked tabindex title dir'.split(' ');

const parser = createParser();

function createParser(): MarkdownIt {
  const md = createMarkdownIt({ html: false, linkify: true, breaks: false });
  knowFormulas(md);
  // Every address parses as a link, so that its brackets never show; the renderer then decides.
  md.validateLink = () => true;
  md.core.ruler.after('block', 'chatkeep_open_end', closeOpenEnd);
  md.core.ruler.after('inline', 'chatkeep_tasks', markTasks);
  md.core.ruler.after('inline', 'chatkeep_citations', markCitations);
  md.core.ruler.push('chatkeep_links', checkLinks);
  const { rules } = md.renderer;
  rules.fence = (tokens, index, _options, env) => codeBlock(tokens[index], env as RenderEnv);
  rules.code_block = rules.fence;
  rules.image = (tokens, index) => imageLink(tokens[index]);
  rules.table_open = () => '<div class="table" tabindex="0"><table>';
  rules.table_close = () => '</table></div>';
  for (const rule of ['th_open', 'td_open'] as const) {
    rules[rule] = (tokens, index) => cellOpen(tokens[index]);
  }
  return md;
}

/** The last inline text of an open document gets its open markers closed before it is parsed. */
function closeOpenEnd(state: StateCore): void {
  if (!(state.env as RenderEnv).open) return;
  const last = state.tokens.findLast((token) => token.type === 'inline' && token.content !== '');
  if (!last) return;
  const lastLine = (text: string): string => text.slice(text.lastIndexOf('\n') + 1).trim();
  if (lastLine(state.src.trimEnd()).endsWith(lastLine(last.content))) {
    last.content = closeInline(last.content);
  }
}

/** `[ ]` and `[x]` at the start of a list item become check boxes. */
function markTasks(state: StateCore): void {
  state.tokens.forEach((token, index) => {
    const item = state.tokens[index - 2];
    const text = token.children?.[0];
    if (token.type !== 'inline' || item?.type !== 'list_item_open' || text?.type !== 'text') return;
    const match = /^\[([ xX])\]\s+/.exec(text.content);
    if (!match) return;
    text.content = text.content.slice(match[0].length);
    const box = new state.Token('html_inline', '', 0);
    box.content = `<input type="checkbox" disabled${match[1] === ' ' ? '' : ' checked'}> `;
    token.children?.unshift(box);
    item.attrJoin('class', 'task');
  });
}

const CITATION = new RegExp(`${CITE_OPEN}(\\d{1,4})${CITE_CLOSE}`, 'g');

/** Numbers of sources become raised markers; the pattern leaves nothing but digits in the HTML. */
function markCitations(state: StateCore): void {
  for (const token of state.tokens) {
    if (!token.content.includes(CITE_OPEN)) continue;
    token.children = (token.children ?? []).flatMap((child) => {
      if (child.type !== 'text' || !child.content.includes(CITE_OPEN)) return [child];
      return child.content.split(CITATION).map((piece, index) => {
        const part = new state.Token(index % 2 === 0 ? 'text' : 'html_inline', '', 0);
        part.content = index % 2 === 0 ? piece : `<sup class="cite">${piece}</sup>`;
        return part;
      });
    });
  }
}

/** Links open in a new tab; an address that is not http, https or mail leaves only its text. */
function checkLinks(state: StateCore): void {
  for (const { children } of state.tokens) {
    if (!children) continue;
    const kept: boolean[] = [];
    for (const token of children) {
      if (token.type === 'link_open') {
        const safe = SAFE_URL.test(String(token.attrGet('href') ?? ''));
        kept.push(safe);
        if (safe) {
          token.attrSet('target', '_blank');
          token.attrSet('rel', 'noopener noreferrer');
        } else token.hidden = true;
      } else if (token.type === 'link_close' && kept.pop() === false) token.hidden = true;
      if (token.hidden) Object.assign(token, { type: 'text', content: '', nesting: 0 });
    }
  }
}

const { escapeHtml } = parser.utils;

function codeBlock(token: Token | undefined, env: RenderEnv): string {
  if (!token) return '';
  const language = /^[\w+#.-]{1,30}/.exec(token.info.trim())?.[0] ?? '';
  const copy = escapeHtml(env.labels.copy);
  return (
    `<div class="code"><div class="code-head"><span>${escapeHtml(language || env.labels.code)}</span>` +
    `<button type="button" class="copy-code">${copy}</button></div>` +
    `<pre tabindex="0" dir="ltr"><code class="language-${escapeHtml(language.toLowerCase())}">${escapeHtml(token.content.replace(CITATION, ''))}</code></pre></div>`
  );
}

function imageLink(token: Token | undefined): string {
  const href = String(token?.attrGet('src') ?? '');
  const label = escapeHtml(token?.content || href);
  if (!SAFE_URL.test(href)) return label;
  return `<a class="image-link" target="_blank" rel="noopener noreferrer" href="${escapeHtml(href)}">${label}</a>`;
}

function cellOpen(token: Token | undefined): string {
  // The parser writes alignment as a style attribute, which a strict page policy forbids.
  const align = /text-align:(\w+)/.exec(String(token?.attrGet('style') ?? ''))?.[1];
  return align ? `<${token?.tag} class="align-${align}">` : `<${token?.tag}>`;
}

/** Where the last top-level block begins: everything before it can no longer change. */
function lastBlockStart(text: string, tokens: readonly Token[]): number {
  const blocks = tokens.filter((token) => token.level === 0 && token.map && token.nesting >= 0);
  const line = blocks.length > 1 ? (blocks.at(-1)?.map?.[0] ?? 0) : 0;
  let offset = 0;
  for (let i = 0; i < line; i++) offset = text.indexOf('\n', offset) + 1;
  // A block of which not even one line is complete may yet turn out to continue the one before.
  return text.indexOf('\n', offset) < 0 ? 0 : offset;
}

/** HTML of a whole document, not yet sanitised: for tests of the parser and for `renderMarkdown`. */
function toHtml(tokens: Token[], env: RenderEnv): string {
  return parser.renderer.render(tokens, parser.options, env);
}

function sanitize(html: string): DocumentFragment {
  return DOMPurify.sanitize(html, {
    ALLOWED_TAGS,
    ALLOWED_ATTR: ['href', ...PLAIN_ATTR],
    ADD_URI_SAFE_ATTR: PLAIN_ATTR,
    ALLOWED_URI_REGEXP: SAFE_URL,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
}

/** A finished text, for notices, disclaimers and stored answers. */
export function renderMarkdown(text: string, labels: MarkdownLabels): DocumentFragment {
  const env: RenderEnv = { open: false, labels };
  return sanitize(toHtml(parser.parse(text, env), env));
}

/** A text that grows: `update` returns what is new, `settled` blocks never change again. */
export class MarkdownStream {
  readonly #labels: MarkdownLabels;
  #env: RenderEnv;
  #text = '';
  #offset = 0;

  constructor(labels: MarkdownLabels) {
    this.#labels = labels;
    this.#env = { open: true, labels };
  }

  /**
   * The blocks that settled since the last call and the open rest. `restart` tells that the text
   * was changed rather than continued, so that what was settled before is void.
   */
  update(
    text: string,
    open: boolean,
  ): { restart: boolean; settled: DocumentFragment | null; tail: DocumentFragment } {
    // Reference links may point forward; only the whole text resolves them.
    const late = !open && /^ {0,3}\[[^\]]+\]:/m.test(text);
    const restart = late || !text.startsWith(this.#text.slice(0, this.#offset));
    if (restart) this.#offset = 0;
    this.#text = text;
    this.#env = { ...this.#env, open, labels: this.#labels };
    const rest = text.slice(this.#offset);
    const shown = open ? holdBack(rest) : rest;
    const tokens = parser.parse(shown, this.#env);
    const cut = open ? lastBlockStart(shown, tokens) : 0;
    if (cut === 0) return { restart, settled: null, tail: sanitize(toHtml(tokens, this.#env)) };
    this.#offset += cut;
    return {
      restart,
      settled: this.#render(shown.slice(0, cut), false),
      tail: this.#render(shown.slice(cut), open),
    };
  }

  #render(text: string, open: boolean): DocumentFragment {
    const env: RenderEnv = { ...this.#env, open };
    return sanitize(toHtml(parser.parse(text, env), env));
  }
}
