/** What stands there before the first message, and instead of a thread that does not exist. */
import { html, nothing, type TemplateResult } from 'lit';
import type { UserContent } from '../protocol.js';
import type { View } from './context.js';
import { icon } from './icons.js';

export function startScreen({ options, t, actions }: View): TemplateResult {
  const { greeting = t('start.greeting'), prompts = [] } = options.startScreen ?? {};
  return html`<section class="start" part="start-screen">
    <h2 class="greeting" part="greeting" dir="auto">${greeting}</h2>
    ${
      prompts.length === 0
        ? nothing
        : html`<ul class="prompts">
            ${prompts.map(
              ({ label, prompt, icon: name }) => html`<li>
                <button type="button" class="prompt" part="prompt" dir="auto"
                  @click=${() => actions.send(asContent(prompt))}>
                  ${icon(name ?? 'spark')}<span>${label}</span>
                </button>
              </li>`,
            )}
          </ul>`
    }
  </section>`;
}

export function asContent(prompt: string | UserContent[]): UserContent[] {
  return typeof prompt === 'string' ? [{ type: 'input_text', text: prompt }] : prompt;
}

export function missingScreen({ t, actions }: View): TemplateResult {
  return html`<section class="start missing" part="missing" role="status">
    ${icon('question')}
    <h2 class="greeting">${t('chat.missing.title')}</h2>
    <p>${t('chat.missing.text')}</p>
    <button type="button" class="primary-button" @click=${() => actions.open(null)}>${t('chat.new')}</button>
  </section>`;
}
