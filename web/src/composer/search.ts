/**
 * The list that follows "@" and "/" in the text: entities and commands that the host finds, and what
 * the composer itself can do. The text keeps the focus; the list is moved in by its keys.
 */
import type { Command, CommandSelection, Entity } from '@openai/chatkit';
import type { LitElement, TemplateResult } from 'lit';
import { html, nothing } from 'lit';
import { choiceList, styles as listStyles, moved } from '../controls/choice-list.js';
import { type Choice, type Room, roomAbove } from '../controls/choices.js';
import type { Translate } from '../locales.js';
import type { ChatKitOptions } from '../options.js';
import { builtIn } from './built-in.js';
import type { Composer, ComposerServices } from './composer.js';
import { type Content, joined, type Tag, type Trigger, text } from './content.js';
import { previewPart } from './parts.js';

export const styles = listStyles;

/** Between the letters of somebody who types, hosts are not asked. */
const PAUSE = 150;
/** More than anybody looks through. */
const MAX_FOUND = 100;

interface Found extends Choice {
  choose(): void | Promise<void>;
  entity?: Entity;
}

export class Search {
  readonly #composer: Composer;
  readonly #host: LitElement;
  readonly #services: ComposerServices;
  #trigger: Trigger | null = null;
  /** The place of the sign after which nothing is to be offered any more. */
  #dismissed: number | null = null;
  #found: readonly Found[] = [];
  /** The commands of a menu that a command has opened. */
  #menu: readonly Command[] | null = null;
  #active = 0;
  #state: 'searching' | 'found' | 'failed' = 'searching';
  #room: Room = { at: 0, height: 0 };
  /** Which question is the newest: answers to others are late. */
  #asked = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(composer: Composer, host: LitElement, services: ComposerServices) {
    this.#composer = composer;
    this.#host = host;
    this.#services = services;
  }

  get open(): boolean {
    if (!this.#trigger) return false;
    // Nothing found for a "/" is a "/".
    return this.#found.length > 0 || this.#trigger.kind === '@' || this.#state === 'failed';
  }

  /** What is searched for now. */
  look(trigger: Trigger): void {
    const before = this.#trigger;
    if (this.#dismissed === trigger.from) return;
    this.#dismissed = null;
    if (before && before.from === trigger.from && before.query === trigger.query) return;
    const goesOn = before?.from === trigger.from && before.kind === trigger.kind;
    if (!goesOn) {
      this.#menu = null;
      this.#found = [];
      this.#measure();
    }
    this.#trigger = trigger;
    this.#active = 0;
    clearTimeout(this.#timer);
    if (goesOn && !this.#menu) this.#timer = setTimeout(() => void this.#ask(), PAUSE);
    else void this.#ask();
    this.#host.requestUpdate();
  }

  close(): void {
    this.#dismissed = null;
    this.#end();
  }

  #end(): void {
    clearTimeout(this.#timer);
    this.#asked += 1;
    if (!this.#trigger) return;
    this.#trigger = null;
    this.#menu = null;
    this.#found = [];
    this.#preview(null);
    this.#host.requestUpdate();
  }

  /** True when the key was meant for the list. */
  key(event: KeyboardEvent): boolean {
    if (!this.#trigger || !this.open) return false;
    const { key, shiftKey } = event;
    if (key === 'Escape') {
      const { from } = this.#trigger;
      this.#end();
      this.#dismissed = from;
      return true;
    }
    // These move in the text.
    const to = key === 'Home' || key === 'End' ? undefined : moved(key, this.#found, this.#active);
    if (to !== undefined) {
      this.#activate(to, true);
      return true;
    }
    if ((key !== 'Enter' && key !== 'Tab') || shiftKey) return false;
    const found = this.#found[this.#active];
    if (found) this.#pick(found);
    // What was about to be found is not to be sent as it stands.
    return found !== undefined || (key === 'Enter' && this.#state === 'searching');
  }

  /** Tells assistive technology, in the field, of the list. */
  describe(element: HTMLElement): void {
    const listed = this.open && this.#found.length > 0;
    for (const [name, value] of [
      ['aria-controls', 'search'],
      ['aria-activedescendant', `search-${this.#active}`],
      ['aria-autocomplete', 'list'],
    ] as const) {
      if (listed) element.setAttribute(name, value);
      else element.removeAttribute(name);
    }
  }

  render(_options: ChatKitOptions, t: Translate): TemplateResult {
    const status =
      this.#state === 'failed'
        ? t('search.failed')
        : this.#state === 'searching'
          ? t('search.searching')
          : t('search.nothing');
    return choiceList({
      id: 'search',
      label: t(this.#trigger?.kind === '/' ? 'search.commands' : 'search.entities'),
      choices: this.#found,
      active: this.#active,
      room: this.#room,
      pick: (choice) => this.#pick(choice as Found),
      activate: (index) => this.#activate(index, false),
      foot:
        this.#found.length > 0 && this.#state === 'found'
          ? nothing
          : html`<p class="popup-note" role="status">${status}</p>`,
    });
  }

  #measure(): void {
    const frame = this.#host.renderRoot.querySelector('.composer');
    const top = this.#host.renderRoot.querySelector('.root');
    if (frame && top) this.#room = roomAbove(frame, null, top);
  }

  #activate(index: number, scroll: boolean): void {
    if (index === this.#active) return;
    this.#active = index;
    this.#host.requestUpdate();
    void this.#shown(scroll);
  }

  async #shown(scroll: boolean): Promise<void> {
    await this.#host.updateComplete;
    const option = this.#host.renderRoot.querySelector(`#search-${this.#active}`);
    if (scroll) option?.scrollIntoView({ block: 'nearest' });
    this.#preview(option);
  }

  #preview(option: Element | null): void {
    const entity = this.#found[this.#active]?.entity;
    const { entities } = this.#services.view().options;
    if (!option || !entity || !entities?.onRequestPreview) {
      previewPart.value?.previews(this.#host).hide();
      return;
    }
    void previewPart
      .load()
      .then(({ previews }) => previews(this.#host).show(entity, option, entities.onRequestPreview))
      .catch(() => undefined);
  }

  async #ask(): Promise<void> {
    const trigger = this.#trigger;
    if (!trigger) return;
    this.#asked += 1;
    const asked = this.#asked;
    this.#state = 'searching';
    this.#host.requestUpdate();
    let found: readonly Found[] = [];
    let failure: unknown = null;
    try {
      found = trigger.kind === '@' ? await this.#entities(trigger) : await this.#commands(trigger);
    } catch (error) {
      failure = error;
    }
    if (asked !== this.#asked) return;
    this.#found = found.slice(0, MAX_FOUND);
    this.#state = failure === null ? 'found' : 'failed';
    this.#active = 0;
    if (failure !== null) this.#services.report(failure);
    this.#host.requestUpdate();
    await this.#shown(false);
  }

  async #entities({ query }: Trigger): Promise<Found[]> {
    const { entities } = this.#services.view().options;
    const found = (await entities?.onTagSearch?.(query)) ?? [];
    return found.map((entity) => ({
      id: entity.id,
      label: entity.title,
      icon: entity.icon,
      group: entity.group,
      entity,
      choose: () => this.#replace([tagFor(entity), ...text(' ')]),
    }));
  }

  async #commands({ query }: Trigger): Promise<Found[]> {
    const { commands } = this.#services.view().options;
    const fits = (label: string): boolean => label.toLowerCase().includes(query.toLowerCase());
    if (this.#menu) return this.#menu.filter(({ label }) => fits(label)).map(this.#command);
    const own = builtIn(this.#composer, this.#services.view()).filter(({ label }) => fits(label));
    const found = (await commands?.onSearch?.(query)) ?? [];
    return [
      ...found.map(this.#command),
      ...own.map(({ run, ...choice }) => ({
        ...choice,
        choose: () => {
          this.#replace([]);
          run();
        },
      })),
    ];
  }

  readonly #command = (command: Command): Found => ({
    id: command.id,
    label: command.label,
    detail: command.description,
    icon: command.icon,
    group: command.group,
    choose: () => this.#run(command),
  });

  async #run(command: Command): Promise<void> {
    const { commands } = this.#services.view().options;
    const trigger = this.#trigger;
    if (!trigger) return;
    this.#asked += 1;
    this.#state = 'searching';
    this.#found = [];
    this.#host.requestUpdate();
    const asked = this.#asked;
    const selection = (await commands?.onSelect?.(command)) as CommandSelection | undefined;
    // The writer went on writing: the command has been run, and that is all.
    if (asked !== this.#asked || this.#trigger !== trigger) return;
    if (selection?.type === 'menu') {
      this.#menu = selection.commands;
      this.#trigger = { ...trigger, to: trigger.from + 1, query: '' };
      this.#composer.editor.insert([], { start: trigger.from + 1, end: trigger.to });
      await this.#ask();
      return;
    }
    const entity = selection?.type === 'entity' ? selection.entity : null;
    this.#replace(entity ? [tagFor(entity), ...text(' ')] : []);
  }

  #pick(found: Found): void {
    if (found.disabled) return;
    Promise.resolve(found.choose()).catch((error: unknown) => {
      this.#state = 'failed';
      this.#services.report(error);
      this.#host.requestUpdate();
    });
  }

  /** Puts what was chosen in the place of the sign and the query. */
  #replace(content: Content): void {
    const trigger = this.#trigger;
    this.close();
    if (!trigger) return;
    this.#composer.editor.insert(joined(content), { start: trigger.from, end: trigger.to });
    this.#composer.focus();
  }
}

function tagFor(entity: Entity): Tag {
  const { id, title, group, data = {}, interactive = false } = entity;
  return {
    type: 'input_tag',
    id,
    text: title,
    data,
    interactive,
    ...(group === undefined ? {} : { group }),
  };
}
