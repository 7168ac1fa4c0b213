/**
 * Style properties of an element, set one by one: Lit's `styleMap` writes an attribute at first, which
 * a strict content security policy does not allow.
 */
import type { ElementPart } from 'lit';
import { noChange } from 'lit';
import { Directive, type DirectiveParameters, directive } from 'lit/directive.js';

class Styled extends Directive {
  #names: string[] = [];

  override update(part: ElementPart, [properties]: DirectiveParameters<this>): unknown {
    const { style } = part.element as HTMLElement;
    const names = Object.keys(properties);
    for (const name of this.#names) if (!names.includes(name)) style.removeProperty(name);
    for (const name of names) style.setProperty(name, properties[name] ?? '');
    this.#names = names;
    return noChange;
  }

  render(_properties: Record<string, string>): unknown {
    return noChange;
  }
}

/** Used on an element: `<div ${styled({ 'max-height': '4em', '--own': '1' })}>`. */
export const styled = directive(Styled);
