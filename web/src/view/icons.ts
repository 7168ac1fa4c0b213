/**
 * Icons, drawn for Chatkeep on a 20 × 20 grid as single stroked paths. Names of the ChatKit options
 * are mapped to the nearest of them; an unknown name gets a dot rather than an error.
 */
import { html, type TemplateResult } from 'lit';

const PATHS = {
  alert: 'M10 3.5 17.5 16.5H2.5ZM10 8.2V11.6M10 14V14.1',
  at: 'M13.2 10A3.2 3.2 0 1 1 6.8 10 3.2 3.2 0 0 1 13.2 10V11.3A2 2 0 0 0 17.2 11.3V10A7.2 7.2 0 1 0 14.2 15.8',
  arrowDown: 'M10 4V16M5 11 10 16 15 11',
  arrowUp: 'M10 16V4.5M5 9.5 10 4.5 15 9.5',
  back: 'M12.5 4.5 7 10 12.5 15.5',
  book: 'M10 5.5C8 4 5.5 3.8 3 4.2V15.2C5.5 14.8 8 15 10 16.5 12 15 14.5 14.8 17 15.2V4.2C14.5 3.8 12 4 10 5.5ZM10 5.5V16.5',
  box: 'M3.5 6.5 10 3 16.5 6.5V13.5L10 17 3.5 13.5ZM3.5 6.5 10 10 16.5 6.5M10 10V17',
  bulb: 'M7.5 13.5C5.7 12.5 4.8 10.9 4.8 8.8A5.2 5.2 0 0 1 15.2 8.8C15.2 10.9 14.3 12.5 12.5 13.5V15H7.5ZM8 17.5H12',
  calendar: 'M3.5 5H16.5V16.5H3.5ZM3.5 8.5H16.5M7 3V6M13 3V6',
  chart: 'M3.5 3.5V16.5H16.5M7 13.5V10M10.5 13.5V6.5M14 13.5V8.5',
  check: 'M4 10.5 8.2 14.7 16 5.8',
  chevron: 'M5.5 8 10 12.5 14.5 8',
  clip: 'M16.3 9.3 10 15.6A3.8 3.8 0 0 1 4.6 10.2L11.2 3.6A2.5 2.5 0 0 1 14.8 7.2L8.4 13.6A1.3 1.3 0 0 1 6.6 11.8L12.4 6',
  clock: 'M10 2.8A7.2 7.2 0 1 1 10 17.2 7.2 7.2 0 0 1 10 2.8ZM10 6V10.3L13 12',
  close: 'M5 5 15 15M15 5 5 15',
  code: 'M7 5.5 2.8 10 7 14.5M13 5.5 17.2 10 13 14.5',
  compass: 'M10 2.8A7.2 7.2 0 1 1 10 17.2 7.2 7.2 0 0 1 10 2.8ZM13 7 11.3 11.3 7 13 8.7 8.7Z',
  compose:
    'M16.5 10.5V15.5A1 1 0 0 1 15.5 16.5H4.5A1 1 0 0 1 3.5 15.5V4.5A1 1 0 0 1 4.5 3.5H9.5M15 3.2 16.8 5 10.6 11.2 8.2 11.8 8.8 9.4Z',
  copy: 'M7 7H16.5V16.5H7ZM13 7V3.5H3.5V13H7',
  document: 'M5 2.8H11.5L15.5 6.8V17.2H5ZM11.5 2.8V6.8H15.5M7.5 10.5H13M7.5 13.5H11.5',
  dot: 'M10 7.5A2.5 2.5 0 1 1 10 12.5 2.5 2.5 0 0 1 10 7.5Z',
  dots: 'M4.5 10V10.1M10 10V10.1M15.5 10V10.1',
  edit: 'M13.5 3.5 16.5 6.5 7 16H4V13ZM11.5 5.5 14.5 8.5',
  film: 'M3.5 4.5H16.5V15.5H3.5ZM8.5 7.5 12.5 10 8.5 12.5Z',
  globe:
    'M10 2.8A7.2 7.2 0 1 1 10 17.2 7.2 7.2 0 0 1 10 2.8ZM2.8 10H17.2M10 2.8C5.8 7 5.8 13 10 17.2 14.2 13 14.2 7 10 2.8Z',
  image: 'M3.5 4H16.5V16H3.5ZM3.5 13.5 7.5 9.5 11 13 13 11 16.5 14M13.2 7.3V7.4',
  info: 'M10 2.8A7.2 7.2 0 1 1 10 17.2 7.2 7.2 0 0 1 10 2.8ZM10 9V13.5M10 6.4V6.5',
  mail: 'M3 5H17V15H3ZM3 5.5 10 11 17 5.5',
  menu: 'M3.5 6H16.5M3.5 10H16.5M3.5 14H16.5',
  mic: 'M10 2.8A2.5 2.5 0 0 1 12.5 5.3V9.5A2.5 2.5 0 0 1 7.5 9.5V5.3A2.5 2.5 0 0 1 10 2.8ZM4.8 9.5A5.2 5.2 0 0 0 15.2 9.5M10 14.7V17.2',
  panel: 'M3 4.5H17V15.5H3ZM8 4.5V15.5',
  plus: 'M10 4V16M4 10H16',
  quote:
    'M8.5 5.5C5.5 6.5 4 8.5 4 12A2.2 2.2 0 1 0 6.2 9.8M16 5.5C13 6.5 11.5 8.5 11.5 12A2.2 2.2 0 1 0 13.7 9.8',
  question:
    'M10 2.8A7.2 7.2 0 1 1 10 17.2 7.2 7.2 0 0 1 10 2.8ZM7.9 8C8 5.6 12.1 5.7 12.1 8 12.1 9.6 10 9.6 10 11.4M10 13.8V13.9',
  retry: 'M15.8 8.2A6.2 6.2 0 1 0 16.2 11.2M16.3 4V8.4H11.9',
  search: 'M8.8 3.5A5.3 5.3 0 1 1 8.8 14.1 5.3 5.3 0 0 1 8.8 3.5ZM12.7 12.7 16.8 16.8',
  share: 'M10 12.5V3.5M6.5 6.5 10 3 13.5 6.5M5 9.5H4V16.5H16V9.5H15',
  sliders:
    'M3.5 6.5H9M13 6.5H16.5M11 4.5A2 2 0 1 1 11 8.5 2 2 0 0 1 11 4.5ZM3.5 13.5H6M10 13.5H16.5M8 11.5A2 2 0 1 1 8 15.5 2 2 0 0 1 8 11.5Z',
  sound:
    'M3.5 8V12H6.5L10.5 15.5V4.5L6.5 8ZM13.2 7.5A3.6 3.6 0 0 1 13.2 12.5M15.3 5.2A7 7 0 0 1 15.3 14.8',
  spark:
    'M10 2.8C10.6 7.4 12.6 9.4 17.2 10 12.6 10.6 10.6 12.6 10 17.2 9.4 12.6 7.4 10.6 2.8 10 7.4 9.4 9.4 7.4 10 2.8Z',
  star: 'M10 3 12.2 7.6 17.2 8.2 13.5 11.7 14.4 16.7 10 14.3 5.6 16.7 6.5 11.7 2.8 8.2 7.8 7.6Z',
  stop: 'M6 6H14V14H6Z',
  thumbDown:
    'M6.5 11.5H3.5V4H6.5M6.5 11.5V4H13.5C14.5 4 15.2 4.6 15.4 5.5L16.4 10C16.7 11.2 15.8 12 14.8 12H11.5L12 15C12.2 16.3 11.4 17 10.4 17Z',
  thumbUp:
    'M6.5 8.5H3.5V16H6.5M6.5 8.5V16H13.5C14.5 16 15.2 15.4 15.4 14.5L16.4 10C16.7 8.8 15.8 8 14.8 8H11.5L12 5C12.2 3.7 11.4 3 10.4 3Z',
  trash: 'M4 5.5H16M8 5.5V3.5H12V5.5M5.5 5.5 6.2 16.5H13.8L14.5 5.5M8.5 8.5V13.5M11.5 8.5V13.5',
} as const;

