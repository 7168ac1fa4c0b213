/** Colours of widgets: tokens, steps of a palette of our own, and CSS colours as they are. */
import { isObject } from './node.js';

type ColorUse = 'text' | 'background' | 'border' | 'chart';

const TOKENS: Record<ColorUse, Record<string, string>> = {
  text: {
    prose: 'var(--text)',
    primary: 'var(--text)',
    emphasis: 'var(--w-emphasis)',
    secondary: 'var(--soft-text)',
    tertiary: 'var(--w-tertiary)',
    success: 'var(--w-success)',
    warning: 'var(--w-warning)',
    danger: 'var(--danger)',
  },
  background: {
    surface: 'var(--background)',
    'surface-secondary': 'var(--raised)',
    'surface-tertiary': 'var(--w-surface-tertiary)',
    'surface-elevated': 'var(--w-elevated)',
    'surface-elevated-secondary': 'var(--w-elevated-secondary)',
  },
  border: {
    default: 'var(--line)',
    subtle: 'var(--w-subtle-line)',
    strong: 'var(--strong-line)',
  },
  chart: {
    blue: 'light-dark(#2b6cd4, #72a9ff)',
    purple: 'light-dark(#8352d1, #b898ff)',
    orange: 'light-dark(#c5641f, #f4a261)',
    green: 'light-dark(#218653, #5cc78d)',
    red: 'light-dark(#cc453d, #ff8a80)',
    yellow: 'light-dark(#a07a00, #e6c452)',
    pink: 'light-dark(#c5468c, #f191c3)',
  },
};

/** In the order in which series without a colour get theirs. */
export const CHART_COLORS = Object.values(TOKENS.chart);

/** Hue and greatest chroma of each family, in OKLCH. */
const FAMILIES: Record<string, [number, number]> = {
  gray: [250, 0.012],
  slate: [255, 0.04],
  zinc: [285, 0.012],
  neutral: [0, 0],
  stone: [60, 0.012],
  red: [27, 0.2],
  orange: [50, 0.17],
  amber: [72, 0.15],
  yellow: [92, 0.15],
  lime: [125, 0.18],
  green: [150, 0.16],
  emerald: [163, 0.14],
  teal: [185, 0.11],
  cyan: [212, 0.12],
  sky: [235, 0.14],
  blue: [258, 0.19],
  indigo: [275, 0.19],
  violet: [292, 0.2],
  purple: [303, 0.2],
  fuchsia: [322, 0.22],
  pink: [354, 0.19],
  rose: [15, 0.2],
};

const LIGHTNESS: [number, number][] = [
  [0, 1],
  [50, 0.972],
  [100, 0.94],
  [200, 0.885],
  [300, 0.81],
  [400, 0.72],
  [500, 0.64],
  [600, 0.56],
  [700, 0.48],
  [800, 0.405],
  [900, 0.335],
  [1000, 0.2],
];

/** By how much the dark half of the greys is darker than that of the colours. */
const GREY_DROP = 0.11;

/** Longest CSS value that is taken from a widget. */
const MAX_LENGTH = 160;

/** Names a resource, reaches outside the value or needs a context: none has a place in a widget. */
const UNSAFE = /url|image|src\(|element|attr|env\(|paint|@|\\|[;{}<>]/i;

/** The value as CSS when it is a plain one; `undefined` for anything that could load or escape. */
export function plainCss(value: unknown): string | undefined {
  if (typeof value !== 'string' || value.length > MAX_LENGTH || UNSAFE.test(value))
    return undefined;
  return value.trim() || undefined;
}

/** A colour as CSS; a pair for light and dark follows the scheme of the place where it is used. */
export function color(value: unknown, use: ColorUse): string | undefined {
  if (isObject(value)) {
    const light = color(value.light, use);
    const dark = color(value.dark, use);
    return light && dark ? `light-dark(${light}, ${dark})` : (light ?? dark);
  }
  if (typeof value !== 'string') return undefined;
  const tokens = TOKENS[use];
  if (Object.hasOwn(tokens, value)) return tokens[value];
  return primitive(value) ?? plainCss(value);
}

function primitive(value: string): string | undefined {
  const [, name = '', step = ''] = /^([a-z]+)-(\d{1,4})$/.exec(value) ?? [];
  const family = Object.hasOwn(FAMILIES, name) ? FAMILIES[name] : undefined;
  if (!family) return undefined;
  const [hue, chroma] = family;
  const bounded = Math.min(Number(step), 1000);
  // Dark greys are as dark as the text on white; dark colours still have to be seen as colours.
  const grey = chroma < 0.05 ? Math.min(Math.max(bounded - 500, 0) / 100, 1) * GREY_DROP : 0;
  const lightness = Math.max(lightnessOf(bounded) - grey, 0.12);
  // Very light and very dark colours have little room for chroma.
  const reach = Math.max(0, 1 - ((lightness - 0.62) / 0.38) ** 2);
  const room = lightness > 0.62 ? reach : Math.min(1, lightness / 0.5);
  return `oklch(${lightness.toFixed(3)} ${(chroma * room).toFixed(3)} ${hue})`;
}

function lightnessOf(step: number): number {
  const above = LIGHTNESS.findIndex(([known]) => known >= step);
  const [high, bright] = LIGHTNESS[above] ?? [1000, 0.2];
  const [low, brighter] = LIGHTNESS[above - 1] ?? [high, bright];
  const share = high === low ? 1 : (step - low) / (high - low);
  return brighter + (bright - brighter) * share;
}
