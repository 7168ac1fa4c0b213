/**
 * Markers in a text that lead to a source. The sanitiser lets through numbers only; links, names and
 * what a click does are put there afterwards, by the document's own functions.
 */
import type { NumberedSource } from '../sources.js';

/** Makes the numbered markers of a rendered text what they stand for. */
export function connectCitations(text: ParentNode, sources: readonly NumberedSource[]): void {
  for (const mark of text.querySelectorAll('sup.cite')) {
    const source = sources[Number(mark.textContent) - 1];
    if (source) mark.replaceWith(marker(source));
  }
}

function marker(cited: NumberedSource): HTMLElement {
  const { number, href, title, source } = cited;
  const entity = source.type === 'entity';
  const mark = document.createElement(href ? 'a' : 'button');
  mark.className = entity ? 'cite entity' : 'cite';
  mark.textContent = entity ? source.inline_label || title : String(number);
  mark.setAttribute('aria-label', entity ? mark.textContent : `${number}. ${title}`);
  mark.dataset.source = String(number);
  if (mark instanceof HTMLAnchorElement && href) {
    mark.href = href;
    mark.target = '_blank';
    mark.rel = 'noopener noreferrer';
  } else if (mark instanceof HTMLButtonElement) mark.type = 'button';
  return mark;
}
