/** Tools that the host page runs for the model. */
import { type ConversationHost, report } from './conversation-host.js';
import type { ClientToolCallItem, ThreadItem } from './protocol.js';

export class ClientTools {
  readonly #host: ConversationHost;
  readonly #begun = new Set<string>();

  constructor(host: ConversationHost) {
    this.#host = host;
  }

  /** The call that the thread waits for, unless it has been run here already. */
  pending(items: readonly ThreadItem[]): ClientToolCallItem | null {
    const item = items.at(-1);
    if (item?.type !== 'client_tool_call' || item.status !== 'pending') return null;
    return this.#begun.has(item.id) ? null : item;
  }

  async run(call: ClientToolCallItem): Promise<unknown> {
    this.#begun.add(call.id);
    try {
      return await this.#host.runTool({ name: call.name, params: call.arguments ?? {} });
    } catch (error) {
      // The model must learn of it, or the thread waits for this result for ever.
      report(this.#host, error);
      return { error: error instanceof Error ? error.message : String(error) };
    }
  }
}
