/**
 * Builds the element and the page into the Python package's assets folder.
 *
 *   chatkit.js            the element as one classic script, under the name host pages use
 *   chatkit-<hash>.js     the same, immutable; likewise page-<hash>.js and page-<hash>.css
 *   <part>-<hash>.js      what the element loads on demand
 *   index.html            the page, with relative references to the hashed files
 *   manifest.json         plain name → hashed name
 *
 * The build fails when the element outgrows its budget: the size of the first load is a feature.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { transform } from 'esbuild';
import { alias, ROOT, withoutUnusedRules } from './bundle.mjs';
import { classic } from './classic.mjs';

const OUT = process.env.CHATKEEP_ASSETS ?? join(ROOT, '..', 'src', 'chatkeep', 'assets');
const BUDGET = 61 * 1024;

/** Stylesheets of the shadow root are imported as minified text. */
const stylesheets = {
  name: 'stylesheets',
  setup(api) {
    api.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(readFileSync(path, 'utf8'), { loader: 'css', minify: true });
      return { contents: code, loader: 'text' };
    });
  },
};

const analyze = process.argv.includes('--analyze') ? report : undefined;

const program = (entry, plugins = []) => ({
  entryPoints: [join(ROOT, entry)],
  target: 'es2022',
  alias,
  plugins,
});

function report(metafile) {
  const sizes = new Map();
  for (const { inputs } of Object.values(metafile.outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const name = path.replace(/^.*node_modules\/((?:@[^/]+\/)?[^/]+).*$/, '$1');
      sizes.set(name, (sizes.get(name) ?? 0) + bytesInOutput);
    }
  }
  for (const [name, bytes] of [...sizes].sort((a, b) => b[1] - a[1]))
    console.log(`${bytes}\t${name}`);
}

function hashed(name, contents) {
  const hash = createHash('sha256').update(contents).digest('hex').slice(0, 10);
  return name.replace(/(\.\w+)$/, `-${hash}$1`);
}

const loader = readFileSync(join(ROOT, 'src/chunks/loader.ts'), 'utf8');
const { script: element, chunks } = await classic(
  program('src/define.ts', [stylesheets, withoutUnusedRules]),
  loader,
  analyze,
);
const { script: page } = await classic(program('page/page.ts'), loader);
const css = Buffer.from(
  (
    await transform(readFileSync(join(ROOT, 'page/page.css'), 'utf8'), {
      loader: 'css',
      minify: true,
    })
  ).code,
);

const files = new Map([
  ['chatkit.js', element],
  ['page.js', page],
  ['page.css', css],
]);
const manifest = {};
mkdirSync(OUT, { recursive: true });
for (const old of readdirSync(OUT)) {
  if (/-[0-9a-f]{10}\.(js|css)$/.test(old)) rmSync(join(OUT, old));
}
for (const [name, contents] of files) {
  manifest[name] = hashed(name, contents);
  writeFileSync(join(OUT, manifest[name]), contents);
}
writeFileSync(join(OUT, 'chatkit.js'), element);
for (const [name, contents] of chunks) writeFileSync(join(OUT, name), contents);
writeFileSync(join(OUT, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);

let html = readFileSync(join(ROOT, 'page/index.html'), 'utf8');
for (const [name, target] of Object.entries(manifest)) {
  html = html.replaceAll(`./assets/${name}`, `./assets/${target}`);
}
writeFileSync(join(OUT, 'index.html'), html);

const size = gzipSync(element, { level: 9 }).length;
const kib = (bytes) => `${(bytes / 1024).toFixed(1)} kB`;
console.log(`chatkit.js ${kib(element.length)}, ${kib(size)} gzip (budget ${kib(BUDGET)})`);
console.log(
  `page.js ${kib(gzipSync(page).length)} gzip, page.css ${kib(gzipSync(css).length)} gzip`,
);
for (const [name, contents] of chunks) {
  console.log(`${name} ${kib(gzipSync(contents, { level: 9 }).length)} gzip, on demand`);
}
if (size > BUDGET) {
  console.error(`chatkit.js is ${kib(size - BUDGET)} over its budget`);
  process.exit(1);
}
