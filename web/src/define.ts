/** The only module with a side effect: it registers the element under both of its names. */
import { ChatKeepElement } from './element.js';

/** A class can be registered under one name only, so the alias is a class of its own. */
class ChatKeepAlias extends ChatKeepElement {}

for (const [name, element] of [
  ['openai-chatkit', ChatKeepElement],
  ['chat-keep', ChatKeepAlias],
] as const) {
  // The script may be on a page twice; the first one wins.
  if (!customElements.get(name)) customElements.define(name, element);
}
