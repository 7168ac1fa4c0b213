/** Files that are dragged over the element: all of it takes them. */
import { html, nothing, type TemplateResult } from 'lit';
import type { Translate } from '../locales.js';
import { icon } from '../view/icons.js';
import type { Composer } from './composer.js';

export class Drop {
  readonly #composer: Composer;
  readonly #changed: () => void;
  /** Elements entered and not left: moving between children says both. */
  #depth = 0;

  constructor(composer: Composer, changed: () => void) {
    this.#composer = composer;
    this.#changed = changed;
  }

  render(t: Translate): TemplateResult | typeof nothing {
    if (this.#depth === 0) return nothing;
    return html`<div class="drop" part="drop" role="status">${icon('clip')}<span>${t('attach.drop')}</span></div>`;
  }

  readonly onEnter = (event: DragEvent): void => {
    if (!this.#takes(event)) return;
    event.preventDefault();
    this.#set(this.#depth + 1);
  };

  readonly onOver = (event: DragEvent): void => {
    if (!this.#takes(event)) return;
    event.preventDefault();
    if (event.dataTransfer) event.dataTransfer.dropEffect = 'copy';
  };

  readonly onLeave = (event: DragEvent): void => {
    if (this.#takes(event)) this.#set(Math.max(0, this.#depth - 1));
  };

  readonly onDrop = (event: DragEvent): void => {
    if (!this.#takes(event)) return;
    event.preventDefault();
    this.#set(0);
    this.#composer.attach([...(event.dataTransfer?.files ?? [])]);
    this.#composer.focus();
  };

  #takes({ dataTransfer }: DragEvent): boolean {
    return dataTransfer?.types.includes('Files') === true && this.#composer.takesFiles;
  }

  #set(depth: number): void {
    const before = this.#depth;
    this.#depth = depth;
    if ((before === 0) !== (depth === 0)) this.#changed();
  }
}
