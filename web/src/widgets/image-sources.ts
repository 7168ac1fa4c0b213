/**
 * Which images a widget may show. An address of another origin tells its owner who reads what and
 * when, so such images are shown only when the thread's `allowed_image_domains` says so.
 */

export interface ImageSources {
  /** Origins that are our own: the page's and the server's. */
  origins: readonly string[];
  /** Domains that the thread allows, each with those under it. */
  domains: readonly string[];
}

const DATA = /^data:image\/(?:png|jpeg|gif|webp|avif|bmp|svg\+xml)[;,]/i;

/** The address to load, or `null` when it must not be. */
export function allowedImage(src: string, { origins, domains }: ImageSources): string | null {
  if (DATA.test(src)) return src;
  const base = origins[0] ?? 'null:';
  if (!URL.canParse(src, base)) return null;
  const url = new URL(src, base);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return null;
  if (url.username !== '' || url.password !== '') return null;
  if (origins.includes(url.origin)) return url.href;
  return domains.some((domain) => isUnder(url.hostname, domain)) ? url.href : null;
}

function isUnder(host: string, domain: string): boolean {
  const name = domain.toLowerCase().replace(/^\*?\./, '');
  return name !== '' && (host === name || host.endsWith(`.${name}`));
}

/** The sources of a thread's images. */
export function imageSources(
  apiUrl: string,
  domains: readonly string[] | null | undefined,
): ImageSources {
  const server = new URL(apiUrl, document.baseURI).origin;
  return {
    origins: [...new Set([location.origin, server])],
    domains: Array.isArray(domains) ? domains.filter((one) => typeof one === 'string') : [],
  };
}
