/**
 * Stands in for the `entities` package in the build: the full HTML table weighs more than the rest
 * of the Markdown parser. Numeric references are decoded by the parser itself; of the named ones,
 * these are what models write. Any other stays as it was typed, which is readable.
 */
const NAMES =
  'amp&lt<gt>quot"apos\'nbsp\u00a0copy©reg®trade™hellip…mdash—ndash–lsquo‘rsquo’ldquo“rdquo”' +
  'laquo«raquo»bull•middot·deg°plusmn±times×divide÷frac12½sect§pound£yen¥euro€larr←rarr→uarr↑' +
  'darr↓harr↔rArr⇒le≤ge≥ne≠asymp≈infin∞radic√sum∑emsp\u2003ensp\u2002shy\u00ad';

const TABLE = new Map<string, string>();
for (const [, name = '', char = ''] of NAMES.matchAll(/([A-Za-z]+\d*)([^A-Za-z\d])/gu)) {
  TABLE.set(name, char);
}

/** `&name;` → its character, or the text unchanged. */
export function decodeHTMLStrict(text: string): string {
  return text.replace(/&([A-Za-z]+\d*);/g, (whole, name: string) => TABLE.get(name) ?? whole);
}
