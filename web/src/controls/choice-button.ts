/** A button that opens a list of choices. The list itself is a part that is loaded for it. */
import { html, type LitElement, nothing, type TemplateResult } from 'lit';
import { Lazy, lazy } from '../chunks/lazy.js';
import { type Choice, type Room, roomAbove } from './choices.js';

/** Keys that are kept for a list that is not there yet. */
const EARLY = /^(?:Arrow(?:Down|Up)|Home|End|Enter|.)$/;

export const listPart = new Lazy(() => import('./choice-list.js'));

export interface ChoiceButtonModel {
  /** The accessible name. */
  name: string;
  part: string;
  content: unknown;
  className: string;
  list: string;
  choices: readonly Choice[];
  disabled: boolean;
  pick(choice: Choice): void;
}

export class ChoiceButton {
  readonly #host: LitElement;
  readonly #id: string;
  #open = false;
  #active = 0;
  #room: Room = { at: 0, height: 0 };
  /** Keys that came before the list was there. */
  readonly #early: string[] = [];

  /** @param id Unique in the element: of the list, and `ID-button` of the button. */
  constructor(host: LitElement, id: string) {
    this.#host = host;
    this.#id = id;
  }

  render(model: ChoiceButtonModel): TemplateResult {
    const { name, part, content, className, list, choices, disabled } = model;
    const open = this.#open && !disabled;
    return html`<div class="choice" @focusout=${this.#onFocusOut}>
      <button type="button" id="${this.#id}-button" class=${className} part=${part} aria-label=${name} title=${name}
        aria-haspopup="listbox" aria-expanded=${open} aria-controls=${open ? this.#id : nothing} .disabled=${disabled}
        @click=${() => (open ? this.#close() : void this.#show(model))} @pointerenter=${prepare}
        @keydown=${(event: KeyboardEvent) => this.#onButtonKey(event, model)}>${content}</button>
      ${
        open
          ? lazy(listPart, ({ choiceList }) =>
              choiceList({
                id: this.#id,
                label: list,
                choices,
                active: this.#active,
                room: this.#room,
                pick: (choice) => this.#pick(choice, model),
                activate: (index) => this.#activate(index),
                onKey: (event) => this.#onKey(event, model),
              }),
            )
          : nothing
      }
    </div>`;
  }

  async #show(model: ChoiceButtonModel): Promise<void> {
    const frame = this.#find(`#${this.#id}-button`)?.closest('.composer');
    const top = this.#find('.root');
    if (!frame || !top) return;
    this.#room = roomAbove(frame, this.#find(`#${this.#id}-button`), top);
    this.#active = Math.max(
      0,
      model.choices.findIndex((choice) => choice.selected),
    );
    this.#open = true;
    this.#host.requestUpdate();
    try {
      await listPart.load();
    } catch {
      this.#close(); // the next press asks for it again
      return;
    }
    for (const key of this.#early.splice(0)) {
      if (this.#open) this.#handle(key, model);
    }
    if (!this.#open) return;
    await this.#host.updateComplete;
    this.#find(`#${this.#id}`)?.focus({ preventScroll: true });
    this.#reveal();
  }

  #close(refocus = true): void {
    this.#open = false;
    this.#early.length = 0;
    this.#host.requestUpdate();
    if (refocus) this.#find(`#${this.#id}-button`)?.focus();
  }

  #pick(choice: Choice, model: ChoiceButtonModel): void {
    if (choice.disabled) return;
    this.#close();
    model.pick(choice);
  }

  #activate(index: number): void {
    if (index === this.#active) return;
    this.#active = index;
    this.#host.requestUpdate();
  }

  readonly #onFocusOut = (event: FocusEvent): void => {
    const { currentTarget, relatedTarget } = event;
    if (currentTarget instanceof Node && currentTarget.contains(relatedTarget as Node | null))
      return;
    if (this.#open) this.#close(false);
  };

  #onButtonKey(event: KeyboardEvent, model: ChoiceButtonModel): void {
    if (this.#open) {
      this.#onKey(event, model); // the list does not have the focus yet
      return;
    }
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    event.preventDefault();
    void this.#show(model);
  }

  #onKey(event: KeyboardEvent, model: ChoiceButtonModel): void {
    if (!this.#handle(event.key, model)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Does what a key says; false when it says nothing here. */
  #handle(key: string, model: ChoiceButtonModel): boolean {
    const { choices } = model;
    const part = listPart.value;
    if (key === 'Escape') this.#close();
    else if (!part) {
      if (!EARLY.test(key)) return false;
      this.#early.push(key);
    } else {
      const to = part.moved(key, choices, this.#active) ?? part.typed(key, choices, this.#active);
      const choice = choices[this.#active];
      if (to !== undefined) {
        this.#activate(to);
        void this.#host.updateComplete.then(() => this.#reveal());
      } else if ((key === 'Enter' || key === ' ') && choice) this.#pick(choice, model);
      else return false;
    }
    return true;
  }

  #reveal(): void {
    this.#find(`#${this.#id}-${this.#active}`)?.scrollIntoView({ block: 'nearest' });
  }

  #find(selector: string): HTMLElement | null {
    return this.#host.renderRoot.querySelector<HTMLElement>(selector);
  }
}

/** Loads the list when it seems to be wanted; a failure shows when it is. */
export function prepare(): void {
  listPart.load().catch(() => undefined);
}
