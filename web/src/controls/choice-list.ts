/** A listbox that pops up above its frame, for buttons and for searches in a field. */
import { html, nothing, type TemplateResult } from 'lit';
import { icon } from '../view/icons.js';
import css from './choice-list.css';
import type { Choice, Room } from './choices.js';
import { styled } from './styled.js';

export const styles = css;

/** Below its frame's edge, and the shadow. */
const MARGIN = 12;

export interface ListModel {
  /** Also the beginning of the ids of its options. */
  id: string;
  label: string;
  choices: readonly Choice[];
  active: number;
  room: Room;
  pick(choice: Choice): void;
  activate(index: number): void;
  /** The list has the focus itself; a field that searches keeps it. */
  onKey?: (event: KeyboardEvent) => void;
  /** Shown below the options, or instead of them. */
  foot?: unknown;
}

export function choiceList(model: ListModel): TemplateResult {
  const { id, label, choices, active, room, onKey, foot } = model;
  const place = { '--at': `${room.at}px`, 'max-height': `${Math.max(96, room.height - MARGIN)}px` };
  return html`<div class="popup" part="popup" ${styled(place)}
    @pointerdown=${(event: Event) => onKey || event.preventDefault()}>
    ${
      choices.length === 0
        ? nothing
        : html`<div id=${id} class="options" role="listbox" tabindex=${onKey ? -1 : nothing} aria-label=${label}
            aria-activedescendant=${onKey && choices[active] ? `${id}-${active}` : nothing} @keydown=${onKey ?? nothing}>
            ${grouped(choices).map(({ name, members }, index) =>
              name === undefined
                ? members.map((at) => option(model, at))
                : html`<div role="group" aria-labelledby="${id}-group-${index}">
                    <div class="group-name" id="${id}-group-${index}" role="presentation">${name}</div>
                    ${members.map((at) => option(model, at))}
                  </div>`,
            )}
          </div>`
    }
    ${foot ?? nothing}
  </div>`;
}

function option(model: ListModel, index: number): TemplateResult {
  const choice = model.choices[index] as Choice;
  const { label, detail, icon: name, disabled = false, selected } = choice;
  return html`<div id="${model.id}-${index}" class="option" role="option"
    aria-selected=${selected ?? index === model.active} aria-disabled=${disabled}
    ?data-active=${index === model.active}
    @click=${() => disabled || model.pick(choice)} @pointermove=${() => model.activate(index)}>
    ${name ? icon(name) : nothing}
    <span class="option-text">
      <span class="option-label"><bdi>${label}</bdi></span>
      ${detail ? html`<span class="option-detail"><bdi>${detail}</bdi></span>` : nothing}
    </span>
    ${selected ? html`<span class="chosen">${icon('check')}</span>` : nothing}
  </div>`;
}

/** Indexes of the choices by their groups, in the order in which the groups come up. */
function grouped(choices: readonly Choice[]): { name: string | undefined; members: number[] }[] {
  const groups: { name: string | undefined; members: number[] }[] = [];
  choices.forEach(({ group }, index) => {
    const last = groups.at(-1);
    if (last && last.name === group) last.members.push(index);
    else groups.push({ name: group, members: [index] });
  });
  return groups;
}

/** The index that a key moves to, `undefined` for a key that moves to none. */
export function moved(key: string, choices: readonly Choice[], active: number): number | undefined {
  const last = choices.length - 1;
  if (last < 0) return undefined;
  switch (key) {
    case 'ArrowDown':
      return active >= last ? 0 : active + 1;
    case 'ArrowUp':
      return active <= 0 ? last : active - 1;
    case 'Home':
      return 0;
    case 'End':
      return last;
    default:
      return undefined;
  }
}

/** The next choice whose label begins with a typed letter. */
export function typed(key: string, choices: readonly Choice[], active: number): number | undefined {
  if (key.length !== 1 || key === ' ') return undefined;
  const letter = key.toLowerCase();
  const order = choices.map((_, index) => (active + 1 + index) % choices.length);
  return order.find((index) => choices[index]?.label.toLowerCase().startsWith(letter));
}
