/**
 * The field to write in: an editable element that shows its content as a value. What is typed is left
 * to the browser and read afterwards, so that input methods work; what it would do to tags, line
 * breaks and pasted markup is done here.
 */
import { rangeIn, select } from '../selection.js';
import { type Content, joined, lengthOf, slice, splice, type Tag, tagAt, text } from './content.js';
import { finish, locate, placeOf, read, tagOf, write } from './editor-dom.js';
import { Undo } from './undo.js';

export interface EditorHost {
  /** The content was changed, or the caret moved. */
  changed(): void;
  /** True when the key has been dealt with. */
  key(event: KeyboardEvent): boolean;
  submit(): void;
  /** True when the files are taken. */
  files(files: readonly File[]): boolean;
  blurred(): void;
}

interface Place {
  start: number;
  end: number;
}

const EMPTY: Content = [];

export class Editor {
  readonly element = document.createElement('div');
  readonly #host: EditorHost;
  readonly #undo = new Undo<Content>({ content: EMPTY, start: 0, end: 0 });
  #content: Content = EMPTY;
  #place: Place = { start: 0, end: 0 };
  #composing = false;
  #disabled = false;

  constructor(host: EditorHost) {
    this.#host = host;
    const { element } = this;
    element.className = 'input';
    element.part.add('input');
    element.role = 'textbox';
    element.ariaMultiLine = 'true';
    element.dir = 'auto';
    element.spellcheck = true;
    element.autocapitalize = 'sentences';
    element.setAttribute('enterkeyhint', 'send');
    this.disabled = false;
    element.addEventListener('beforeinput', this.#onBeforeInput);
    element.addEventListener('input', this.#onInput);
    element.addEventListener('keydown', this.#onKey);
    element.addEventListener('paste', this.#onPaste);
    element.addEventListener('copy', this.#onCopy);
    element.addEventListener('cut', this.#onCopy);
    element.addEventListener('compositionstart', () => {
      this.#composing = true;
    });
    element.addEventListener('compositionend', () => {
      this.#composing = false;
      this.#typed(null);
    });
    element.addEventListener('focus', () => {
      document.addEventListener('selectionchange', this.#onSelection);
    });
    element.addEventListener('blur', () => {
      this.disconnect();
      this.#host.blurred();
    });
  }

  get content(): Content {
    return this.#content;
  }

  /** The whole content anew, with the caret at its end; what could be undone is forgotten. */
  set content(content: Content) {
    this.#content = joined(content);
    write(this.element, this.#content);
    const end = lengthOf(this.#content);
    this.#undo.reset({ content: this.#content, start: end, end });
    this.#put(end, end);
    this.#host.changed();
  }

  get place(): Place {
    return this.#place;
  }

  get composing(): boolean {
    return this.#composing;
  }

  get disabled(): boolean {
    return this.#disabled;
  }

  set disabled(disabled: boolean) {
    this.#disabled = disabled;
    const { element } = this;
    element.setAttribute('contenteditable', disabled ? 'false' : 'plaintext-only');
    // Old browsers know no plain text: there the same events keep it plain.
    if (!disabled && element.contentEditable !== 'plaintext-only') element.contentEditable = 'true';
    element.ariaDisabled = disabled ? 'true' : null;
    if (disabled) element.tabIndex = 0;
    else element.removeAttribute('tabindex');
  }

  /** Elements that are taken out of a document are not always told that they lose the focus. */
  disconnect(): void {
    document.removeEventListener('selectionchange', this.#onSelection);
  }

  focus(): void {
    this.element.focus({ preventScroll: true });
    const { start, end } = this.#place;
    this.#put(start, end);
  }

  /** Puts something in the place of a part of the content, or of what is selected. */
  insert(insert: Content, at: Place = this.#place): void {
    const start = at.start + lengthOf(insert);
    this.#change(splice(this.#content, at.start, at.end, insert), start);
  }

  #change(content: Content, caret: number, kind: string | null = null): void {
    this.#content = content;
    write(this.element, content);
    this.#undo.record({ content, start: caret, end: caret }, kind);
    this.#put(caret, caret);
    this.#host.changed();
  }

  /** Where the caret is to be; it is put there when the field has it. */
  #put(start: number, end: number): void {
    this.#place = { start, end };
    const root = this.element.getRootNode() as ShadowRoot | Document;
    if (root.activeElement !== this.element) return;
    select(locate(this.element, start), locate(this.element, end));
    this.#scroll();
  }

  /** A caret set by code is not scrolled to by the browser. */
  #scroll(): void {
    const range = document.createRange();
    range.setStart(...locate(this.element, this.#place.end));
    const caret = range.getBoundingClientRect();
    const box = this.element.getBoundingClientRect();
    if (this.#place.end === lengthOf(this.#content)) {
      this.element.scrollTop = this.element.scrollHeight;
    } else if (caret.height > 0 && caret.bottom > box.bottom) {
      this.element.scrollTop += caret.bottom - box.bottom;
    } else if (caret.height > 0 && caret.top < box.top) {
      this.element.scrollTop -= box.top - caret.top;
    }
  }

  #look(): Place {
    const range = rangeIn(this.element);
    if (range) {
      const { startContainer, startOffset, endContainer, endOffset } = range;
      this.#place = {
        start: placeOf(this.element, startContainer, startOffset),
        end: placeOf(this.element, endContainer, endOffset),
      };
    }
    return this.#place;
  }

  #typed(kind: string | null): void {
    this.#content = read(this.element);
    if (!this.#composing) {
      if (lengthOf(this.#content) === 0) this.element.replaceChildren();
      else finish(this.element, this.#content);
    }
    const { start, end } = this.#look();
    if (!this.#composing) this.#undo.record({ content: this.#content, start, end }, kind);
    this.#host.changed();
  }

  readonly #onSelection = (): void => {
    const before = this.#place;
    const { start, end } = this.#look();
    if (before.start === start && before.end === end) return;
    if (!this.#composing) this.#undo.pause(start, end);
    this.#host.changed();
  };

  readonly #onInput = (event: Event): void => {
    const { inputType = '', data = null } = event as InputEvent;
    const word = inputType === 'insertText' && data !== null && !/\s/.test(data);
    this.#typed(word || inputType.startsWith('deleteContent') ? inputType : null);
  };

  readonly #onBeforeInput = (event: InputEvent): void => {
    const { inputType, data } = event;
    if (inputType === 'historyUndo' || inputType === 'historyRedo') {
      event.preventDefault();
      this.#travel(inputType === 'historyUndo');
      return;
    }
    if (this.#composing || inputType === 'insertCompositionText') return;
    const place = this.#look();
    const ranged = place.start !== place.end;
    if (/^format/.test(inputType)) event.preventDefault();
    else if (/^insert(Paragraph|LineBreak)$/.test(inputType)) this.#own(event, text('\n'));
    else if (/^insertFrom/.test(inputType)) this.#transferred(event);
    else if (inputType === 'insertText' && data && (ranged || data.includes('\n'))) {
      this.#own(event, text(data));
    } else if (inputType.startsWith('delete') && ranged) this.#own(event, EMPTY);
    else if (inputType === 'deleteContentBackward') this.#deleteTag(event, place.start - 1);
    else if (inputType === 'deleteContentForward') this.#deleteTag(event, place.start);
  };

  #own(event: Event, insert: Content): void {
    event.preventDefault();
    this.insert(insert);
  }

  #deleteTag(event: Event, from: number): void {
    if (!tagAt(this.#content, from)) return;
    event.preventDefault();
    this.insert(EMPTY, { start: from, end: from + 1 });
  }

  /** Dropped or pasted by a way that no other event tells of. */
  #transferred(event: InputEvent): void {
    event.preventDefault();
    const [range] = event.getTargetRanges();
    if (range && this.element.contains(range.startContainer)) {
      const start = placeOf(this.element, range.startContainer, range.startOffset);
      const end = placeOf(this.element, range.endContainer, range.endOffset);
      this.#place = { start, end };
    }
    this.insert(text(plain(event.dataTransfer?.getData('text/plain') ?? event.data ?? '')));
  }

  readonly #onPaste = (event: ClipboardEvent): void => {
    const { clipboardData } = event;
    if (!clipboardData || this.#disabled) return;
    event.preventDefault();
    const words = plain(clipboardData.getData('text/plain'));
    const files = [...clipboardData.files];
    // Programs that copy a picture of what is also text mean the text.
    if (files.length > 0 && words === '' && this.#host.files(files)) return;
    this.#look();
    if (words !== '') this.insert(text(words));
  };

  readonly #onCopy = (event: ClipboardEvent): void => {
    const { start, end } = this.#look();
    if (start === end || !event.clipboardData) return;
    event.preventDefault();
    const words = slice(this.#content, start, end).map((part) => part.text);
    event.clipboardData.setData('text/plain', words.join(''));
    if (event.type === 'cut' && !this.#disabled) this.insert(EMPTY);
  };

  readonly #onKey = (event: KeyboardEvent): void => {
    // Safari reports the key that ends a composition only by its code.
    if (event.isComposing || event.keyCode === 229 || this.#disabled) return;
    if (this.#host.key(event)) {
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    const command = (event.ctrlKey || event.metaKey) && !event.altKey;
    const key = event.key.toLowerCase();
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      this.#host.submit();
    } else if (command && (key === 'z' || (key === 'y' && event.ctrlKey))) {
      event.preventDefault();
      this.#travel(key === 'z' && !event.shiftKey);
    }
  };

  #travel(back: boolean): void {
    const step = back ? this.#undo.undo() : this.#undo.redo();
    if (!step) return;
    this.#content = step.content;
    write(this.element, step.content);
    this.#put(step.start, step.end);
    this.#host.changed();
  }

  /** The tag that an event happened on. */
  tagOf(event: Event): { tag: Tag; element: HTMLElement } | null {
    const element = event.composedPath().find((node) => tagOf(node as Node));
    const tag = tagOf((element ?? null) as Node | null);
    return tag && element instanceof HTMLElement ? { tag, element } : null;
  }
}

function plain(words: string): string {
  return words.replace(/\r\n?/g, '\n');
}
