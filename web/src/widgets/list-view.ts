/** Lists and their rows. */
import { html, nothing } from 'lit';
import { readAction } from './actions.js';
import type { WidgetNode } from './node.js';
import { number, oneOf } from './read.js';
import { scheme, status, themed } from './roots.js';
import type { Component } from './scope.js';
import { space, styled } from './style.js';

/** Rows of a list that decides itself how many it shows at first. */
const AUTO_LIMIT = 5;

/** One row more takes no more room than the button that would hide it. */
const SPARE = 1;

export const listView: Component = (node, scope) => {
  const { props, children, path } = node;
  const open = scope.surface.memory(`${path} open`, () => ({ value: false }));
  const limit = open.value ? children.length : limitOf(node);
  const seen = children.slice(0, limit);
  const more = (event: Event): void => {
    const list = (event.currentTarget as HTMLElement).previousElementSibling;
    open.value = true;
    scope.surface.requestUpdate();
    focusRow(list?.children[limit]);
  };
  return html`<div class="w-list" ?data-themed=${themed(props)} ${styled(scheme(props))}>
    ${status(props.status, path, scope)}
    <ul class="w-rows" role="list">${scope.children(seen, { ...scope, axis: 'col' })}</ul>${
      limit < children.length
        ? html`<button type="button" class="w-more" @click=${more}>${scope.surface.context.t('widget.more')}</button>`
        : nothing
    }
  </div>`;
};

function limitOf({ props, children }: WidgetNode): number {
  const given = number(props, 'limit');
  if (given !== undefined && given >= 1) return Math.floor(given);
  if (props.limit === 'auto' && children.length > AUTO_LIMIT + SPARE) return AUTO_LIMIT;
  return children.length;
}

/** The button is gone, so the first row that it showed takes the focus. */
function focusRow(row: Element | undefined): void {
  if (!(row instanceof HTMLElement)) return;
  const target = row.querySelector<HTMLElement>('button, input, a') ?? row;
  if (target === row) row.tabIndex = -1;
  target.focus();
}

export const listViewItem: Component = (node, scope) => {
  const { props, children, path } = node;
  const { surface } = scope;
  const action = readAction(props.onClickAction);
  const align = oneOf(props, 'align', ['start', 'center', 'end', 'baseline', 'stretch']);
  const style = {
    gap: space(props.gap),
    'align-items': align === 'start' || align === 'end' ? `flex-${align}` : align,
  };
  const content = scope.children(children, { ...scope, axis: 'row' });
  if (!action)
    return html`<li class="w-item"><div class="w-row" ${styled(style)}>${content}</div></li>`;
  const busy = surface.loading(path);
  const waits = busy || surface.blocked(action);
  const act = (): void => {
    if (!waits) surface.run(action, path, 'self', null);
  };
  const state = waits ? 'true' : nothing;
  const spinner = busy ? html`<span class="w-spinner" aria-hidden="true"></span>` : nothing;
  if (!children.some(isInteractive)) {
    return html`<li class="w-item"><button type="button" class="w-row" aria-disabled=${state}
      aria-busy=${busy ? 'true' : nothing} ${styled(style)} @click=${act}>${content}${spinner}</button></li>`;
  }
  // A button holds no other: the row's own lies behind what is in it, and clicks beside that are its.
  const id = `${surface.context.id}-row${path.replace(/[^\w-]/g, (odd) => `_${odd.charCodeAt(0)}`)}`;
  const click = (event: Event): void => {
    const inner = (event.target as Element).closest(
      'button, a, input, textarea, label, [role="combobox"]',
    );
    if (!inner) act();
  };
  return html`<li class="w-item" data-split @click=${click}>
    <button type="button" class="w-row-button" aria-labelledby=${id} aria-disabled=${state}
      aria-busy=${busy ? 'true' : nothing} @click=${act}></button>
    <div class="w-row" id=${id} ${styled(style)}>${content}${spinner}</div>
  </li>`;
};

const INTERACTIVE = new Set([
  'Button',
  'Input',
  'Textarea',
  'Select',
  'DatePicker',
  'Checkbox',
  'RadioGroup',
  'Markdown',
  'Chart',
  'Form',
]);

function isInteractive({ type, props, children }: WidgetNode): boolean {
  const editable = type === 'Text' && typeof props.editable === 'object';
  return INTERACTIVE.has(type) || editable || children.some(isInteractive);
}
