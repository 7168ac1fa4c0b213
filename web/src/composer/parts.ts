/** What belongs to the composer and an empty chat does without. */
import { Lazy } from '../chunks/lazy.js';

export const uploadsPart = new Lazy(() => import('./uploads.js'));
export const searchPart = new Lazy(() => import('./search.js'));
export const dictationPart = new Lazy(() => import('./dictation.js'));
export const quotePart = new Lazy(() => import('./quote-offer.js'));
export const previewPart = new Lazy(() => import('./previews.js'));
