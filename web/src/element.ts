import type { ChatKitEvents, EventHandler, OpenAIChatKit } from '@openai/chatkit';
import { LitElement, type TemplateResult, unsafeCSS } from 'lit';
import { complete } from './composer/content.js';
import { ChatKitError } from './errors.js';
import { type ChatKitOptions, parseOptions } from './options.js';
import type { UserMessageInput } from './protocol.js';
import { nextFrame } from './ready.js';
import { ChatSession } from './session.js';
import { loadFonts, themeProperties } from './theme.js';
import { asContent } from './view/start-screen.js';
import composerCss from './view/styles/composer.css';
import historyCss from './view/styles/history.css';
import layoutCss from './view/styles/layout.css';
import messagesCss from './view/styles/messages.css';
import tokensCss from './view/styles/tokens.css';

type Params<K extends keyof OpenAIChatKit> = OpenAIChatKit[K] extends (...args: infer P) => unknown
  ? P
  : never;

/**
 * The chat element: the API of `openai-chatkit`, without a frame and without a third party.
 *
 * It registers nothing by itself; `define.ts` does. Options are set with `setOptions`, which checks
 * them and replaces all earlier ones. Its shadow root is open.
 *
 * Custom properties (all optional, set on the element):
 * - `--chatkeep-background`, `--chatkeep-text`: the surface and the ink on it
 * - `--chatkeep-accent`, `--chatkeep-on-accent`: buttons, links, focus rings
 * - `--chatkeep-hue`, `--chatkeep-saturation`, `--chatkeep-shade`: from which the greys are made
 * - `--chatkeep-font`, `--chatkeep-font-mono`, `--chatkeep-font-size`
 * - `--chatkeep-unit`: the base of all distances (4px)
 * - `--chatkeep-radius-small`, `--chatkeep-radius`, `--chatkeep-radius-large`
 * - `--chatkeep-column`: the width of the text column (44rem)
 *
 * Parts: `root`, `header`, `title`, `messages`, `user-message`, `bubble`, `assistant-message`,
 * `message-actions`, `workflow`, `sources`, `source-card`, `generated-image`, `questions`, `answers`, `progress`, `notice`, `alert`, `start-screen`, `greeting`,
 * `prompt`, `missing`, `composer`, `input`, `tag`, `quote`, `attachments`, `attachment`,
 * `attach-button`, `tools-button`, `tool-button`, `mention-button`, `model-button`, `dictate-button`,
 * `widget-item`, `widget`, `send-button`, `stop-button`, `popup`, `preview`, `quote-button`, `drop`, `files`, `jump`,
 * `disclaimer`, `history`.
 *
 * Besides the documented `chatkit.*` events it dispatches `chatkeep.title` with
 * `{threadId, title}` when the title of the open thread is known or changes.
 */
export class ChatKeepElement extends LitElement {
  static override styles = [tokensCss, layoutCss, messagesCss, composerCss, historyCss].map(
    unsafeCSS,
  );

  #options: ChatKitOptions | null = null;
  #session: ChatSession | null = null;
  /** Whether an answer is on the screen as being written; the first render of one is not delayed. */
  #showsStreaming = false;
  readonly #theme = new CSSStyleSheet();

