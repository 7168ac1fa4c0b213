/** Images, questions and cards of sources: loaded when there is one to show. */
import { Lazy } from '../chunks/lazy.js';

export const extras = new Lazy(() => import('../extras/index.js'));
