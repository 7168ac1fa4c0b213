/**
 * Stands in for `linkify-it` in the build: addresses that are written out with `http://` or
 * `https://` become links. Guessing at bare domain names is left out on purpose; it turns file names
 * such as `readme.md` into links to strangers.
 */
interface Match {
  schema: string;
  index: number;
  lastIndex: number;
  text: string;
  url: string;
}

const ADDRESS = /https?:\/\/[^\s<>"'`\u3000-\u3002\uff00-\uffef|\\^]+/giu;

/** Longest address that is made a link; anything longer is data, not an address. */
const MAX_LENGTH = 2048;

export class LinkifyIt {
  set(): this {
    return this;
  }

  test(text: string): boolean {
    return text.includes('://');
  }

  match(text: string): Match[] {
    const found: Match[] = [];
    for (const { 0: raw, index = 0 } of text.matchAll(ADDRESS)) {
      // Behind a letter it is the tail of some other word.
      if (raw.length > MAX_LENGTH || /[\p{L}\p{N}]/u.test(text[index - 1] ?? '')) continue;
      const url = withoutTail(raw);
      if (!/^https?:\/\/[\p{L}\p{N}[]/iu.test(url)) continue;
      found.push({
        schema: url.slice(0, url.indexOf('/')).toLowerCase(),
        index,
        lastIndex: index + url.length,
        text: url,
        url,
      });
    }
    return found;
  }

  matchAtStart(text: string): Match | null {
    const [first] = this.match(text);
    return first?.index === 0 ? first : null;
  }
}

/** Punctuation at the end belongs to the sentence, and so does a bracket that was never opened. */
function withoutTail(address: string): string {
  let url = address;
  for (;;) {
    const last = url.at(-1) ?? '';
    const opener = { ')': '(', ']': '[', '}': '{' }[last];
    const unopened = opener !== undefined && url.split(last).length > url.split(opener).length;
    if (!unopened && !/[.,;:!?*_~…]/.test(last)) return url;
    url = url.slice(0, -1);
  }
}
