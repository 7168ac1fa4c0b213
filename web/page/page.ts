/**
 * The full-screen page: reads the configuration the server wrote into it, sets up the element, and
 * keeps the open thread in the address, so that reload, back and forward do what they should.
 */
import type { OpenAIChatKit } from '@openai/chatkit';
import type { ChatKitOptions } from '../src/options.js';

interface PageConfig {
  models: NonNullable<NonNullable<ChatKitOptions['composer']>['models']>;
  greeting: string;
  prompts: NonNullable<NonNullable<ChatKitOptions['startScreen']>['prompts']>;
  disclaimer: string | null;
  placeholder: string;
  attachments: NonNullable<ChatKitOptions['composer']>['attachments'] | null;
  dictation: boolean;
}

function readConfig(): Partial<PageConfig> {
  const text = document.getElementById('chatkeep-config')?.textContent;
  return text ? (JSON.parse(text) as Partial<PageConfig>) : {};
}

function threadInAddress(): string | null {
  const fragment = location.hash.slice(1);
  try {
    return decodeURIComponent(fragment) || null;
  } catch {
    return fragment; // not of our making: a conversation that does not exist
  }
}

function optionsFrom(config: Partial<PageConfig>): ChatKitOptions {
  const { greeting, prompts, placeholder, models, disclaimer, attachments, dictation } = config;
  return {
    api: {
      url: './chatkit',
      domainKey: 'self-hosted',
      uploadStrategy: { type: 'two_phase' },
      resumable: true,
    },
    initialThread: threadInAddress(),
    history: { enabled: true, showDelete: true, showRename: true },
    startScreen: { ...(greeting ? { greeting } : {}), prompts: prompts ?? [] },
    composer: {
      ...(placeholder ? { placeholder } : {}),
      ...(attachments ? { attachments } : {}),
      models: models ?? [],
      dictation: { enabled: dictation === true },
    },
    threadItemActions: { retry: true, feedback: true },
    ...(disclaimer ? { disclaimer: { text: disclaimer } } : {}),
  };
}

function showTitle(title: string | null): void {
  document.title = title ? `${title} – Chat` : 'Chat';
}

function followAddress(element: OpenAIChatKit): void {
  element.addEventListener('chatkit.thread.change', ({ detail: { threadId } }) => {
    if (threadId === threadInAddress()) return;
    // Without a thread the address ends before the "#", which only the history API can write.
    history.pushState(
      null,
      '',
      threadId === null ? location.pathname + location.search : `#${threadId}`,
    );
  });
  addEventListener('popstate', () => void element.setThreadId(threadInAddress()));
  element.addEventListener('chatkeep.title', (event: Event) => {
    if (event instanceof CustomEvent) showTitle((event.detail as { title: string | null }).title);
  });
}

async function start(): Promise<void> {
  await customElements.whenDefined('openai-chatkit');
  const element = document.querySelector('openai-chatkit') as OpenAIChatKit;
  followAddress(element);
  element.addEventListener('chatkit.ready', () => void element.focusComposer(), { once: true });
  element.setOptions(optionsFrom(readConfig()));
}

void start();
