/** Compiled by `tsc`, never run: the element is what the official types say it is. */
import type { OpenAIChatKit } from '@openai/chatkit';
import type { ChatKeepElement } from '../src/element.js';

declare const element: ChatKeepElement;

export const official: OpenAIChatKit = element;

export const inDocument: OpenAIChatKit | null = document.querySelector('openai-chatkit');

element.addEventListener('chatkit.error', (event) => {
  const error: Error = event.detail.error;
  return error;
});

element.addEventListener('chatkit.thread.change', (event) => {
  const threadId: string | null = event.detail.threadId;
  return threadId;
});
