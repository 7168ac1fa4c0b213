/** Lines through points, as paths of an SVG: the kinds of the protocol. */

export interface Point {
  x: number;
  y: number;
}

export const CURVES = [
  'basis',
  'basisClosed',
  'basisOpen',
  'bumpX',
  'bumpY',
  'bump',
  'linear',
  'linearClosed',
  'natural',
  'monotoneX',
  'monotoneY',
  'monotone',
  'step',
  'stepBefore',
  'stepAfter',
] as const;

export type Curve = (typeof CURVES)[number];

type Segment = string;

const n = (value: number): string => value.toFixed(2);
const at = ({ x, y }: Point): string => `${n(x)} ${n(y)}`;
const cubic = (a: Point, b: Point, to: Point): Segment => `C${at(a)} ${at(b)} ${at(to)}`;

/** The path without its first move, from the first point on. */
export function segments(points: readonly Point[], curve: Curve): string {
  if (points.length < 2) return '';
  switch (curve) {
    case 'step':
    case 'stepBefore':
    case 'stepAfter':
      return steps(points, { step: 0.5, stepBefore: 0, stepAfter: 1 }[curve]);
    case 'bump':
    case 'bumpX':
      return pairs(points, (a, b) => {
        const x = (a.x + b.x) / 2;
        return cubic({ x, y: a.y }, { x, y: b.y }, b);
      });
    case 'bumpY':
      return pairs(points, (a, b) => {
        const y = (a.y + b.y) / 2;
        return cubic({ x: a.x, y }, { x: b.x, y }, b);
      });
    case 'monotone':
    case 'monotoneX':
    case 'monotoneY':
      return monotone(points);
    case 'natural':
      return natural(points);
    case 'basis':
    case 'basisOpen':
    case 'basisClosed':
      return basis(points, curve);
    case 'linearClosed':
      return `${pairs(points, (_, b) => `L${at(b)}`)}Z`;
    default:
      return pairs(points, (_, b) => `L${at(b)}`);
  }
}

function pairs(points: readonly Point[], draw: (a: Point, b: Point) => Segment): string {
  return points
    .slice(1)
    .map((point, index) => draw(points[index] as Point, point))
    .join('');
}

function steps(points: readonly Point[], share: number): string {
  return pairs(points, (a, b) => {
    const x = a.x + (b.x - a.x) * share;
    return `L${n(x)} ${n(a.y)}L${n(x)} ${n(b.y)}L${at(b)}`;
  });
}

/** A cubic through the points that never swings beyond them. */
function monotone(points: readonly Point[]): string {
  const slopes = slopesOf(points);
  return points
    .slice(1)
    .map((b, index) => {
      const a = points[index] as Point;
      const third = (b.x - a.x) / 3;
      return cubic(
        { x: a.x + third, y: a.y + third * (slopes[index] ?? 0) },
        { x: b.x - third, y: b.y - third * (slopes[index + 1] ?? 0) },
        b,
      );
    })
    .join('');
}

function slopesOf(points: readonly Point[]): number[] {
  const steepness = points.slice(1).map((b, index) => {
    const a = points[index] as Point;
    return b.x === a.x ? 0 : (b.y - a.y) / (b.x - a.x);
  });
  return points.map((_, index) => {
    const before = steepness[index - 1];
    const after = steepness[index];
    if (before === undefined || after === undefined) return before ?? after ?? 0;
    // At a peak or a valley the curve lies flat.
    if (before * after <= 0) return 0;
    return (2 * before * after) / (before + after);
  });
}

/** A cubic through the points whose second derivative is continuous, and zero at the ends. */
function natural(points: readonly Point[]): string {
  const xs = controls(points.map(({ x }) => x));
  const ys = controls(points.map(({ y }) => y));
  return points
    .slice(1)
    .map((b, index) =>
      cubic(
        { x: xs.first[index] ?? b.x, y: ys.first[index] ?? b.y },
        { x: xs.second[index] ?? b.x, y: ys.second[index] ?? b.y },
        b,
      ),
    )
    .join('');
}

/** Control points in one dimension, by the tridiagonal system of the natural spline. */
function controls(values: readonly number[]): { first: number[]; second: number[] } {
  const last = values.length - 1;
  const value = (index: number): number => values[index] ?? 0;
  const upper: number[] = [];
  const right: number[] = [];
  for (let i = 0; i < last; i++) {
    const [a, b, r] =
      i === 0
        ? [0, 2, value(0) + 2 * value(1)]
        : i === last - 1
          ? [2, 7, 8 * value(i) + value(last)]
          : [1, 4, 4 * value(i) + 2 * value(i + 1)];
    const pivot = b - a * (upper[i - 1] ?? 0);
    upper.push((i === last - 1 ? 0 : 1) / pivot);
    right.push((r - a * (right[i - 1] ?? 0)) / pivot);
  }
  const first: number[] = [];
  for (let i = last - 1; i >= 0; i--)
    first[i] = (right[i] ?? 0) - (upper[i] ?? 0) * (first[i + 1] ?? 0);
  const second = first.map((_, i) =>
    i === last - 1 ? (value(last) + (first[i] ?? 0)) / 2 : 2 * value(i + 1) - (first[i + 1] ?? 0),
  );
  return { first, second };
}

/** A B-spline, which is drawn to its points without touching those between the ends. */
function basis(points: readonly Point[], kind: 'basis' | 'basisOpen' | 'basisClosed'): string {
  const first = points[0] as Point;
  const last = points.at(-1) as Point;
  const all =
    kind === 'basis'
      ? [first, first, ...points, last, last]
      : kind === 'basisClosed'
        ? [...points, ...points.slice(0, 3)]
        : points;
  const mix = (a: Point, b: Point, share: number): Point => ({
    x: a.x + (b.x - a.x) * share,
    y: a.y + (b.y - a.y) * share,
  });
  const knot = (a: Point, b: Point, c: Point): Point => ({
    x: (a.x + 4 * b.x + c.x) / 6,
    y: (a.y + 4 * b.y + c.y) / 6,
  });
  let path = '';
  for (let i = 0; i + 3 < all.length; i++) {
    const [a, b, c, d] = all.slice(i, i + 4) as [Point, Point, Point, Point];
    if (i === 0) path += `L${at(knot(a, b, c))}`;
    path += cubic(mix(b, c, 1 / 3), mix(b, c, 2 / 3), knot(b, c, d));
  }
  if (kind === 'basisClosed') path += 'Z';
  return path === '' ? pairs(points, (_, b) => `L${at(b)}`) : path;
}
