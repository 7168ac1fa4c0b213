/**
 * The message that is being written: its text and tags, what goes with it, and what is open around
 * it. The drafts of other threads wait here, and their uploads go on meanwhile.
 */
import type { LitElement, TemplateResult } from 'lit';
import type { ChatKitClient } from '../client.js';
import { ChoiceButton } from '../controls/choice-button.js';
import type { ChatKitOptions } from '../options.js';
import type { Attachment, InferenceOptions, Unsent, UserMessageInput } from '../protocol.js';
import type { View } from '../view/context.js';
import { closedBanner, composerView, isLocked } from './composer-view.js';
import { type Content, complete, joined, slice, text, triggerAt, trimmed } from './content.js';
import type { Dictation } from './dictation.js';
import { type Draft, Drafts, EMPTY_DRAFT } from './drafts.js';
import { Editor } from './editor.js';
import { dictationPart, searchPart, uploadsPart } from './parts.js';
import type { Search } from './search.js';
import { type Upload, uploaded } from './upload.js';
import type { Uploads } from './uploads.js';

type Tool = NonNullable<NonNullable<ChatKitOptions['composer']>['tools']>[number];
type Model = NonNullable<NonNullable<ChatKitOptions['composer']>['models']>[number];

export interface ComposerServices {
  client: ChatKitClient;
  /** What is shown now. */
  view(): View;
  send(input: UserMessageInput, attachments: readonly Attachment[]): void;
  toolChanged(toolId: string | null): void;
  report(error: unknown): void;
}

export interface ComposerValue {
  content?: Content | undefined;
  quote?: string | null | undefined;
  attachments?: readonly Attachment[] | undefined;
  files?: readonly File[] | undefined;
  toolId?: string | null | undefined;
  modelId?: string | undefined;
}

export class Composer {
  readonly editor: Editor;
  readonly toolButton: ChoiceButton;
  readonly modelButton: ChoiceButton;
  /** The search for entities or commands, once there has been one. */
  search: Search | null = null;
  dictation: Dictation | null = null;
  /** Something that the writer has to know. */
  note: string | null = null;
  /** The message goes when its uploads are done. */
  waiting = false;
  readonly #host: LitElement;
  readonly #services: ComposerServices;
  readonly #drafts = new Drafts();
  readonly #sizes = new Map<string, number>();
  #draft: Draft = EMPTY_DRAFT;
  #uploads: Promise<Uploads> | null = null;
  /** The model chosen last, for threads in which none was. */
  #modelId: string | null = null;

  constructor(host: LitElement, services: ComposerServices) {
    this.#host = host;
    this.#services = services;
    this.toolButton = new ChoiceButton(host, 'tools');
    this.modelButton = new ChoiceButton(host, 'models');
    this.editor = new Editor({
      changed: () => this.#edited(),
      key: (event) => this.#key(event),
      submit: () => this.submit(),
      files: (files) => this.takesFiles && this.attach(files),
      blurred: () => this.search?.close(),
    });
  }

