/** Stylesheets of parts that were loaded later than the element. */

const sheets = new Map<string, CSSStyleSheet>();

/** Makes a stylesheet apply in a shadow root, once. */
export function adopt(root: Node, css: string | undefined): void {
  if (css === undefined || !(root instanceof ShadowRoot)) return;
  let sheet = sheets.get(css);
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    sheets.set(css, sheet);
  }
  if (root.adoptedStyleSheets.includes(sheet)) return;
  // The options' theme stays the last word.
  root.adoptedStyleSheets = [
    ...root.adoptedStyleSheets.slice(0, -1),
    sheet,
    ...root.adoptedStyleSheets.slice(-1),
  ];
}
