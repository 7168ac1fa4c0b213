/**
 * Loads the parts of the element that were not needed at its start. The build puts this module
 * around the program (`scripts/classic.mjs`); nothing imports it.
 *
 * Chunks lie in `assets/` beside the script, wherever that was loaded from, or next to it when it is
 * itself in there. They are scripts, not modules: those can be checked by their hash, need no
 * permission of another origin, and inherit the nonce of a strict page policy.
 */

interface Chunk {
  file: string;
  /** Subresource integrity of the file. */
  sri: string;
  /** Ids of the parts that it cannot run without, itself among them. */
  needs: number[];
}

type Exports = Record<string, unknown>;
type Factory = (
  require: (id: number) => Exports,
  load: (id: number) => Promise<Exports>,
  module: { exports: Exports },
) => void;

const SCRIPT_NAME = /\/chatkit(-[0-9a-f]+)?\.js$/;

/**
 * Runs a program.
 *
 * @param key The global name under which chunks register: of this build and no other.
 * @param chunks What can be loaded, by id.
 * @param parts What is there already.
 * @param entry The part to run.
 */
export function start(
  key: string,
  chunks: Record<number, Chunk>,
  parts: Record<number, Factory>,
  entry: number,
): void {
  const own = ownScript();
  const made = new Map<number, Exports>();
  const loading = new Map<number, Promise<void>>();

  function require(id: number): Exports {
    const known = made.get(id);
    if (known) return known;
    const module = { exports: {} as Exports };
    parts[id]?.(require, load, module);
    made.set(id, module.exports);
    return module.exports;
  }

  async function load(id: number): Promise<Exports> {
    await Promise.all((chunks[id]?.needs ?? []).map(fetchPart));
    return require(id);
  }

  function fetchPart(id: number): Promise<void> {
    const chunk = chunks[id];
    if (!chunk || parts[id]) return Promise.resolve();
    const known = loading.get(id);
    if (known) return known;
    const fetched = insert(chunk, own).catch((error: unknown) => {
      loading.delete(id); // the next one that needs it tries again
      throw error;
    });
    loading.set(id, fetched);
    return fetched;
  }

  Object.defineProperty(globalThis, key, {
    value: (id: number, factory: Factory) => {
      parts[id] ??= factory;
    },
    configurable: true,
  });
  require(entry);
}

function ownScript(): HTMLScriptElement | null {
  const current = document.currentScript;
  if (current instanceof HTMLScriptElement && current.src) return current;
  // Loaded as a module, or put into the page by a loader that has run it from its text.
  return (
    [...document.scripts].find(({ src }) => SCRIPT_NAME.test(src.split(/[?#]/)[0] ?? '')) ?? null
  );
}

function insert({ file, sri }: Chunk, own: HTMLScriptElement | null): Promise<void> {
  const base = new URL(own?.src || document.baseURI);
  const url = new URL(/\/assets\/[^/]*$/.test(base.pathname) ? file : `assets/${file}`, base).href;
  const script = document.createElement('script');
  // Who has the script checked wants its chunks checked, too; that takes the server's permission.
  const shares = own?.crossOrigin !== null && own?.crossOrigin !== undefined;
  if (shares) script.crossOrigin = own.crossOrigin;
  if (shares || base.origin === location.origin) script.integrity = sri;
  if (own?.nonce) script.nonce = own.nonce;
  (script as { src: unknown }).src = trusted(url);
  return new Promise((resolve, reject) => {
    script.onload = () => resolve();
    script.onerror = () => {
      script.remove();
      reject(new Error(`${url} cannot be loaded.`));
    };
    document.head.append(script);
  });
}

let policy: { createScriptURL(url: string): unknown } | undefined;

function trusted(url: string): unknown {
  const types = (globalThis as { trustedTypes?: TrustedTypePolicyFactory }).trustedTypes;
  if (!types) return url;
  // Only addresses that were made here come in: the script's own, with names of this build.
  policy ??= types.createPolicy('chatkeep', { createScriptURL: (own) => own });
  return policy.createScriptURL(url);
}
