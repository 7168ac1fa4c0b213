/** esbuild settings shared by the build and the tests, so that the tests run what is shipped. */
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

export const ROOT = here('..');

/** What the Markdown parser brings along for places without a browser (see `src/slim`). */
export const alias = {
  entities: here('../src/slim/entities.ts'),
  'linkify-it': here('../src/slim/linkify.ts'),
  mdurl: here('../src/slim/mdurl.ts'),
  'punycode.js': here('../src/slim/punycode.ts'),
  'uc.micro': here('../src/slim/uc-micro.ts'),
};
