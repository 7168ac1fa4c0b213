/** Which files may be attached, by the options of the composer. */
import type { ChatKitOptions } from '../options.js';

export type AttachmentOptions = NonNullable<NonNullable<ChatKitOptions['composer']>['attachments']>;

const DEFAULT_SIZE = 100 * 1024 * 1024;
const DEFAULT_COUNT = 10;

export type Refusal =
  | { why: 'kind'; name: string }
  | { why: 'size'; name: string; most: number }
  | { why: 'count'; most: number };

interface FileLike {
  name: string;
  type: string;
  size: number;
}

/** Parts files into those that may join `present` others and the reasons against the rest. */
export function sift<F extends FileLike>(
  files: readonly F[],
  present: number,
  options: AttachmentOptions,
): { taken: F[]; refused: Refusal[] } {
  const taken: F[] = [];
  const refused: Refusal[] = [];
  const most = options.maxCount ?? DEFAULT_COUNT;
  for (const file of files) {
    const size = sizeLimit(file, options.maxSize);
    if (!isAccepted(file, options.accept)) refused.push({ why: 'kind', name: file.name });
    else if (file.size > size) refused.push({ why: 'size', name: file.name, most: size });
    else if (present + taken.length >= most) {
      refused.push({ why: 'count', most });
      break;
    } else taken.push(file);
  }
  return { taken, refused };
}

const CODE =
  /\.(txt|log|ini|toml|ya?ml|sql|py|rs|go|java|kt|c|h|cc|cpp|cs|rb|php|swift|ts|tsx|jsx|sh|tex|diff)$/i;

/** The type of a file; systems know few types of text by name, and servers want to be told of one. */
export function typeOf({ type, name }: Pick<FileLike, 'type' | 'name'>): string {
  if (type !== '') return type.toLowerCase();
  if (/\.(md|markdown)$/i.test(name)) return 'text/markdown';
  return CODE.test(name) ? 'text/plain' : 'application/octet-stream';
}

/** Accepted by its type or by its extension, as a file picker does it. */
function isAccepted(file: FileLike, accept: AttachmentOptions['accept']): boolean {
  if (!accept) return true;
  const name = file.name.toLowerCase();
  return Object.entries(accept).some(
    ([pattern, extensions]) =>
      isOfType(typeOf(file), pattern) ||
      extensions.some((extension) => name.endsWith(extension.toLowerCase())),
  );
}

function sizeLimit(file: FileLike, maxSize: AttachmentOptions['maxSize']): number {
  if (maxSize === undefined || typeof maxSize === 'number') return maxSize ?? DEFAULT_SIZE;
  const type = typeOf(file);
  const fits = Object.entries(maxSize).find(
    ([pattern]) => pattern.includes('/') && isOfType(type, pattern),
  );
  return (
    maxSize[type.split(';', 1)[0] ?? ''] ?? fits?.[1] ?? maxSize['*'] ?? maxSize[''] ?? DEFAULT_SIZE
  );
}

function isOfType(type: string, pattern: string): boolean {
  const [kind, subtype] = pattern.toLowerCase().split('/');
  const [ownKind, ownSubtype] = (type.toLowerCase().split(';', 1)[0] ?? '').split('/');
  if (kind === '*') return true;
  return kind === ownKind && (subtype === '*' || subtype === ownSubtype);
}

export function bytes(size: number, locale: string): string {
  const step = size >= 1_000_000 ? 2 : size >= 1000 ? 1 : 0;
  const unit = (['byte', 'kilobyte', 'megabyte'] as const)[step] ?? 'byte';
  const value = size / 1000 ** step;
  return new Intl.NumberFormat(locale, {
    style: 'unit',
    unit,
    unitDisplay: step === 0 ? 'long' : 'short',
    maximumFractionDigits: value < 10 && step > 0 ? 1 : 0,
  }).format(value);
}
