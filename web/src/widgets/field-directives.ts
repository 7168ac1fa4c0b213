/** What fields of a widget need of their elements. */
import { nothing } from 'lit';
import { Directive, type DirectiveResult, directive, type ElementPart } from 'lit/directive.js';

class EnteredDirective extends Directive {
  #entered = false;

  render(_focus: boolean, _select: boolean): unknown {
    return nothing;
  }

  override update(part: ElementPart, [focus, select]: [boolean, boolean]): unknown {
    if (this.#entered) return nothing;
    this.#entered = true;
    const field = part.element as HTMLInputElement | HTMLTextAreaElement;
    if (select) field.addEventListener('focus', () => field.select());
    // It is in the document only when the whole template is.
    if (focus) queueMicrotask(() => field.focus({ preventScroll: true }));
    return nothing;
  }
}

const enteredDirective = directive(EnteredDirective);

/** Gives a field the focus when it appears, or has all its text selected whenever it gets it. */
export function entered(focus: boolean, select: boolean): DirectiveResult {
  return enteredDirective(focus, select);
}

class ValidatedDirective extends Directive {
  #pattern: RegExp | null = null;
  #message = '';
  #field: HTMLTextAreaElement | null = null;

  render(_pattern: string | undefined, _message: string): unknown {
    return nothing;
  }

  override update(part: ElementPart, [pattern, message]: [string | undefined, string]): unknown {
    this.#message = message;
    this.#pattern = compiled(pattern);
    if (!this.#field) {
      this.#field = part.element as HTMLTextAreaElement;
      this.#field.addEventListener('input', this.#check);
    }
    // The text itself may be set by the same template.
    queueMicrotask(this.#check);
    return nothing;
  }

  readonly #check = (): void => {
    const field = this.#field;
    const wrong = field && field.value !== '' && this.#pattern?.test(field.value) === false;
    field?.setCustomValidity(wrong ? this.#message : '');
  };
}

/** As browsers do for inputs: the whole text has to match, and a broken pattern matches all. */
function compiled(pattern: string | undefined): RegExp | null {
  if (pattern === undefined) return null;
  try {
    return new RegExp(`^(?:${pattern})$`, 'v');
  } catch {
    return null;
  }
}

const validatedDirective = directive(ValidatedDirective);

/** Checks a field of several lines against a pattern, which browsers do for inputs only. */
export function validated(pattern: string | undefined, message: string): DirectiveResult {
  return validatedDirective(pattern, message);
}
