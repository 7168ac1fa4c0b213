/**
 * From one program to a classic script and the chunks that it loads on demand.
 *
 * The official script is a plain `<script src>`, so ours has to be one, and such a script has no
 * static imports. esbuild parts the program at its dynamic imports; here each part becomes a function
 * that is registered under its name, and those that are needed from the start become one script
 * with the loader (`src/chunks/loader.ts`) around them.
 */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { build, transform } from 'esbuild';
import { minify } from 'terser';

const DYNAMIC = /\bimport\("\.\/([^"]+)"\)/g;

/**
 * Builds an entry point.
 *
 * @param options esbuild's options of the program; `entryPoints` has one entry.
 * @param loader Source of the loader's module.
 * @param report Called with esbuild's metafile.
 * @returns The script, and its chunks by their names, which contain their hash.
 */
export async function classic(options, loader, report = () => {}) {
  const result = await build({
    ...options,
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    outdir: 'out',
    chunkNames: '[name]-[hash]',
    legalComments: 'none',
    metafile: true,
    write: false,
  });
  report(result.metafile);
  const parts = new Map();
  for (const { path, text } of result.outputFiles) parts.set(basename(path), { code: text });
  let entry;
  for (const [path, { imports, entryPoint }] of Object.entries(result.metafile.outputs)) {
    const part = parts.get(basename(path));
    const of = (kind) => imports.filter((one) => one.kind === kind && !one.external);
    part.needs = of('import-statement').map((one) => basename(one.path));
    part.loads = of('dynamic-import').map((one) => basename(one.path));
    part.name = entryPoint ? titleOf(entryPoint) : 'shared';
    if (entryPoint && basename(entryPoint) === basename(options.entryPoints[0])) {
      entry = basename(path);
    }
  }
  const core = closure([entry], parts);
  const ids = new Map([...parts.keys()].map((name, index) => [name, index]));
  for (const [name, part] of parts) part.factory = await factoryOf(name, part, ids);

  const lazy = [...parts.keys()].filter((name) => !core.has(name));
  const chunks = new Map();
  const table = {};
  const brand = createHash('sha256');
  for (const part of parts.values()) brand.update(part.factory);
  const key = `chatkeep-${brand.digest('hex').slice(0, 10)}`;
  for (const name of lazy) {
    const { factory, name: title } = parts.get(name);
    const body = await small(`globalThis[${JSON.stringify(key)}](${ids.get(name)},${factory})`);
    const hash = createHash('sha256').update(body).digest('hex').slice(0, 10);
    const file = `${title}-${hash}.js`;
    chunks.set(file, body);
    table[ids.get(name)] = {
      file,
      sri: `sha384-${createHash('sha384').update(body).digest('base64')}`,
      needs: [...closure([name], parts)].filter((one) => !core.has(one)).map((one) => ids.get(one)),
    };
  }
  const factories = [...core].map((name) => `${ids.get(name)}:${parts.get(name).factory}`);
  const { code } = await transform(loader, { loader: 'ts', format: 'iife', globalName: 'start' });
  const script = await small(
    `(()=>{${code};start.start(${JSON.stringify(key)},${JSON.stringify(table)},{${factories.join(',')}},${ids.get(entry)})})()`,
  );
  return { script, chunks };
}

/** A part and all that must be there before it can run. */
function closure(names, parts) {
  const found = new Set();
  const walk = (name) => {
    if (found.has(name)) return;
    found.add(name);
    parts.get(name).needs.forEach(walk);
  };
  names.forEach(walk);
  return found;
}

/** The source of `(require, load, module) => …` for an ES module. */
async function factoryOf(name, part, ids) {
  const { code } = await transform(part.code, { format: 'cjs', minify: true, target: 'es2022' });
  let body = code.replace(/\brequire\("\.\/([^"]+)"\)/g, (_, one) => `require(${idOf(one, ids)})`);
  body = body.replace(DYNAMIC, (_, one) => `load(${idOf(one, ids)})`);
  if (/\bimport\(|\brequire\("/.test(body)) throw new Error(`${name} imports what is not there`);
  return `(require,load,module)=>{${body}}`;
}

function idOf(name, ids) {
  if (!ids.has(name)) throw new Error(`no part is called ${name}`);
  return ids.get(name);
}

/** A second minifier finds some 4 % that the first leaves, and names what was exported. */
async function small(source) {
  const { code } = await minify(source, { ecma: 2020, compress: { passes: 3 } });
  // Minified code has line breaks only inside templates, where their indentation means nothing.
  return Buffer.from(code.replace(/\n\s+/g, '\n'));
}

/** What a file is called by in its chunk's name: its own name, or its folder's. */
function titleOf(path) {
  return path
    .replace(/\/index\.\w+$/, '')
    .replace(/^.*\//, '')
    .replace(/\.\w+$/, '');
}
