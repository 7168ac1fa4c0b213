/** Buttons, and what all things have in common that can be pressed. */
import { html, nothing, type TemplateResult } from 'lit';
import { type ActionConfig, readAction } from './actions.js';
import { formValues } from './form-values.js';
import { widgetIcon } from './icon.js';
import type { WidgetNode } from './node.js';
import { CONTROL_SIZES, flag, oneOf, shown, text, VARIANTS } from './read.js';
import type { Component, Scope } from './scope.js';

const COLORS = [
  'primary',
  'secondary',
  'info',
  'discovery',
  'success',
  'caution',
  'warning',
  'danger',
] as const;

const BUTTON_ICONS = ['sm', 'md', 'lg', 'xl', '2xl'] as const;

export const button: Component = (node, scope) => {
  const { props } = node;
  const action = readAction(props.onClickAction);
  const primary = props.style === 'primary' || (props.style === undefined && props.submit === true);
  const hue = oneOf(props, 'color', COLORS) ?? (primary ? 'primary' : 'secondary');
  const variant = oneOf(props, 'variant', VARIANTS) ?? (hue === 'secondary' ? 'outline' : 'solid');
  return pressable(node, scope, {
    action,
    label: shown(props.label),
    submit: flag(props, 'submit'),
    hue,
    variant,
  });
};

interface Pressable {
  action: ActionConfig | null;
  label: string;
  submit: boolean;
  hue: string;
  variant: string;
}

function pressable(node: WidgetNode, scope: Scope, given: Pressable): TemplateResult {
  const { props, path } = node;
  const { surface } = scope;
  const { action, label, submit } = given;
  const start = text(props, 'iconStart');
  const end = text(props, 'iconEnd');
  const busy = surface.loading(path) || (submit && surface.loading(scope.form));
  const off = flag(props, 'disabled');
  const waits = busy || surface.blocked(action) || (submit && surface.blocked(scope.submits));
  const press = (event: Event): void => {
    if (waits) event.preventDefault();
    else if (action) pressed(event, action, node, scope, submit);
  };
  const size = oneOf(props, 'iconSize', BUTTON_ICONS) ?? 'md';
  return html`<button type=${submit ? 'submit' : 'button'} class="w-button" dir="auto" ?disabled=${off}
    aria-disabled=${off || waits ? 'true' : nothing} aria-busy=${busy ? 'true' : nothing}
    aria-label=${label === '' ? nameOf(start ?? end ?? '') : nothing}
    data-color=${given.hue} data-variant=${given.variant} data-size=${oneOf(props, 'size', CONTROL_SIZES) ?? 'md'}
    ?data-pill=${flag(props, 'pill')} ?data-block=${flag(props, 'block')}
    ?data-uniform=${flag(props, 'uniform') || label === ''} @click=${press}>
    ${start ? widgetIcon(start, size) : nothing}${label === '' ? nothing : html`<span class="w-button-text">${label}</span>`}${
      end ? widgetIcon(end, size) : nothing
    }${busy ? html`<span class="w-spinner" aria-hidden="true"></span>` : nothing}
  </button>`;
}

/** A button that only has an icon is called after it. */
function nameOf(icon: string): string {
  return icon.replace(/^\w+:/, '').replaceAll('-', ' ') || '…';
}

/**
 * A click that carries out an action, with the values of the form around it. A button that also
 * submits that form does so only when its fields are as they should be.
 */
function pressed(
  event: Event,
  action: ActionConfig,
  { path }: WidgetNode,
  { surface }: Scope,
  submits: boolean,
): void {
  const target = event.currentTarget;
  const form = target instanceof HTMLElement ? target.closest('form') : null;
  if (submits && form && !form.reportValidity()) {
    event.preventDefault();
    return;
  }
  surface.run(action, path, 'self', form ? formValues(form) : null);
}
