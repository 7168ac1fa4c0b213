/** What a component knows of where it stands. */
import type { ActionConfig } from './actions.js';
import type { WidgetNode } from './node.js';
import type { Surface } from './surface.js';

export interface Scope {
  surface: Surface;
  /** Path of the form around it; empty when there is none. */
  form: string;
  /** What that form does when it is submitted. */
  submits: ActionConfig | null;
  /** The direction in which its container lays out its children. */
  axis: 'row' | 'col';
  /** Names of the fields that have a label, with the form they are in: see `fieldKey`. */
  labelled: ReadonlySet<string>;
  /** Shows children; given here because containers and the table of components need each other. */
  children(nodes: readonly WidgetNode[], scope: Scope): unknown;
}

export type Component = (node: WidgetNode, scope: Scope) => unknown;

function fieldKey(form: string, name: string): string {
  return `${form}|${name}`;
}

/** The id of the field of this name, to which its label points. */
export function fieldId({ surface, form }: Scope, name: string): string {
  return `${surface.context.id}-${fieldKey(form, name).replace(/[^\w-]/g, (odd) => `_${odd.charCodeAt(0)}`)}`;
}

/** The id of its label, where it has one. */
export function labelId(scope: Scope, name: string): string | undefined {
  return scope.labelled.has(fieldKey(scope.form, name))
    ? `${fieldId(scope, name)}-label`
    : undefined;
}

/** Whether a node is a form: its fields are its own. */
function isForm({ type, props }: WidgetNode): boolean {
  return type === 'Form' || (type === 'Card' && props.asForm === true);
}

/** The fields that have labels, in each form. */
export function labelledFields(root: WidgetNode): ReadonlySet<string> {
  const found = new Set<string>();
  const walk = (node: WidgetNode, around: string): void => {
    const form = isForm(node) ? node.path : around;
    if (node.type === 'Label' && typeof node.props.fieldName === 'string') {
      found.add(fieldKey(form, node.props.fieldName));
    }
    for (const child of node.children) walk(child, form);
  };
  walk(root, '');
  return found;
}
