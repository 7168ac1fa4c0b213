/**
 * A widget as the views read it. What a server sends is not trusted to be a tree of known shape, of
 * finite depth or of a size that a page can bear: what does not fit is left out, and the rest stays.
 */
import type { JsonObject } from '../protocol.js';

export interface WidgetNode {
  type: string;
  /** Unique in its widget and the same as long as the node is: what is typed into it stays with it. */
  path: string;
  props: JsonObject;
  children: readonly WidgetNode[];
}

export const MAX_DEPTH = 32;
export const MAX_NODES = 3000;

const trees = new WeakMap<object, WidgetNode>();

/** The tree of a root, made once for each; `null` when the value is none. */
export function readTree(root: unknown): WidgetNode | null {
  if (!isObject(root)) return null;
  const known = trees.get(root);
  if (known) return known;
  const left = { nodes: MAX_NODES };
  const tree = readNode(root, '', 0, left);
  if (tree) trees.set(root, tree);
  return tree;
}

function readNode(
  value: unknown,
  parent: string,
  index: number,
  left: { nodes: number },
  depth = 0,
): WidgetNode | null {
  if (!isObject(value) || typeof value.type !== 'string' || depth >= MAX_DEPTH) return null;
  if (left.nodes <= 0) return null;
  left.nodes -= 1;
  const path = `${parent}/${nameOf(value) ?? `${value.type}${index}`}`;
  const children: WidgetNode[] = [];
  const paths = new Set<string>();
  listOf(value.children).forEach((child, place) => {
    const node = readNode(child, path, place, left, depth + 1);
    if (!node) return;
    if (paths.has(node.path)) node.path = `${node.path}~${place}`;
    paths.add(node.path);
    children.push(node);
  });
  return { type: value.type, path, props: value, children };
}

function nameOf({ key, id }: JsonObject): string | null {
  if (typeof key === 'string' && key !== '') return `#${key}`;
  return typeof id === 'string' && id !== '' ? `#${id}` : null;
}

/** One child need not stand in a list. */
function listOf(children: unknown): readonly unknown[] {
  if (Array.isArray(children)) return children;
  return children === undefined || children === null ? [] : [children];
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
