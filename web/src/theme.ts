/** The `theme` option as CSS custom properties of the host element. */
import type { ChatKitOptions } from './options.js';

type Theme = NonNullable<ChatKitOptions['theme']>;
type ThemeObject = Exclude<Theme, string>;

const RADII = {
  pill: ['10px', '18px', '26px'],
  round: ['8px', '14px', '18px'],
  soft: ['5px', '8px', '10px'],
  sharp: ['0px', '0px', '0px'],
} as const;

const UNITS = { compact: '3.25px', normal: '4px', spacious: '4.75px' } as const;

/** How far the accent colour reaches: from links and focus rings only to the reader's own messages. */
const BUBBLE_TINT = ['0%', '0%', '14%', '26%'] as const;

/** Declarations for a `:host` rule. Values are set through the CSSOM, so none can leave its place. */
export function themeProperties(theme: Theme | undefined): [string, string][] {
  if (theme === undefined) return [];
  if (typeof theme === 'string') return [['color-scheme', theme]];
  const { colorScheme, radius, density } = theme;
  const properties: [string, string][] = [...colors(theme), ...typography(theme)];
  if (colorScheme) properties.push(['color-scheme', colorScheme]);
  if (density) properties.push(['--chatkeep-unit', UNITS[density]]);
  if (radius) {
    const [small, medium, large] = RADII[radius];
    properties.push(
      ['--chatkeep-radius-small', small],
      ['--chatkeep-radius', medium],
      ['--chatkeep-radius-large', large],
    );
  }
  return properties;
}

function colors({ color }: ThemeObject): [string, string][] {
  const properties: [string, string][] = [];
  if (color?.grayscale) {
    const { hue, tint, shade = 0 } = color.grayscale;
    properties.push(['--chatkeep-hue', `${hue}`], ['--chatkeep-saturation', `${tint * 3}%`]);
    properties.push(['--chatkeep-shade', `${shade * -1}%`]);
  }
  if (color?.accent) {
    const { primary, level } = color.accent;
    properties.push(['--chatkeep-accent', primary], ['--chatkeep-on-accent', inkOn(primary)]);
    properties.push(['--chatkeep-bubble-tint', BUBBLE_TINT[level]]);
  }
  if (color?.surface) {
    properties.push(['--chatkeep-background', color.surface.background]);
    properties.push(['--chatkeep-text', color.surface.foreground]);
  }
  return properties;
}

function typography({ typography: type }: ThemeObject): [string, string][] {
  const properties: [string, string][] = [];
  if (type?.baseSize) properties.push(['--chatkeep-font-size', `${type.baseSize}px`]);
  if (type?.fontFamily) properties.push(['--chatkeep-font', type.fontFamily]);
  if (type?.fontFamilyMono) properties.push(['--chatkeep-font-mono', type.fontFamilyMono]);
  return properties;
}

/** Black or white, whichever can be read on the colour. */
function inkOn(color: string): string {
  const probe = document.createElement('span');
  probe.style.color = color;
  document.documentElement.append(probe);
  const [red = 0, green = 0, blue = 0] = (getComputedStyle(probe).color.match(/[\d.]+/g) ?? []).map(
    Number,
  );
  probe.remove();
  const linear = [red, green, blue].map((value) => (value / 255) ** 2.2);
  const luminance =
    0.2126 * (linear[0] ?? 0) + 0.7152 * (linear[1] ?? 0) + 0.0722 * (linear[2] ?? 0);
  return luminance > 0.18 ? '#000' : '#fff';
}

/** Fonts the host page asks for; the element itself never loads any. */
export function loadFonts(theme: Theme | undefined): void {
  if (typeof theme !== 'object') return;
  for (const font of theme.typography?.fontSources ?? []) {
    const face = new FontFace(font.family, `url(${JSON.stringify(font.src)})`, {
      ...(font.weight === undefined ? {} : { weight: String(font.weight) }),
      ...(font.style === undefined ? {} : { style: font.style }),
      ...(font.display === undefined ? {} : { display: font.display }),
      ...(font.unicodeRange === undefined ? {} : { unicodeRange: font.unicodeRange }),
    });
    document.fonts.add(face);
  }
}
