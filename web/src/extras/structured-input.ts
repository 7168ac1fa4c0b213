/**
 * Questions of the server to the reader, in the place of the composer. The form keeps what was typed
 * in the document itself, so that a refused answer can be sent again as it is.
 */
import { html, nothing, type TemplateResult } from 'lit';
import { keyed } from 'lit/directives/keyed.js';
import type { StructuredInput, StructuredInputItem, StructuredSubmission } from '../protocol.js';
import type { View } from '../view/context.js';

/** The form for the questions of an item that waits. */
export function questions(item: StructuredInputItem, view: View): TemplateResult {
  const { t, state, actions } = view;
  const busy = state.answering || state.loading;
  const submit = (event: Event): void => {
    event.preventDefault();
    if (busy || !(event.currentTarget instanceof HTMLFormElement)) return;
    const input = answersOf(item, event.currentTarget);
    if (input) actions.answer(item.id, input);
    else event.currentTarget.querySelector('input')?.focus();
  };
  const skip = (): void => {
    const skipped = { values: [], skipped: true };
    const answers = Object.fromEntries(item.inputs.map(({ id }) => [id, skipped]));
    actions.answer(item.id, { status: 'skipped', answers });
  };
  return html`${keyed(
    item.id,
    html`<form class="questions" part="questions" aria-label=${t('questions.title')} aria-busy=${busy}
      @submit=${submit} @input=${chooseOwn}>
      <div class="questions-list">${item.inputs.map((input) => question(input, view, busy))}</div>
      <div class="questions-end">
        <button type="button" class="text-button" .disabled=${busy} @click=${skip}>${t('questions.skip')}</button>
        <button type="submit" class="filled-button" .disabled=${busy}>${t('questions.submit')}</button>
      </div>
    </form>`,
  )}`;
}

function question(input: StructuredInput, { t }: View, busy: boolean): TemplateResult {
  if (input.type !== 'multiple_choice') {
    const note = input.type === 'freeform' ? input.description : null;
    return html`<div class="question">
      <label for="answer-${input.id}">${input.question}</label>
      ${note ? html`<p id="note-${input.id}">${note}</p>` : nothing}
      <input id="answer-${input.id}" name=${input.id} dir="auto" autocomplete="off" .disabled=${busy}
        aria-describedby=${note ? `note-${input.id}` : nothing}>
    </div>`;
  }
  const kind = input.multiple ? 'checkbox' : 'radio';
  return html`<fieldset class="question" .disabled=${busy} role=${input.multiple ? 'group' : 'radiogroup'}>
    <legend>${input.question}</legend>
    ${input.options.map(
      ({ value }) =>
        html`<label class="option"><input type=${kind} name=${input.id} value=${value}><span>${value}</span></label>`,
    )}
    <div class="option own">
      <input type=${kind} name=${input.id} value="" aria-label=${t('questions.own')}>
      <input class="own-text" name="own ${input.id}" dir="auto" autocomplete="off" aria-label=${t('questions.own')}
        placeholder=${t('questions.own')}>
    </div>
  </fieldset>`;
}

/** Who writes an answer of their own has chosen it. */
function chooseOwn({ target }: Event): void {
  if (!(target instanceof HTMLInputElement) || !target.classList.contains('own-text')) return;
  const box = target.previousElementSibling;
  if (box instanceof HTMLInputElement) box.checked = target.value.trim() !== '';
}

/** What the form says; `null` when nothing is answered. */
function answersOf(item: StructuredInputItem, form: HTMLFormElement): StructuredSubmission | null {
  const data = new FormData(form);
  const answers = Object.fromEntries(
    item.inputs.map(({ id }) => {
      const own = String(data.get(`own ${id}`) ?? '').trim();
      // The box of one's own answer has no value; it stands for the text beside it.
      const values = data
        .getAll(id)
        .map((value) => String(value).trim() || own)
        .filter((value) => value !== '');
      return [id, { values, skipped: values.length === 0 }];
    }),
  );
  if (Object.values(answers).every(({ skipped }) => skipped)) return null;
  return { status: 'answered', answers };
}

/** Questions in the conversation, with what was answered. */
export function recorded(item: StructuredInputItem, { t }: View): TemplateResult {
  return html`<dl class="recorded" part="answers">
    ${item.inputs.map(({ question: asked, answer }) => {
      const values = answer?.values ?? [];
      return html`<div>
        <dt dir="auto">${asked}</dt>
        <dd dir="auto">${values.length > 0 ? values.join(', ') : item.status === 'pending' ? '…' : t('questions.skipped')}</dd>
      </div>`;
    })}
  </dl>`;
}
