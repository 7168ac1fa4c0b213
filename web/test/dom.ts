/** A DOM for the code that needs one. Import it before that code. */
import { JSDOM } from 'jsdom';

const { window } = new JSDOM('<!doctype html>', { url: 'http://localhost/' });

for (const name of [
  'window',
  'document',
  'Element',
  'HTMLElement',
  'Node',
  'Text',
  'HTMLBRElement',
  'NodeFilter',
  'DocumentFragment',
] as const) {
  Object.defineProperty(globalThis, name, { value: window[name], configurable: true });
}
