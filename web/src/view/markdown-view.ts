/**
 * Markdown inside a template. The nodes stay in the document while the text grows: finished blocks
 * are left alone and the open one is changed in place, so that a selection survives and nothing
 * jumps.
 */
import { html, nothing } from 'lit';
import { Directive, type DirectiveResult, directive } from 'lit/directive.js';
import { Lazy, lazy } from '../chunks/lazy.js';
import type { MarkdownStream } from '../markdown.js';
import type { MarkdownLabels } from '../markdown-labels.js';
import type { NumberedSource } from '../sources.js';
import { connectCitations } from './citations.js';
import { enrich } from './rich-text.js';

type Markdown = typeof import('../markdown.js');

/** The parser and the sanitiser, which an empty chat does without. */
export const markdownPart = new Lazy<Markdown>(() => import('../markdown.js'));

class MarkdownDirective extends Directive {
  readonly #root = document.createElement('div');
  #stream: MarkdownStream | null = null;
  #settled = 0;
  #shown: { text: string; open: boolean; labels: MarkdownLabels } | null = null;

  render(
    part: Markdown,
    text: string,
    open: boolean,
    labels: MarkdownLabels,
    sources: readonly NumberedSource[],
  ): unknown {
    const shown = this.#shown;
    if (shown?.text === text && shown.open === open && shown.labels === labels) return this.#root;
    if (!this.#stream || shown?.labels !== labels) {
      this.#stream = new part.MarkdownStream(labels);
      this.#settled = 0;
    }
    this.#shown = { text, open, labels };
    this.#root.className = 'markdown';
    this.#root.dir = 'auto';
    const { restart, settled, tail } = this.#stream.update(text, open);
    if (restart) this.#settled = 0;
    for (const piece of [settled, tail]) {
      if (!piece) continue;
      if (sources.length > 0) connectCitations(piece, sources);
      enrich(piece, this.#root, piece === settled || !open);
    }
    const fresh = settled ? [...settled.childNodes] : [];
    morphChildren(this.#root, this.#settled, [...fresh, ...tail.childNodes]);
    this.#settled += fresh.length;
    return text === '' && open ? nothing : this.#root;
  }
}

/** Makes the children from `start` on look like `wanted`, keeping every node that can stay. */
function morphChildren(parent: Element, start: number, wanted: readonly Node[]): void {
  wanted.forEach((node, index) => {
    const present = parent.childNodes[start + index];
    if (!present) parent.append(node);
    else if (!morph(present, node)) present.replaceWith(node);
  });
  while (parent.childNodes.length > start + wanted.length) parent.lastChild?.remove();
}

function morph(present: Node, wanted: Node): boolean {
  if (present.nodeName !== wanted.nodeName) return false;
  if (present instanceof Text && wanted instanceof Text) {
    // Appending keeps a selection inside the node; replacing its text would end it.
    if (wanted.data.startsWith(present.data)) present.appendData(wanted.data.slice(present.length));
    else present.data = wanted.data;
    return true;
  }
  if (!(present instanceof Element && wanted instanceof Element)) return false;
  for (const { name } of [...present.attributes]) {
    if (!wanted.hasAttribute(name)) present.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (present.getAttribute(name) !== value) present.setAttribute(name, value);
  }
  morphChildren(present, 0, [...wanted.childNodes]);
  return true;
}

const rendered = directive(MarkdownDirective);

/** A text as Markdown; as it was written until the parser is here. */
export function markdown(
  text: string,
  open: boolean,
  labels: MarkdownLabels,
  sources: readonly NumberedSource[] = [],
): DirectiveResult {
  const plain = text === '' ? nothing : html`<div class="markdown plain" dir="auto">${text}</div>`;
  return lazy(markdownPart, (part) => rendered(part, text, open, labels, sources), plain);
}
