/** Stands in for `mdurl` in the build: an address is encoded as one piece, as browsers do it. */
interface Parsed {
  href: string;
  pathname: string;
}

export function parse(href: string): Parsed {
  return { href, pathname: href };
}

export function format({ pathname }: Parsed): string {
  return pathname;
}

/** Percent-encodes what an address cannot hold; what is encoded already stays as it is. */
export function encode(text: string): string {
  return text
    .replace(/\p{Cs}/gu, '\ufffd')
    .replace(/%(?![\da-f]{2})/gi, '%25')
    .replace(/[^\w%;/?:@&=+$,.!~*'()#-]+/g, encodeURIComponent);
}

export function decode(text: string): string {
  try {
    return decodeURI(text);
  } catch {
    // An address that is not UTF-8 inside is shown as it is written.
    return text;
  }
}

decode.defaultChars = '';
