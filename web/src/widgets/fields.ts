/** Fields to fill in, each a native one: the browser checks them, and forms collect them by name. */
import { html, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import type { JsonObject } from '../protocol.js';
import { type ActionConfig, nest, readAction } from './actions.js';
import { entered, validated } from './field-directives.js';
import { formValues } from './form-values.js';
import type { WidgetNode } from './node.js';
import { CONTROL_SIZES, flag, GUTTERS, number, objects, oneOf, shown, text } from './read.js';
import { type Component, fieldId, labelId, type Scope } from './scope.js';
import { type Style, styled } from './style.js';

const INPUT_TYPES = ['text', 'number', 'email', 'password', 'tel', 'url'] as const;

/** Managers of passwords that know no standard way to be told to stay away. */
const IGNORED_BY = { '1p': 'true', lp: 'true', bw: 'true' } as const;

export const input: Component = ({ props }, scope) => {
  const name = text(props, 'name') ?? '';
  const ignored = ignores(props);
  return html`<input class="w-field" dir="auto" id=${fieldId(scope, name)} name=${name}
    type=${oneOf(props, 'inputType', INPUT_TYPES) ?? 'text'} value=${shown(props.defaultValue)}
    placeholder=${text(props, 'placeholder') ?? nothing} ?required=${flag(props, 'required')}
    ?disabled=${flag(props, 'disabled')} aria-label=${ownName(props, scope)}
    pattern=${text(props, 'pattern') ?? nothing} autocomplete=${ignored ? 'off' : 'on'}
    data-1p-ignore=${ignored ? IGNORED_BY['1p'] : nothing} data-lpignore=${ignored ? IGNORED_BY.lp : nothing}
    data-bwignore=${ignored ? IGNORED_BY.bw : nothing}
    data-variant=${oneOf(props, 'variant', ['soft', 'outline']) ?? 'outline'} data-size=${sizeOf(props)}
    data-gutter=${oneOf(props, 'gutterSize', GUTTERS) ?? nothing} ?data-pill=${flag(props, 'pill')}
    ${entered(flag(props, 'autoFocus') && scope.surface.context.fresh, flag(props, 'autoSelect'))}>`;
};

export const textarea: Component = ({ props }, scope) => {
  const name = text(props, 'name') ?? '';
  const rows = Math.min(Math.max(Math.floor(number(props, 'rows') ?? 3), 1), 60);
  const most = Math.min(Math.max(Math.floor(number(props, 'maxRows') ?? 16), rows), 60);
  const grows = flag(props, 'autoResize');
  return html`<textarea class="w-field" dir="auto" id=${fieldId(scope, name)} name=${name} rows=${rows}
    placeholder=${text(props, 'placeholder') ?? nothing} ?required=${flag(props, 'required')}
    ?disabled=${flag(props, 'disabled')} aria-label=${ownName(props, scope)} .defaultValue=${shown(props.defaultValue)}
    autocomplete=${ignores(props) ? 'off' : 'on'} data-variant=${oneOf(props, 'variant', ['soft', 'outline']) ?? 'outline'}
    data-size=${sizeOf(props)} data-gutter=${oneOf(props, 'gutterSize', GUTTERS) ?? nothing} ?data-grows=${grows}
    ${styled(grows ? growth(rows, most) : {})} ${validated(text(props, 'pattern'), scope.surface.context.t('widget.pattern'))}
    ${entered(flag(props, 'autoFocus') && scope.surface.context.fresh, flag(props, 'autoSelect'))}></textarea>`;
};

function growth(rows: number, most: number): Style {
  return { '--w-rows': rows, '--w-max-rows': most };
}

/** Text that is changed where it stands: a field of its form that looks like text. */
export function editableText(
  { props }: WidgetNode,
  editable: JsonObject,
  scope: Scope,
  style: Style,
): TemplateResult {
  const name = text(editable, 'name') ?? '';
  const { t } = scope.surface.context;
  return html`<textarea class="w-text w-plain w-editable" dir="auto" rows="1" id=${fieldId(scope, name)} name=${name}
    placeholder=${text(editable, 'placeholder') ?? nothing} ?required=${flag(editable, 'required')}
    autocomplete=${text(editable, 'autoComplete') ?? (ignores(editable) ? 'off' : 'on')}
    aria-label=${labelId(scope, name) ? nothing : t('widget.edit', { name: text(editable, 'placeholder') ?? name })}
    data-size=${oneOf(props, 'size', ['xs', 'sm', 'md', 'lg', 'xl']) ?? 'md'}
    data-weight=${oneOf(props, 'weight', ['normal', 'medium', 'semibold', 'bold']) ?? 'normal'}
    ?data-italic=${flag(props, 'italic')} ?data-struck=${flag(props, 'lineThrough')}
    .defaultValue=${shown(props.value)} ${styled(style)}
    ${validated(text(editable, 'pattern'), t('widget.pattern'))}
    ${entered(flag(editable, 'autoFocus') && scope.surface.context.fresh, flag(editable, 'autoSelect'))}></textarea>`;
}

export const checkbox: Component = (node, scope) => {
  const { props } = node;
  const name = text(props, 'name') ?? '';
  const { action, waits } = changing(node, scope);
  const label = shown(props.label);
  const change = (event: Event): void => {
    if (event.target instanceof HTMLInputElement) {
      changed(event.target, action, node, scope, event.target.checked);
    }
  };
  return html`<label class="w-check"><input type="checkbox" id=${fieldId(scope, name)} name=${name}
    ?checked=${flag(props, 'defaultChecked')} ?disabled=${flag(props, 'disabled')}
    ?required=${flag(props, 'required')} aria-disabled=${waits ? 'true' : nothing}
    aria-busy=${scope.surface.loading(node.path) ? 'true' : nothing}
    aria-label=${label === '' ? ownName(props, scope) : nothing} @click=${(event: Event) => {
      if (waits) event.preventDefault();
    }} @change=${change}>${label === '' ? nothing : html`<span dir="auto">${label}</span>`}</label>`;
};

export const radioGroup: Component = (node, scope) => {
  const { props } = node;
  const name = text(props, 'name') ?? '';
  const { action, waits } = changing(node, scope);
  const label = labelId(scope, name);
  const off = flag(props, 'disabled');
  const id = fieldId(scope, name);
  const change = (event: Event): void => {
    if (event.target instanceof HTMLInputElement) {
      changed(event.target, action, node, scope, event.target.value);
    }
  };
  return html`<div class="w-radios" role="radiogroup" id=${id} aria-labelledby=${label ?? nothing}
    aria-label=${label ? nothing : (text(props, 'ariaLabel') ?? name)} aria-required=${flag(props, 'required')}
    aria-disabled=${off || waits ? 'true' : nothing} aria-busy=${scope.surface.loading(node.path) ? 'true' : nothing}
    data-axis=${oneOf(props, 'direction', ['row', 'col']) ?? 'row'} @change=${change}>
    ${repeat(
      objects(props.options).slice(0, 200),
      (option, index) => shown(option.value) || index,
      (
        option,
      ) => html`<label class="w-check"><input type="radio" name=${id} data-name=${name} value=${shown(option.value)} ?checked=${option.value === props.defaultValue}
        ?disabled=${off || option.disabled === true} ?required=${flag(props, 'required')} @click=${(
          event: Event,
        ) => {
          if (waits) event.preventDefault();
        }}><span dir="auto">${shown(option.label)}</span></label>`,
    )}
  </div>`;
};

/** The action of a field that acts when it changes, and whether it has to wait. */
export function changing(
  { props, path }: WidgetNode,
  { surface }: Scope,
): { action: ActionConfig | null; waits: boolean } {
  const action = readAction(props.onChangeAction);
  return { action, waits: surface.loading(path) || surface.blocked(action) };
}

/** Carries out what a change asks for, with the new value and those of the form around the field. */
export function changed(
  field: Element,
  action: ActionConfig | null,
  { props, path }: WidgetNode,
  { surface }: Scope,
  value: unknown,
): void {
  if (!action) return;
  const form = field.closest('form');
  const own = nest([[text(props, 'name') ?? '', value]]);
  surface.run(action, path, 'none', form ? { ...formValues(form), ...own } : own);
}

/** The name of a field that has no label. */
export function ownName(props: JsonObject, scope: Scope): string | typeof nothing {
  const name = text(props, 'name') ?? '';
  return labelId(scope, name) ? nothing : (text(props, 'placeholder') ?? name);
}

export function sizeOf(props: JsonObject): string {
  return oneOf(props, 'size', CONTROL_SIZES) ?? 'md';
}

function ignores(props: JsonObject): boolean {
  return props.allowAutofillExtensions !== true;
}
