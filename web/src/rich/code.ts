/** Colours for code: the languages that answers have most. Loaded when a block of code is shown. */
import hljs from 'highlight.js/lib/common';
import styles from './code.css';

export { styles };

/** A block that is longer is shown as it is: it would hold up the page. */
const MAX_LENGTH = 60_000;

/** Colours an element's text by its class; leaves it alone when the language is not known. */
export function colour(code: HTMLElement): void {
  const language = /(?:^| )language-([\w+#.-]+)/.exec(code.className)?.[1] ?? '';
  const text = code.textContent ?? '';
  if (!hljs.getLanguage(language) || text.length > MAX_LENGTH) return;
  const { value } = hljs.highlight(text, { language, ignoreIllegals: true });
  code.replaceChildren(spans(value));
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#x27': "'" };

/**
 * The nodes of what the highlighter writes: `<span class="…">`, `</span>` and text with entities. No
 * parser of HTML sees the text of an answer.
 */
function spans(html: string): DocumentFragment {
  const root = document.createDocumentFragment();
  const open: ParentNode[] = [root];
  for (const [, name, close, text = ''] of html.matchAll(
    /<span class="([^"]*)">|(<\/span>)|([^<]+)/g,
  )) {
    const parent = open.at(-1) ?? root;
    if (name !== undefined) {
      const span = document.createElement('span');
      span.className = name;
      parent.append(span);
      open.push(span);
    } else if (close) open.pop();
    else
      parent.append(
        text.replace(/&(amp|lt|gt|quot|#x27);/g, (_, entity) => ENTITIES[entity] ?? ''),
      );
  }
  return root;
}
