/** The selection inside a shadow root, which each browser keeps somewhere else. */

interface ShadowSelection {
  getSelection?(): Selection | null;
}

interface ComposedSelection {
  getComposedRanges?(options: { shadowRoots: ShadowRoot[] }): StaticRange[];
}

/** The selected range if it lies inside the node. */
export function rangeIn(node: Node): AbstractRange | null {
  const range = selected(node.getRootNode());
  return range && node.contains(range.startContainer) && node.contains(range.endContainer)
    ? range
    : null;
}

function selected(root: Node): AbstractRange | null {
  const own = (root as ShadowSelection).getSelection?.();
  const selection = own ?? document.getSelection();
  if (!selection) return null;
  const composed = selection as ComposedSelection;
  if (!own && root instanceof ShadowRoot && composed.getComposedRanges) {
    return composed.getComposedRanges({ shadowRoots: [root] })[0] ?? null;
  }
  return selection.rangeCount > 0 ? selection.getRangeAt(0) : null;
}

export function select(from: [Node, number], to: [Node, number] = from): void {
  const root = from[0].getRootNode() as ShadowSelection;
  const selection = root.getSelection?.() ?? document.getSelection();
  selection?.setBaseAndExtent(...from, ...to);
}
