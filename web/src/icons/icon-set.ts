/** The protocol's icons; loaded on demand. */
import { html, nothing, svg, type TemplateResult } from 'lit';
import { FILLED, PATHS, TICK } from './paths.js';

/** Words of foreign names (`lucide:`, `vendor:`) and the drawing that comes nearest. */
const WORDS: [RegExp, string][] = [
  [/bot|agent|robot/, 'agent'],
  [/trend|activity|gauge/, 'analytics'],
  [/chart|graph|bar|pie/, 'chart'],
  [/calendar|date|event/, 'calendar'],
  [/clock|time|timer|alarm|history/, 'clock'],
  [/map|pin|location|navigation/, 'map-pin'],
  [/mail|inbox|envelope|send/, 'mail'],
  [/phone|call/, 'phone'],
  [/user|person|contact/, 'user'],
  [/users|people|team/, 'profile'],
  [/image|photo|picture|camera/, 'square-image'],
  [/file|document|clipboard|receipt/, 'document'],
  [/book|library/, 'book-open'],
  [/note|journal/, 'notebook'],
  [/code|terminal|braces/, 'square-code'],
  [/text|align|list|article/, 'square-text'],
  [/key|lock|shield/, 'keys'],
  [/search|zoom|find/, 'search'],
  [/setting|slider|cog|gear|filter|wrench/, 'settings-slider'],
  [/refresh|rotate|repeat|sync|reload/, 'reload'],
  [/edit|pen|pencil|write/, 'write'],
  [/globe|earth|world|language/, 'globe'],
  [/link|external|share|arrow-up-right/, 'external-link'],
  [/zap|bolt|flash|lightning/, 'bolt'],
  [/sparkle|wand|magic|stars/, 'sparkle'],
  [/star|favorite|heart/, 'star'],
  [/bulb|idea/, 'lightbulb'],
  [/question|help/, 'circle-question'],
  [/info|alert|warning/, 'info'],
  [/check|done|tick/, 'check'],
  [/plus|add/, 'plus'],
  [/play|video|film/, 'play'],
  [/party|gift|cake/, 'confetti'],
  [/box|package|cube|shopping|cart/, 'cube'],
  [/layer|stack|batch/, 'batch'],
  [/brief|case|bag|luggage/, 'suitcase'],
  [/monitor|desktop|laptop|computer/, 'desktop'],
  [/mobile|tablet|smartphone/, 'mobile'],
  [/flask|test|beaker|lab/, 'lab'],
  [/bug/, 'bug'],
  [/atom|science/, 'atom'],
  [/award|trophy|medal/, 'wreath'],
  [/right|next|forward/, 'chevron-right'],
  [/left|back|previous/, 'chevron-left'],
];

/** The drawing for a name; names of other sets get the one that comes nearest. */
export function nameOfDrawing(name: string): string {
  const plain = name.replace(/^\w+:/, '').toLowerCase();
  if (Object.hasOwn(PATHS, plain)) return plain;
  return WORDS.find(([word]) => word.test(plain))?.[1] ?? 'dot';
}

export function drawing(name: string): TemplateResult {
  const known = nameOfDrawing(name);
  // A tick on a filled disc takes the colour of what is behind the disc.
  const tick =
    known === 'check-circle-filled' ? svg`<path class="tick" d=${TICK}></path>` : nothing;
  return html`<svg class="drawing" viewBox="0 0 24 24" aria-hidden="true" focusable="false"
    ?data-solid=${FILLED.has(known)}><path d=${PATHS[known] ?? ''}></path>${tick}</svg>`;
}