  get draft(): Draft {
    return { ...this.#draft, content: this.editor.content };
  }

  get takesFiles(): boolean {
    const { options, state } = this.#services.view();
    return options.composer?.attachments?.enabled === true && !isLocked(state) && !state.missing;
  }

  /** The size of a file that was sent from here. */
  sizeOf(attachmentId: string): number | null {
    return this.#sizes.get(attachmentId) ?? null;
  }

  tool({ composer }: ChatKitOptions): Tool | undefined {
    return composer?.tools?.find((tool) => tool.id === this.#draft.toolId);
  }

  /** The model to send with a message, or `undefined` when there is nothing to choose from. */
  model({ composer }: ChatKitOptions): Model | undefined {
    const usable = (composer?.models ?? []).filter((model) => !model.disabled);
    const byId = (id: string | null) => usable.find((model) => model.id === id);
    return (
      byId(this.#draft.modelId) ??
      byId(this.#modelId) ??
      usable.find((model) => model.default) ??
      usable[0]
    );
  }

  inference(options: ChatKitOptions): InferenceOptions {
    const model = this.model(options);
    const tool = this.tool(options);
    return {
      ...(model ? { model: model.id } : {}),
      ...(tool ? { tool_choice: { id: tool.id } } : {}),
    };
  }

  chooseModel(id: string): void {
    this.#modelId = id;
    this.#change({ modelId: id });
  }

  chooseTool(id: string | null): void {
    if (id === this.#draft.toolId) return;
    this.#change({ toolId: id });
    this.#services.toolChanged(id);
  }

  /** A message has gone with the chosen tool. */
  spendTool(): void {
    if (this.tool(this.#services.view().options)?.persistent !== true) this.chooseTool(null);
  }

  quote(words: string | null): void {
    this.#change({ quote: words });
    this.focus();
  }

  focus(): void {
    this.editor.focus();
  }

  /** Sets what is given and leaves the rest as it is. */
  setValue({ content, quote, attachments, files, toolId, modelId }: ComposerValue): void {
    if (content) this.editor.content = content;
    if (quote !== undefined) this.#change({ quote: quote || null });
    if (attachments) {
      for (const upload of this.#draft.uploads) upload.remove();
      this.#change({ uploads: attachments.map((attachment) => uploaded(attachment)) });
    }
    if (toolId !== undefined) this.chooseTool(toolId);
    if (modelId !== undefined) this.chooseModel(modelId);
    if (files) this.attach(files);
  }

  /** Puts back what could not be sent, before whatever has been written since. */
  restore({ content, attachments, quote }: Unsent): void {
    const { content: since } = this.draft;
    this.editor.content = since.length === 0 ? content : joined(content, text('\n'), since);
    const back = attachments.map((attachment) =>
      uploaded(attachment, () => this.#forget(attachment)),
    );
    const { uploads, quote: newer } = this.#draft;
    this.#change({ uploads: [...back, ...uploads], quote: newer ?? quote });
    this.focus();
  }

  /** Keeps the draft of the thread that is left and brings that of the one that is entered. */
  switchThread(from: string | null, to: string | null): void {
    this.#drafts.set(from, this.draft);
    const before = this.#draft.toolId;
    this.#draft = this.#drafts.get(to);
    this.waiting = false;
    this.note = null;
    this.dictation?.cancel();
    this.search?.close();
    this.editor.content = this.#draft.content;
    if (before !== this.#draft.toolId) this.#services.toolChanged(this.#draft.toolId);
  }

  /** The element has left its document. */
  disconnect(): void {
    this.editor.disconnect();
    this.dictation?.cancel();
    this.search?.close();
  }

  /** Takes files as far as the options allow it; what is refused is told. */
  attach(files: readonly File[]): boolean {
    if (files.length > 0) void this.#attach(files);
    return true;
  }

  /** Opens the system's dialog for files. */
  pickFiles(): void {
    this.#host.renderRoot.querySelector<HTMLInputElement>('.files-input')?.click();
  }

  removeUpload(upload: Upload): void {
    const { uploads } = this.#draft;
    upload.remove();
    this.note = null;
    this.#change({ uploads: uploads.filter((other) => other !== upload) });
    this.focus();
  }

  canSend({ state }: View): boolean {
    const filled = trimmed(this.editor.content).length > 0 || this.#draft.uploads.length > 0;
    return filled && !state.answering && !state.loading && !state.missing && !isLocked(state);
  }

  /** Sends the message, or does so when its files are there. */
  submit(): void {
    const view = this.#services.view();
    const { uploads } = this.#draft;
    this.waiting = false;
    this.note = null;
    if (!this.canSend(view) || (this.dictation && this.dictation.state !== 'idle')) return;
    if (uploads.some((upload) => upload.state === 'sending')) this.waiting = true;
    else if (uploads.some((upload) => upload.state === 'failed')) {
      this.note = view.t('attach.unfinished');
    } else this.#send(view);
    this.#host.requestUpdate();
  }

  /** Starts to record speech, or ends it. */
  async dictate(): Promise<void> {
    if (!this.dictation) {
      const { client, report } = this.#services;
      const { Dictation } = await dictationPart.load();
      this.dictation ??= new Dictation({
        transcribe: (audio, signal) => client.call('input.transcribe', audio, signal),
        heard: (words) => this.#write(words),
        // The words are in the host's locale when they are shown.
        failed: (key, error) => {
          this.note = this.#services.view().t(key);
          if (error) report(error);
          this.#host.requestUpdate();
        },
        changed: () => this.#host.requestUpdate(),
      });
    }
    this.note = null;
    await this.dictation.toggle();
  }

  /** Writes "@" at the caret, which opens the search for entities. */
  mention(): void {
    this.focus();
    this.#write('@');
  }

  render(view: View): TemplateResult {
    const { state } = view;
    if (state.thread?.status?.type === 'closed') return closedBanner(view);
    const locked = isLocked(state);
    if (this.editor.disabled !== locked) this.editor.disabled = locked;
    return composerView(this, view, locked);
  }

  #send({ options }: View): void {
    const { uploads, quote, modelId, toolId } = this.#draft;
    const content = complete(trimmed(this.editor.content));
    const attachments = uploads.flatMap((upload) => upload.attachment ?? []);
    for (const upload of uploads) {
      if (upload.attachment && upload.size !== null) {
        this.#sizes.set(upload.attachment.id, upload.size);
      }
      upload.release();
    }
    const input: UserMessageInput = {
      content,
      attachments: attachments.map(({ id }) => id),
      quoted_text: quote,
      inference_options: this.inference(options),
    };
    this.#draft = { ...EMPTY_DRAFT, modelId, toolId };
    this.note = null;
    this.#drafts.set(this.#services.view().state.threadId, EMPTY_DRAFT);
    this.editor.content = [];
    this.spendTool();
    this.#services.send(input, attachments);
    this.focus();
  }

  async #attach(files: readonly File[]): Promise<void> {
    try {
      const { sift, bytes } = await uploadsPart.load();
      const uploads = await this.#uploader();
      const { t, locale, options } = this.#services.view();
      const limits = options.composer?.attachments ?? { enabled: true };
      const { taken, refused } = sift(files, this.#draft.uploads.length, limits);
      const reasons = refused.map((one) => {
        if (one.why === 'kind') return t('attach.kind', { name: one.name });
        if (one.why === 'count') return t('attach.count', { count: one.most });
        return t('attach.size', { name: one.name, size: bytes(one.most, locale) });
      });
      this.note = reasons.length > 0 ? reasons.join('\n') : null;
      const added = taken.map((file) => uploads.add(file));
      this.#change({ uploads: [...this.#draft.uploads, ...added] });
    } catch (error) {
      this.note = this.#services.view().t('attach.failed');
      this.#services.report(error);
      this.#host.requestUpdate();
    }
  }

  #uploader(): Promise<Uploads> {
    const { client, view, report } = this.#services;
    this.#uploads ??= uploadsPart.load().then(
      ({ Uploads, reasonOf }) =>
        new Uploads({
          client,
          report,
          api: () => view().options.api,
          failure: (error) => reasonOf(error) ?? view().t('attach.failed'),
          changed: () => this.#uploadsChanged(),
        }),
    );
    return this.#uploads;
  }

  #uploadsChanged(): void {
    const { uploads } = this.#draft;
    if (this.waiting && !uploads.some((upload) => upload.state === 'sending')) this.submit();
    this.#host.requestUpdate();
  }

  #forget(attachment: Attachment): void {
    const { client, report } = this.#services;
    client.call('attachments.delete', { attachment_id: attachment.id }).catch(report);
  }

  /** Puts words at the caret, apart from what stands around them. */
  #write(words: string): void {
    const { editor } = this;
    const { start, end } = editor.place;
    const [before = '', after = ''] = [
      slice(editor.content, start - 1, start),
      slice(editor.content, end, end + 1),
    ].map(([part]) => part?.text);
    const lead = /\S$/.test(before) ? ' ' : '';
    editor.insert(text(`${lead}${words}${/^\w/.test(after) ? ' ' : ''}`));
    this.focus();
  }

  #edited(): void {
    this.note = null;
    this.#host.requestUpdate();
    void this.#searchFor();
  }

  async #searchFor(): Promise<void> {
    const { editor } = this;
    const { options } = this.#services.view();
    const { start, end } = editor.place;
    const found = start === end ? triggerAt(editor.content, end) : null;
    const wanted =
      found?.kind === '@' ? options.entities?.onTagSearch : found && options.commands?.enabled;
    if (!wanted || !found) {
      this.search?.close();
      return;
    }
    if (!this.search) {
      try {
        const { Search } = await searchPart.load();
        this.search ??= new Search(this, this.#host, this.#services);
      } catch {
        return; // the next letter asks for it again
      }
      return this.#searchFor();
    }
    this.search.look(found);
  }

  #key(event: KeyboardEvent): boolean {
    if (event.key === 'Escape' && this.dictation?.cancel()) return true;
    if (this.search?.key(event)) return true;
    if (event.key !== 'Escape' || !this.waiting) return false;
    this.waiting = false;
    this.#host.requestUpdate();
    return true;
  }

  #change(change: Partial<Draft>): void {
    this.#draft = { ...this.#draft, ...change };
    this.#host.requestUpdate();
  }
}
