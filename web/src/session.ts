/**
 * One configured chat: the wiring of client, conversation, history and view. It lives from the first
 * `setOptions` (with the element in a document) until the server's address changes.
 */
import type { LitElement } from 'lit';
import { type ChatModel, ChatView, WIDE } from './chat-view.js';
import { ChatKitClient } from './client.js';
import { complete } from './composer/content.js';
import { Conversation } from './conversation.js';
import { report } from './conversation-host.js';
import { asError, ChatKitError } from './errors.js';
import { ThreadHistory } from './history.js';
import { translator } from './locales.js';
import type { ChatKitOptions } from './options.js';
import type {
  Attachment,
  InferenceOptions,
  JsonObject,
  UserContent,
  UserMessageInput,
} from './protocol.js';
import { hostSettled } from './ready.js';
import { markdownPart } from './view/markdown-view.js';

interface SessionEvents {
  'chatkit.ready': undefined;
  'chatkit.deeplink': { name: string; data: Record<string, string> };
  'chatkit.history.open': undefined;
  'chatkit.history.close': undefined;
  'chatkit.tool.change': { toolId: string | null };
  'chatkeep.title': { threadId: string | null; title: string | null };
}

export class ChatSession {
  readonly url: string;
  readonly conversation: Conversation;
  readonly history: ThreadHistory;
  readonly view: ChatView;
  /** Resolves when the host has had the time to listen. */
  readonly ready: Promise<void>;
  readonly #element: LitElement;
  #options: ChatKitOptions;
  #title: string | null = null;
  #shared: object | null = null;
  #closed = false;

  constructor(element: LitElement, options: ChatKitOptions) {
    this.#element = element;
    this.#options = options;
    this.url = options.api.url;
    const client = new ChatKitClient(this.url, () => ({
      fetch: this.#options.api.fetch,
      locale: this.#locale,
      resumable: this.#options.api.resumable,
    }));
    this.conversation = new Conversation(client, {
      emit: (type, detail) => this.#dispatch(type, detail),
      runTool: (call) => this.#runTool(call),
      restore: (message) => this.view.composer.restore(message),
    });
    this.history = new ThreadHistory(client);
    this.view = new ChatView(element, client, this.#host, this.#model());
    const threadId = options.initialThread ?? null;
    this.conversation.store.dispatch({ type: 'opened', threadId });
    this.conversation.store.subscribe(() => this.#changed());
    this.history.store.subscribe(() => element.requestUpdate());
    this.ready = this.#start(threadId);
  }

  set options(options: ChatKitOptions) {
    this.#options = options;
    this.view.model = this.#model();
  }

  get streaming(): boolean {
    return this.conversation.store.value.answering;
  }

  /** Shows another thread; the draft of the one that is left is kept. */
  async open(threadId: string | null): Promise<void> {
    const { threadId: from, thread, missing, loading } = this.conversation.store.value;
    if (threadId === from && threadId !== null && !missing && (thread !== null || loading)) return;
    if (threadId !== from) this.view.composer.switchThread(from, threadId);
    this.view.toEnd();
    await this.conversation.open(threadId);
  }

  async send(input: UserMessageInput, attachments?: readonly Attachment[]): Promise<void> {
    this.view.toEnd();
    await this.conversation.send(input, attachments);
  }

  async refresh(): Promise<void> {
    await this.conversation.refresh();
    if (this.history.store.value.loaded) await this.history.load();
  }

  /** The model and the tool chosen in the composer. */
  inference(): InferenceOptions {
    return this.view.composer.inference(this.#options);
  }

  close(): void {
    this.#closed = true;
    this.conversation.close();
    this.view.disconnect();
  }

  /** The element is back in a document: what it showed may have changed meanwhile. */
  resume(): void {
    this.#closed = false;
    const { threadId } = this.conversation.store.value;
    if (threadId !== null) void this.ready.then(() => this.conversation.open(threadId));
  }

  async #start(threadId: string | null): Promise<void> {
    await hostSettled();
    if (this.#closed) return;
    this.#emit('chatkit.ready', undefined);
    // The first answer needs it; if it cannot be had now, it is asked for again then.
    markdownPart.load().catch(() => undefined);
    if (threadId !== null) void this.conversation.open(threadId);
  }

  readonly #host = {
    open: (threadId: string | null): void => {
      void this.open(threadId);
      if (this.#element.clientWidth < WIDE) this.view.showHistory(false);
      if (threadId === null) {
        void this.#element.updateComplete.then(() => this.view.composer.focus());
      }
    },
    send: (content: UserContent[]): void => {
      const input: UserMessageInput = {
        content: complete(content),
        attachments: [],
        quoted_text: null,
        inference_options: this.inference(),
      };
      this.#host.sendInput(input);
      this.view.composer.spendTool();
    },
    sendInput: (input: UserMessageInput, attachments?: readonly Attachment[]): void => {
      // What fails is on the screen by then, and its text is back in the composer.
      this.send(input, attachments).catch(() => undefined);
    },
    toolChanged: (toolId: string | null): void => this.#emit('chatkit.tool.change', { toolId }),
    report: (error: unknown): void => this.#dispatch('chatkit.error', { error: asError(error) }),
    deepLink: (name: string, data: Record<string, string>): void =>
      this.#emit('chatkit.deeplink', { name, data }),
    historyToggled: (open: boolean): void =>
      this.#emit(open ? 'chatkit.history.open' : 'chatkit.history.close', undefined),
    failed: (error: unknown): void =>
      report({ emit: (type, detail) => this.#dispatch(type, detail) }, error),
  };

  #changed(): void {
    const { thread, threadId } = this.conversation.store.value;
    const title = thread?.title ?? null;
    if (thread) this.#syncHistory(thread);
    if (title !== this.#title) {
      this.#title = title;
      this.#emit('chatkeep.title', { threadId, title });
    }
    this.#element.requestUpdate();
  }

  /** A thread that was created or renamed by the server shows up in the open list at once. */
  #syncHistory(thread: Parameters<ThreadHistory['upsert']>[0]): void {
    if (thread === this.#shared) return;
    this.#shared = thread;
    this.history.upsert(thread);
  }

  get #locale(): string {
    return this.#options.locale ?? navigator.language;
  }

  #model(): ChatModel {
    return {
      conversation: this.conversation,
      history: this.history,
      options: this.#options,
      locale: this.#locale,
      t: translator(this.#locale),
    };
  }

  async #runTool(call: { name: string; params: JsonObject }): Promise<unknown> {
    const { onClientTool } = this.#options;
    if (!onClientTool) throw new ChatKitError(`There is no client tool "${call.name}".`);
    return onClientTool(call);
  }

  #emit<K extends keyof SessionEvents>(type: K, detail: SessionEvents[K]): void {
    this.#dispatch(type, detail);
  }

  #dispatch(type: string, detail: unknown): void {
    this.#element.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