  override connectedCallback(): void {
    super.connectedCallback();
    if (this.#session) this.#session.resume();
    else this.#begin();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#session?.close();
  }

  /** Applies a full set of options; throws a `TypeError` that names the first wrong one. */
  setOptions(options: Params<'setOptions'>[0] | ChatKitOptions): void {
    const before = this.#options;
    const parsed = parseOptions(options);
    this.#options = parsed;
    if (parsed.theme !== before?.theme) loadFonts(parsed.theme);
    this.#applyTheme(parsed.theme);
    if (this.#session && this.#session.url !== parsed.api.url) {
      this.#session.close();
      this.#session = null;
    }
    if (this.#session) this.#session.options = parsed;
    else this.#begin();
    this.requestUpdate();
  }

  async focusComposer(): Promise<void> {
    const { view } = await this.#ready();
    await this.updateComplete;
    view.composer.focus();
  }

  async setThreadId(threadId: string | null): Promise<void> {
    await (await this.#ready()).open(threadId);
  }

  async sendUserMessage(params: Params<'sendUserMessage'>[0]): Promise<void> {
    const session = await this.#ready();
    const { text, content, attachments = [], reply, newThread, toolChoice, model } = params;
    if (newThread) await session.open(null);
    const input: UserMessageInput = {
      content: complete(content ?? asContent(text ?? '')),
      attachments: attachments.map(({ id }) => id),
      quoted_text: reply ?? null,
      inference_options: {
        ...session.inference(),
        ...(model ? { model } : {}),
        ...(toolChoice ? { tool_choice: toolChoice } : {}),
      },
    };
    await session.send(input, attachments);
  }

  async setComposerValue(params: Params<'setComposerValue'>[0]): Promise<void> {
    const { composer } = (await this.#ready()).view;
    const { text, content, reply, attachments, files } = params;
    composer.setValue({
      content: content ?? (text === undefined ? undefined : asContent(text)),
      quote: reply,
      attachments,
      files,
      toolId: params.selectedToolId,
      modelId: params.selectedModelId,
    });
  }

  async showHistory(): Promise<void> {
    (await this.#ready()).view.showHistory(true);
  }

  async hideHistory(): Promise<void> {
    (await this.#ready()).view.showHistory(false);
  }

  async fetchUpdates(): Promise<void> {
    await (await this.#ready()).refresh();
  }

  async sendCustomAction(action: Params<'sendCustomAction'>[0], itemId?: string): Promise<void> {
    const { conversation } = await this.#ready();
    await conversation.act({ type: action.type, payload: action.payload ?? {} }, itemId ?? null);
  }

  override addEventListener<K extends keyof ChatKitEvents>(
    type: K,
    listener: EventHandler<K>,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: unknown,
    options?: boolean | AddEventListenerOptions,
  ): void {
    super.addEventListener(type, listener as EventListener, options);
  }

  override removeEventListener<K extends keyof ChatKitEvents>(
    type: K,
    listener: EventHandler<K>,
    options?: boolean | EventListenerOptions,
  ): void;
  override removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
  override removeEventListener(
    type: string,
    listener: unknown,
    options?: boolean | EventListenerOptions,
  ): void {
    super.removeEventListener(type, listener as EventListener, options);
  }

  protected override createRenderRoot(): HTMLElement | DocumentFragment {
    const root = super.createRenderRoot();
    if (root instanceof ShadowRoot) root.adoptedStyleSheets.push(this.#theme);
    return root;
  }

  /** While an answer streams, updates wait for the next frame: one render per frame is enough. */
  protected override async scheduleUpdate(): Promise<void> {
    if (this.#showsStreaming && this.#session?.streaming) await nextFrame();
    super.scheduleUpdate();
  }

  protected override willUpdate(): void {
    this.#session?.view.willUpdate();
  }

  protected override render(): TemplateResult | null {
    return this.#session?.view.render() ?? null;
  }

  protected override updated(): void {
    this.#showsStreaming = this.#session?.streaming === true;
    this.#session?.view.updated();
  }

  #begin(): void {
    if (this.#session || !this.#options || !this.isConnected) return;
    this.#session = new ChatSession(this, this.#options);
    this.requestUpdate();
  }

  async #ready(): Promise<ChatSession> {
    if (!this.#session) {
      throw new ChatKitError(
        this.#options
          ? 'The element is not in a document.'
          : 'Call setOptions before any other method.',
      );
    }
    const session = this.#session;
    await session.ready;
    return session;
  }

  #applyTheme(theme: ChatKitOptions['theme']): void {
    this.#theme.replaceSync(':host {}');
    const [rule] = this.#theme.cssRules;
    if (!(rule instanceof CSSStyleRule)) return;
    for (const [name, value] of themeProperties(theme)) rule.style.setProperty(name, value);
  }
}
