/** Containers, and what stands between their children. */
import { html, nothing } from 'lit';
import { keyed } from 'lit/directives/keyed.js';
import { readAction } from './actions.js';
import { color } from './colors.js';
import { formValues } from './form-values.js';
import type { WidgetNode } from './node.js';
import { flag, oneOf } from './read.js';
import type { Component, Scope } from './scope.js';
import { block, container, length, space, styled } from './style.js';

const DIRECTIONS = ['row', 'col'] as const;

export const box: Component = (node, scope) =>
  flexBox(node, scope, oneOf(node.props, 'direction', DIRECTIONS) ?? 'col');
export const row: Component = (node, scope) => flexBox(node, scope, 'row');
export const col: Component = (node, scope) => flexBox(node, scope, 'col');

function flexBox({ props, children }: WidgetNode, scope: Scope, axis: 'row' | 'col'): unknown {
  return html`<div class="w-box" data-axis=${axis} ${styled({ ...block(props), ...container(props, axis) })}>
    ${scope.children(children, { ...scope, axis })}
  </div>`;
}

export const form: Component = (node, scope) => {
  const { props, children, path } = node;
  const axis = oneOf(props, 'direction', DIRECTIONS) ?? 'col';
  const action = readAction(props.onSubmitAction);
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    event.stopPropagation();
    if (!(event.target instanceof HTMLFormElement) || !action) return;
    scope.surface.run(action, path, 'container', formValues(event.target));
  };
  return html`<form class="w-box w-form" data-axis=${axis} aria-busy=${scope.surface.loading(path)}
    ${styled({ ...block(props), ...container(props, axis) })} @submit=${submit}>
    ${scope.children(children, { ...scope, axis, form: path, submits: action })}
  </form>`;
};

export const spacer: Component = ({ props }, { axis }) => {
  const size = length(props.minSize);
  return html`<div class="w-spacer" ${styled(axis === 'row' ? { 'min-width': size } : { 'min-height': size })}></div>`;
};

export const divider: Component = ({ props }, { axis }) => {
  const line = `${length(props.size) ?? '1px'} solid ${color(props.color, 'border') ?? 'var(--line)'}`;
  const room = space(props.spacing);
  const upright = axis === 'row';
  return html`<div class="w-divider" role="separator" aria-orientation=${upright ? 'vertical' : 'horizontal'}
    ?data-flush=${flag(props, 'flush')} ${styled({
      [upright ? 'border-inline-start' : 'border-block-start']: line,
      [upright ? 'margin-inline' : 'margin-block']: room,
    })}></div>`;
};

/** A child that takes the place of another appears softly. */
export const transition: Component = ({ children }, scope) => {
  const [child] = children;
  if (!child) return nothing;
  return html`<div class="w-transition">${keyed(
    child.path,
    html`<div class="w-appear">${scope.children([child], scope)}</div>`,
  )}</div>`;
};
