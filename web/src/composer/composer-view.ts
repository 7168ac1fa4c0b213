/** How the composer looks: the field in its frame, and a row of buttons. */
import { html, nothing, type TemplateResult } from 'lit';
import { lazy } from '../chunks/lazy.js';
import type { ViewState } from '../state.js';
import type { View } from '../view/context.js';
import { icon } from '../view/icons.js';
import type { Composer } from './composer.js';
import { lengthOf } from './content.js';
import { dictationPart, searchPart, uploadsPart } from './parts.js';

/** A thread in which nothing can be written. */
export function isLocked({ thread }: ViewState): boolean {
  return thread?.status?.type === 'locked' || thread?.status?.type === 'closed';
}

export function closedBanner({ state, t }: View): TemplateResult {
  return html`<div class="closed" part="composer" role="status">${state.thread?.status?.reason || t('chat.closed')}</div>`;
}

export function composerView(composer: Composer, view: View, locked: boolean): TemplateResult {
  const { t, options } = view;
  const { draft, note, search } = composer;
  const controls = [
    attachButton(composer, view, locked),
    tools(composer, view, locked),
    mentionButton(composer, view, locked),
    models(composer, view, locked),
  ].filter((control) => control !== nothing);
  return html`<div class="composer" part="composer" ?data-tools=${controls.length > 0} ?data-locked=${locked}
    @click=${(event: Event) => {
      // Beside the field, inside its frame, is meant for the field.
      if (event.target === event.currentTarget && !locked) composer.focus();
    }}>
    ${quoted(composer, view, locked)}
    ${
      draft.uploads.length > 0
        ? lazy(uploadsPart, ({ uploadList }) =>
            uploadList({
              uploads: draft.uploads,
              locale: view.locale,
              t,
              disabled: locked,
              remove: (upload) => composer.removeUpload(upload),
            }),
          )
        : nothing
    }
    ${field(composer, view, locked)}
    ${controls.length > 0 ? html`<div class="composer-tools">${controls}</div>` : nothing}
    <div class="composer-end">${dictation(composer, view, locked)}${sendButton(composer, view, locked)}</div>
    ${note === null ? nothing : html`<p class="composer-note" role="alert">${note}</p>`}
    ${composer.waiting ? html`<p class="composer-note" role="status">${t('attach.waiting')}</p>` : nothing}
    ${search?.open ? lazy(searchPart, () => search.render(options, t)) : nothing}
  </div>`;
}

function field(composer: Composer, view: View, locked: boolean): TemplateResult {
  const { options, state, t, actions } = view;
  const { editor, search } = composer;
  const { element } = editor;
  const placeholder = locked
    ? state.thread?.status?.reason || t('chat.locked')
    : (composer.tool(options)?.placeholderOverride ??
      options.composer?.placeholder ??
      t('composer.placeholder'));
  element.ariaLabel = t('composer.label');
  element.ariaPlaceholder = placeholder;
  search?.describe(element);
  const empty = lengthOf(editor.content) === 0 && !editor.composing;
  const enter = (event: Event): void => {
    const found = editor.tagOf(event);
    if (found) actions.tagEntered(found.tag, found.element);
  };
  const click = (event: Event): void => {
    const found = editor.tagOf(event);
    if (found) actions.tagClicked(found.tag);
  };
  return html`<div class="field" @click=${click} @pointerover=${enter} @pointerout=${actions.tagLeft}>${element}${
    empty
      ? html`<span class="placeholder" aria-hidden="true" dir="auto">${placeholder}</span>`
      : nothing
  }</div>`;
}

function quoted(composer: Composer, { t }: View, locked: boolean): TemplateResult | typeof nothing {
  const { quote } = composer.draft;
  if (quote === null) return nothing;
  const name = t('composer.unquote');
  return html`<div class="quoting" part="quote">
    ${icon('quote')}<blockquote dir="auto">${quote}</blockquote>
    <button type="button" class="icon-button" aria-label=${name} title=${name} .disabled=${locked}
      @click=${() => composer.quote(null)}>${icon('close')}</button>
  </div>`;
}

function attachButton(
  composer: Composer,
  { t, options }: View,
  locked: boolean,
): TemplateResult | typeof nothing {
  const attachments = options.composer?.attachments;
  if (!attachments?.enabled) return nothing;
  const accept = attachments.accept
    ? Object.entries(attachments.accept).flat(2).join(',')
    : nothing;
  return html`<button type="button" class="icon-button" part="attach-button" aria-label=${t('composer.attach')}
      title=${t('composer.attach')} .disabled=${locked}
      @click=${() => composer.pickFiles()}>${icon('clip')}</button>
    <input class="files-input" type="file" multiple hidden accept=${accept} aria-label=${t('composer.attach')}
      @change=${(event: Event) => {
        const input = event.currentTarget as HTMLInputElement;
        composer.attach([...(input.files ?? [])]);
        input.value = ''; // the same file may be chosen again
        composer.focus();
      }} />`;
}

