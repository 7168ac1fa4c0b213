/** Pure updates of widget items: of the whole root, of one component, of a text that is written. */
import type { ItemUpdate, WidgetComponent, WidgetItem } from './protocol.js';

/** Components behind this depth are not shown, so they are not looked for either. */
const MAX_DEPTH = 32;

export function isComponent(value: unknown): value is WidgetComponent {
  return (
    typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
  );
}

/** The item after the update; the same item when the update is not known or does not fit it. */
export function updateWidget(item: WidgetItem, update: ItemUpdate): WidgetItem {
  switch (update.type) {
    case 'widget.root.updated':
      return isComponent(update.widget) ? { ...item, widget: update.widget } : item;
    case 'widget.component.updated': {
      const { component, component_id: id } = update;
      return isComponent(component) ? withComponent(item, id, () => component) : item;
    }
    case 'widget.streaming_text.value_delta':
      return withComponent(item, update.component_id, (component) => ({
        ...component,
        value: `${typeof component.value === 'string' ? component.value : ''}${update.delta}`,
        streaming: !update.done,
      }));
    default:
      return item;
  }
}

function withComponent(
  item: WidgetItem,
  id: string,
  change: (component: WidgetComponent) => WidgetComponent,
): WidgetItem {
  const widget = changed(item.widget, id, change, 0);
  return widget === item.widget ? item : { ...item, widget };
}

/** The component with the one of this id changed; itself when there is none. */
function changed(
  component: WidgetComponent,
  id: string,
  change: (component: WidgetComponent) => WidgetComponent,
  depth: number,
): WidgetComponent {
  if (component.id === id) return change(component);
  const { children } = component;
  if (depth >= MAX_DEPTH) return component;
  if (isComponent(children)) {
    const child = changed(children, id, change, depth + 1);
    return child === children ? component : { ...component, children: child };
  }
  if (!Array.isArray(children)) return component;
  for (const [index, child] of children.entries()) {
    if (!isComponent(child)) continue;
    const next = changed(child, id, change, depth + 1);
    if (next !== child) return { ...component, children: children.with(index, next) };
  }
  return component;
}

/** How much there is to read in a widget, for comparing two states of the same one. */
export function widgetExtent(component: WidgetComponent, depth = 0): number {
  const { children, value, label } = component;
  const own = [value, label].reduce<number>(
    (sum, text) => sum + (typeof text === 'string' ? text.length : 0),
    1,
  );
  if (depth >= MAX_DEPTH) return own;
  const inner = Array.isArray(children) ? children : [children];
  return inner
    .filter(isComponent)
    .reduce((sum, child) => sum + widgetExtent(child, depth + 1), own);
}
