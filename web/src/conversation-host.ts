/** What a conversation tells the page around it, and what it needs from it. */
import { asError } from './errors.js';
import type { JsonObject, Unsent } from './protocol.js';

export interface ConversationEvents {
  'chatkit.error': { error: Error };
  'chatkit.effect': { name: string; data?: JsonObject };
  'chatkit.log': { name: string; data?: JsonObject };
  'chatkit.response.start': undefined;
  'chatkit.response.end': undefined;
  'chatkit.thread.change': { threadId: string | null };
  'chatkit.thread.load.start': { threadId: string };
  'chatkit.thread.load.end': { threadId: string };
}

export interface ConversationHost {
  emit<K extends keyof ConversationEvents>(type: K, detail: ConversationEvents[K]): void;
  /** Runs a client tool; rejects when the host has no such tool. */
  runTool(call: { name: string; params: JsonObject }): Promise<unknown>;
  /** Gives a message that was not sent back to the composer. */
  restore(message: Unsent): void;
}

/** Tells the page of a failure, whatever was thrown. */
export function report(host: Pick<ConversationHost, 'emit'>, error: unknown): void {
  host.emit('chatkit.error', { error: asError(error) });
}
