/** esbuild settings shared by the build and the tests, so that the tests run what is shipped. */
import { readFileSync } from 'node:fs';
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

/** Rules of the parser that the options `html: false` and `typographer: false` never let act. */
const UNUSED_RULES = {
  'src/rules_core/replacements.ts': 'function replace() {}',
  'src/rules_core/smartquotes.ts': 'function smartquotes() {}',
  'src/common/html_blocks.ts': '',
  'src/common/html_re.ts': '',
  'src/rules_block/html_block.ts': 'function html_block() { return false; }',
  'src/rules_inline/html_inline.ts': 'function html_inline() { return false; }',
};

/** Leaves those rules out; fails when a new version of the parser is laid out differently. */
export const withoutUnusedRules = {
  name: 'without-unused-rules',
  setup(api) {
    api.onLoad({ filter: /markdown-it\.mjs$/ }, ({ path }) => {
      let contents = readFileSync(path, 'utf8');
      for (const [region, stub] of Object.entries(UNUSED_RULES)) {
        const start = contents.indexOf(`//#region ${region}\n`);
        const end = contents.indexOf('//#endregion', start);
        if (start < 0 || end < 0) throw new Error(`markdown-it has no region ${region}`);
        contents = `${contents.slice(0, start)}${stub}\n${contents.slice(end)}`;
      }
      return { contents, loader: 'js' };
    });
  },
};