export type IconName = keyof typeof PATHS;

/** First match wins, so the narrow words come before the wide ones. */
const BY_WORD: [RegExp, IconName][] = [
  [/sidebar|collapse|open-left|open-right|expand/, 'panel'],
  [/history|clock/, 'clock'],
  [/chevron-left|back/, 'back'],
  [/compose|notebook-pencil/, 'compose'],
  [/write|name|keys/, 'edit'],
  [/book|notebook/, 'book'],
  [/analytics|chart/, 'chart'],
  [/document|page|square-text|profile-card/, 'document'],
  [/code|bug|lab|cube|batch/, 'code'],
  [/dots/, 'dots'],
  [/menu|hamburger|grid/, 'menu'],
  [/lightbulb/, 'bulb'],
  [/map/, 'compass'],
  [/check/, 'check'],
  [/question|lifesaver/, 'question'],
  [/agent|atom|sparkle|confetti|wreath|image/, 'spark'],
  [/reload/, 'retry'],
];

function resolve(name: string): IconName {
  const plain = name.replace(/^\w+:/, '');
  if (Object.hasOwn(PATHS, plain)) return plain as IconName;
  const direct = (Object.keys(PATHS) as IconName[]).find((key) => plain.startsWith(key));
  return BY_WORD.find(([word]) => word.test(plain))?.[1] ?? direct ?? 'dot';
}

export function icon(name: string): TemplateResult {
  return html`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
    <path d=${PATHS[resolve(name)]}></path>
  </svg>`;
}
