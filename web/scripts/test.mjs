/** Bundles every test (Node cannot run TypeScript) and hands the bundles to `node --test`. */
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { alias, ROOT, withoutUnusedRules } from './bundle.mjs';

const out = join(ROOT, '.test-dist');
const tests = readdirSync(join(ROOT, 'test')).filter((name) => name.endsWith('.test.ts'));
rmSync(out, { recursive: true, force: true });
await build({
  entryPoints: tests.map((name) => join(ROOT, 'test', name)),
  outdir: out,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  sourcemap: 'inline',
  external: ['jsdom'],
  loader: { '.css': 'text' },
  alias,
  plugins: [withoutUnusedRules],
});
const files = tests.map((name) => join(out, name.replace(/\.ts$/, '.mjs')));
const run = spawnSync(process.execPath, ['--enable-source-maps', '--test', ...files], {
  stdio: 'inherit',
});
process.exit(run.status ?? 1);
