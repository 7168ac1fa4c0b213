/**
 * Content as nodes of an editable element, and back: texts as text nodes, tags as elements that are
 * edited as a whole. A line break at the end needs a `<br>` behind it to be seen.
 */
import type { UserContent } from '../protocol.js';
import { type Content, joined, type Tag } from './content.js';

const tags = new WeakMap<Node, Tag>();

/** The tag that an element stands for. */
export function tagOf(node: Node | null): Tag | null {
  return (node && tags.get(node)) ?? null;
}

export function write(root: HTMLElement, content: Content): void {
  const [only] = content;
  const [node] = root.childNodes;
  if (content.length === 1 && only?.type === 'input_text' && node instanceof Text) {
    if (root.childNodes.length > 1) root.replaceChildren(node);
    if (node.data !== only.text) node.data = only.text;
  } else {
    root.replaceChildren(...content.map(nodeOf));
  }
  finish(root, content);
}

/** Keeps the `<br>` behind a last line break. */
export function finish(root: HTMLElement, content: Content): void {
  const last = content.at(-1);
  const wanted = last?.type === 'input_text' && last.text.endsWith('\n');
  const present = root.lastChild instanceof HTMLBRElement;
  if (wanted && !present) root.append(document.createElement('br'));
  else if (!wanted && present) root.lastChild?.remove();
}

function nodeOf(part: UserContent): Node {
  if (part.type === 'input_text') return document.createTextNode(part.text);
  const chip = document.createElement('span');
  chip.className = 'tag';
  chip.setAttribute('part', 'tag');
  chip.contentEditable = 'false';
  chip.dir = 'auto';
  chip.textContent = part.text;
  tags.set(chip, part);
  return chip;
}

export function read(root: HTMLElement): Content {
  return joined([...piecesOf(root)].map(([, part]) => part));
}

/** Where a place in the DOM is in the content. */
export function placeOf(root: HTMLElement, container: Node, offset: number): number {
  const boundary = document.createRange();
  boundary.setStart(container, offset);
  let place = 0;
  for (const [node, part] of piecesOf(root)) {
    if (node === container && node instanceof Text) return place + offset;
    const parent = node.parentNode;
    if (parent && boundary.comparePoint(parent, indexIn(parent, node)) >= 0) return place;
    place += part.type === 'input_tag' ? 1 : part.text.length;
  }
  return place;
}

/** The place in the DOM that a place in the content is. */
export function locate(root: HTMLElement, place: number): [Node, number] {
  let rest = place;
  let last: Node | null = null;
  for (const [node, part] of piecesOf(root)) {
    last = node;
    if (node instanceof Text) {
      if (rest <= part.text.length) return [node, rest];
      rest -= part.text.length;
    } else {
      if (rest === 0) return [root, indexOf(root, node)];
      rest -= part.type === 'input_tag' ? 1 : part.text.length;
    }
  }
  return [root, last ? indexOf(root, last) + 1 : 0];
}

function indexOf(root: Node, node: Node): number {
  let child: Node = node;
  while (child.parentNode && child.parentNode !== root) child = child.parentNode;
  return indexIn(root, child);
}

function indexIn(parent: Node, node: Node): number {
  return [...parent.childNodes].indexOf(node as ChildNode);
}

/** Nodes with what they are; what a browser makes of a line break, too. */
function* piecesOf(root: HTMLElement): Generator<[Node, UserContent]> {
  const newline: UserContent = { type: 'input_text', text: '\n' };
  function* walk(parent: Node): Generator<[Node, UserContent]> {
    for (const node of parent.childNodes) {
      const tag = tags.get(node);
      if (tag) yield [node, tag];
      else if (node instanceof Text) yield [node, { type: 'input_text', text: node.data }];
      else if (node instanceof HTMLBRElement) {
        if (node !== root.lastChild) yield [node, newline];
      } else {
        if (/^(DIV|P)$/.test(node.nodeName) && node.previousSibling) yield [node, newline];
        yield* walk(node);
      }
    }
  }
  yield* walk(root);
}
