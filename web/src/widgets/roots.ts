/** What a widget can begin with, besides a list: a card, or nothing but its content. */
import { html, nothing, type TemplateResult } from 'lit';
import type { JsonObject } from '../protocol.js';
import { type ActionConfig, readAction } from './actions.js';
import { source } from './content.js';
import { formValues } from './form-values.js';
import { widgetIcon } from './icon.js';
import { isObject, type WidgetNode } from './node.js';
import { flag, oneOf, shown, text } from './read.js';
import type { Component, Scope } from './scope.js';
import { background, borders, container, type Style, spacing, styled } from './style.js';

const THEMES = ['light', 'dark'] as const;

export const basic: Component = ({ props, children }, scope) => {
  const axis = oneOf(props, 'direction', ['row', 'col']) ?? 'col';
  return html`<div class="w-basic w-box" data-axis=${axis} ?data-themed=${themed(props)}
    ${styled({ ...scheme(props), ...container(props, axis) })}>
    ${scope.children(children, { ...scope, axis })}
  </div>`;
};

/** A forced scheme turns every colour in it, as they are all made of pairs. */
export function scheme(props: JsonObject): Style {
  return { 'color-scheme': oneOf(props, 'theme', THEMES) };
}

export function themed(props: JsonObject): boolean {
  return oneOf(props, 'theme', THEMES) !== undefined;
}

/** A line above the content: what it is, or how it stands with it. */
export function status(
  value: unknown,
  path: string,
  scope: Scope,
): TemplateResult | typeof nothing {
  if (!isObject(value) || shown(value.text) === '') return nothing;
  const icon = text(value, 'icon');
  const favicon = text(value, 'favicon');
  const src = favicon ? source(favicon, `${path} favicon`, scope) : null;
  return html`<div class="w-status">
    ${
      src
        ? html`<img class="w-favicon" src=${src} alt="" referrerpolicy="no-referrer" ?data-frame=${flag(value, 'frame')}
            @error=${() => scope.surface.failed(`${path} favicon`, src)}>`
        : nothing
    }${icon ? widgetIcon(icon, 'sm') : nothing}<span dir="auto">${shown(value.text)}</span>
  </div>`;
}

export const card: Component = (node, scope) => {
  const { props, path } = node;
  const collapsed = flag(props, 'collapsed');
  const open = scope.surface.memory(`${path} open`, () => ({ value: false }));
  const size = oneOf(props, 'size', ['sm', 'md', 'lg', 'full']) ?? 'md';
  const style = {
    ...scheme(props),
    ...background(props.background),
    ...borders(props.border),
    ...padding(props.padding),
  };
  const body = collapsed && !open.value ? nothing : cardBody(node, scope);
  return html`<div class="w-card" data-size=${size} ?data-themed=${themed(props)} ${styled(style)}>
    ${status(props.status, path, scope)}${body}${collapsed ? expander(open, scope) : nothing}
  </div>`;
};

/** Padding also tells children that are flush with the edge how far they have to reach. */
function padding(value: unknown): Style {
  if (value === undefined) return {};
  const style = spacing('padding', value);
  return {
    ...style,
    '--w-pad-inline': style['padding-inline-start'] ?? '0px',
    '--w-pad-top': style['padding-block-start'] ?? '0px',
    '--w-pad-bottom': style['padding-block-end'] ?? '0px',
  };
}

function expander(open: { value: boolean }, { surface }: Scope): TemplateResult {
  const toggle = (): void => {
    open.value = !open.value;
    surface.requestUpdate();
  };
  return html`<button type="button" class="w-more" aria-expanded=${open.value} @click=${toggle}>
    ${surface.context.t(open.value ? 'widget.less' : 'widget.details')}
  </button>`;
}

function cardBody(node: WidgetNode, scope: Scope): TemplateResult {
  const { props, children, path } = node;
  const confirm = cardAction(props.confirm);
  const cancel = cardAction(props.cancel);
  const asForm = flag(props, 'asForm');
  const within: Scope = asForm
    ? { ...scope, axis: 'col', form: path, submits: confirm?.action ?? null }
    : { ...scope, axis: 'col' };
  const content = html`${scope.children(children, within)}
    ${
      confirm || cancel
        ? html`<div class="w-card-actions">
            ${cancel ? footButton(cancel, 'cancel', node, scope, false) : nothing}
            ${confirm ? footButton(confirm, 'confirm', node, scope, asForm) : nothing}
          </div>`
        : nothing
    }`;
  if (!asForm) return html`<div class="w-card-body">${content}</div>`;
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    event.stopPropagation();
    if (!(event.target instanceof HTMLFormElement) || !confirm) return;
    scope.surface.run(confirm.action, `${path} confirm`, 'container', formValues(event.target));
  };
  return html`<form class="w-card-body" @submit=${submit}>${content}</form>`;
}

interface FootAction {
  label: string;
  action: ActionConfig;
}

function cardAction(value: unknown): FootAction | null {
  if (!isObject(value)) return null;
  const action = readAction(value.action);
  return action && { label: shown(value.label), action };
}

function footButton(
  { label, action }: FootAction,
  which: 'confirm' | 'cancel',
  { path }: WidgetNode,
  { surface }: Scope,
  submits: boolean,
): TemplateResult {
  const own = `${path} ${which}`;
  const busy = surface.loading(own);
  const waits = busy || surface.blocked(action);
  const press = (event: Event): void => {
    if (waits) event.preventDefault();
    // A submit button acts by the form's submit event, once the browser has checked its fields.
    if (waits || submits || !(event.currentTarget instanceof HTMLElement)) return;
    const form = event.currentTarget.closest('form');
    surface.run(action, own, 'container', form ? formValues(form) : null);
  };
  return html`<button type=${submits ? 'submit' : 'button'} class="w-button" dir="auto"
    data-color=${which === 'confirm' ? 'primary' : 'secondary'} data-variant=${which === 'confirm' ? 'solid' : 'outline'}
    data-size="md" aria-disabled=${waits ? 'true' : nothing} aria-busy=${busy ? 'true' : nothing} @click=${press}>
    <span class="w-button-text">${label}</span>${busy ? html`<span class="w-spinner" aria-hidden="true"></span>` : nothing}
  </button>`;
}
