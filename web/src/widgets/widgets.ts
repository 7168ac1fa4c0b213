/** The part of the element that shows widgets; loaded with the first one. */
import { html, nothing } from 'lit';
import { AsyncDirective } from 'lit/async-directive.js';
import { type ChildPart, type DirectiveResult, directive } from 'lit/directive.js';
import { readTree } from './node.js';
import { render, renderAll } from './render.js';
import { labelledFields, type Scope } from './scope.js';
import { Surface, type WidgetContext } from './surface.js';

export type { WidgetAction } from './actions.js';
export { imageSources } from './image-sources.js';
export { styles } from './styles.js';
export type { WidgetContext } from './surface.js';

class WidgetDirective extends AsyncDirective {
  #surface: Surface | null = null;
  #root: unknown;

  override update(part: ChildPart, [root, context]: [unknown, WidgetContext]): unknown {
    const shown = this.render(root, context);
    // The first rendering happens before its nodes are in the document.
    if (this.#surface) this.#surface.place = () => part.parentNode.getRootNode();
    return shown;
  }

  render(root: unknown, context: WidgetContext): unknown {
    this.#root = root;
    this.#surface ??= new Surface(context, () => {
      if (this.isConnected) this.setValue(this.#template());
    });
    this.#surface.context = context;
    return this.#template();
  }

  #template(): unknown {
    const tree = readTree(this.#root);
    const surface = this.#surface;
    if (!tree || !surface) return nothing;
    const scope: Scope = {
      surface,
      form: '',
      submits: null,
      axis: 'col',
      labelled: labelledFields(tree),
      children: renderAll,
    };
    return html`<div class="widget" part="widget" .inert=${surface.inert} aria-busy=${surface.inert}>
      ${render(tree, scope)}
    </div>`;
  }
}

const shown = directive(WidgetDirective);

/**
 * A widget from its root. It is shown anew whenever root or context are; what was typed and chosen
 * in it stays as long as its components do.
 *
 * @param root The root as the server sent it; anything that is not one shows nothing.
 * @param context Its surroundings, and what carries out its actions.
 */
export function widgetView(root: unknown, context: WidgetContext): DirectiveResult {
  return shown(root, context);
}
