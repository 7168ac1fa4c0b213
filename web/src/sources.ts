/** The sources of an answer, each once, numbered in the order in which they are first named. */
import type { AssistantMessageItem, OutputText, Source } from './protocol.js';

export interface NumberedSource {
  number: number;
  title: string;
  /** Where it can be read; only for web addresses. */
  href: string | null;
  detail: string;
  /** The first of the annotations that name it. */
  source: Source;
}

/** Private-use characters around a source's number; the Markdown renderer makes a marker of them. */
export const CITE_OPEN = '\ue200';
export const CITE_CLOSE = '\ue201';

function keyOf(source: Source): string {
  if (source.type === 'entity' && source.id) return `entity ${source.id}`;
  return source.url ?? source.filename ?? source.title ?? '';
}

export function numberSources(item: AssistantMessageItem): NumberedSource[] {
  const found = new Map<string, NumberedSource>();
  for (const { source } of item.content.flatMap((part) => part.annotations)) {
    const key = source ? keyOf(source) : '';
    if (key === '' || found.has(key)) continue;
    const href = source.url && /^https?:\/\//i.test(source.url) ? source.url : null;
    found.set(key, {
      number: found.size + 1,
      title: source.title || source.filename || source.url || '',
      href,
      detail: href
        ? (source.attribution ?? hostOf(href))
        : (source.filename ?? source.label ?? source.description ?? ''),
      source,
    });
  }
  return [...found.values()];
}

function hostOf(href: string): string {
  return URL.canParse(href) ? new URL(href).hostname : href;
}

/** The part's text with a numbered marker at every place an annotation points to. */
export function citedText(part: OutputText, item: AssistantMessageItem): string {
  const places = part.annotations.filter(
    (annotation) => typeof annotation.index === 'number' && annotation.source,
  );
  if (places.length === 0) return part.text;
  const numbers = new Map<string, number>();
  for (const { source } of item.content.flatMap((other) => other.annotations)) {
    const key = source ? keyOf(source) : '';
    if (key !== '' && !numbers.has(key)) numbers.set(key, numbers.size + 1);
  }
  // Servers count characters, JavaScript counts UTF-16 units; they differ on emoji and the like.
  const characters = Array.from(part.text);
  const marks = places
    .map(({ index, source }) => ({ index: index ?? 0, number: numbers.get(keyOf(source)) }))
    .filter(({ index, number }) => number !== undefined && index >= 0 && index <= characters.length)
    .sort((a, b) => a.index - b.index);
  let text = '';
  let from = 0;
  for (const { index, number } of marks) {
    text += `${characters.slice(from, index).join('')}${CITE_OPEN}${number}${CITE_CLOSE}`;
    from = index;
  }
  return text + characters.slice(from).join('');
}