function tools(
  composer: Composer,
  { t, options }: View,
  locked: boolean,
): TemplateResult | typeof nothing {
  const all = options.composer?.tools ?? [];
  if (all.length === 0) return nothing;
  const chosen = composer.tool(options);
  const beside = all.filter((tool) => tool.pinned || tool === chosen);
  const choose = (id: string): void => {
    composer.chooseTool(id === chosen?.id ? null : id);
    composer.focus();
  };
  const menu = composer.toolButton.render({
    name: t('composer.tools'),
    part: 'tools-button',
    className: 'icon-button',
    content: icon('sliders'),
    list: t('composer.tools'),
    choices: all.map(({ id, label, icon: name }) => ({
      id,
      label,
      icon: name,
      selected: id === chosen?.id,
    })),
    disabled: locked,
    pick: ({ id }) => choose(id),
  });
  return html`${menu}${beside.map(
    (
      tool,
    ) => html`<button type="button" class="tool" part="tool-button" dir="auto" title=${tool.label}
      aria-label=${tool.label} aria-pressed=${tool === chosen} .disabled=${locked}
      @click=${() => choose(tool.id)}>${icon(tool.icon)}<span>${tool.shortLabel ?? tool.label}</span>${
        tool === chosen ? icon('close') : nothing
      }</button>`,
  )}`;
}

function mentionButton(
  composer: Composer,
  { t, options }: View,
  locked: boolean,
): TemplateResult | typeof nothing {
  const { onTagSearch, showComposerMenu } = options.entities ?? {};
  if (!onTagSearch || !showComposerMenu) return nothing;
  return html`<button type="button" class="icon-button" part="mention-button" aria-label=${t('composer.mention')}
    title=${t('composer.mention')} .disabled=${locked} @click=${() => composer.mention()}>${icon('at')}</button>`;
}

function models(
  composer: Composer,
  { t, options }: View,
  locked: boolean,
): TemplateResult | typeof nothing {
  const all = options.composer?.models ?? [];
  if (all.length === 0) return nothing;
  const chosen = composer.model(options);
  return composer.modelButton.render({
    name: t('composer.model', { name: chosen?.label ?? '–' }),
    part: 'model-button',
    className: 'model-button',
    content: html`<span dir="auto">${chosen?.label ?? '–'}</span>${icon('chevron')}`,
    list: t('composer.models'),
    choices: all.map(({ id, label, description, disabled }) => ({
      id,
      label,
      detail: description,
      disabled,
      selected: id === chosen?.id,
    })),
    disabled: locked,
    pick: ({ id }) => composer.chooseModel(id),
  });
}

function dictation(
  composer: Composer,
  { t, options }: View,
  locked: boolean,
): TemplateResult | typeof nothing {
  if (!options.composer?.dictation?.enabled) return nothing;
  const { dictation: current } = composer;
  const state = current?.state ?? 'idle';
  const recording = state === 'recording' || state === 'starting';
  const name = t(recording ? 'composer.dictate.stop' : 'composer.dictate');
  return html`${current && state !== 'idle' ? lazy(dictationPart, () => current.render(t)) : nothing}
    <button type="button" class="icon-button dictate" part="dictate-button" data-state=${state} aria-label=${name}
      title=${name} .disabled=${locked || state === 'transcribing'} aria-busy=${state === 'transcribing'}
      @click=${() => void composer.dictate().catch(() => undefined)}
      @keydown=${(event: KeyboardEvent) => {
        if (event.key === 'Escape' && current?.cancel()) event.stopPropagation();
      }}>${icon(recording ? 'check' : 'mic')}</button>`;
}

function sendButton(
  composer: Composer,
  view: View,
  locked: boolean,
): TemplateResult | typeof nothing {
  const { state, t, actions } = view;
  if (state.answering) {
    if (!state.allowCancel) return html`<span class="spinner" aria-hidden="true"></span>`;
    return html`<button type="button" class="send" part="stop-button" aria-label=${t('composer.stop')}
      title=${t('composer.stop')} @click=${actions.stop}>${icon('stop')}</button>`;
  }
  return html`<button type="button" class="send" part="send-button" aria-label=${t('composer.send')}
    title=${t('composer.send')} aria-busy=${composer.waiting} .disabled=${locked || !composer.canSend(view)}
    @click=${() => composer.submit()}>${composer.waiting ? html`<span class="spinner"></span>` : icon('arrowUp')}</button>`;
}
