/** From a node to what is shown of it. What is not known here is skipped. */
import { nothing } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { button } from './button.js';
import { chart } from './chart-view.js';
import { badge, iconNode, image, markdownNode } from './content.js';
import { datePicker } from './date-picker.js';
import { checkbox, input, radioGroup, textarea } from './fields.js';
import { box, col, divider, form, row, spacer, transition } from './layout.js';
import { listView, listViewItem } from './list-view.js';
import type { WidgetNode } from './node.js';
import { basic, card } from './roots.js';
import type { Component, Scope } from './scope.js';
import { select } from './select.js';
import { table } from './table.js';
import { caption, label, textNode, title } from './text.js';

const COMPONENTS: Record<string, Component> = {
  Basic: basic,
  Card: card,
  ListView: listView,
  ListViewItem: listViewItem,
  Box: box,
  Row: row,
  Col: col,
  Form: form,
  Spacer: spacer,
  Divider: divider,
  Transition: transition,
  Title: title,
  Caption: caption,
  Text: textNode,
  Markdown: markdownNode,
  Label: label,
  Badge: badge,
  Icon: iconNode,
  Image: image,
  Button: button,
  Chart: chart,
  Table: table,
  Input: input,
  Textarea: textarea,
  Select: select,
  DatePicker: datePicker,
  Checkbox: checkbox,
  RadioGroup: radioGroup,
};

export function render(node: WidgetNode, scope: Scope): unknown {
  const component = Object.hasOwn(COMPONENTS, node.type) ? COMPONENTS[node.type] : undefined;
  return component ? component(node, scope) : nothing;
}

export function renderAll(nodes: readonly WidgetNode[], scope: Scope): unknown {
  return repeat(
    nodes,
    ({ path }) => path,
    (node) => render(node, scope),
  );
}
