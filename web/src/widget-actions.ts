/** Carries out what the reader asks for in a widget: on the server, beside the answers, or in the page. */
import type { Conversation } from './conversation.js';
import { ChatKitError } from './errors.js';
import type { Translate } from './locales.js';
import type { ChatKitOptions } from './options.js';
import type { WidgetItem } from './protocol.js';
import type { WidgetAction } from './widgets/widgets.js';

interface ActionSurroundings {
  conversation: Conversation;
  options: ChatKitOptions;
  t: Translate;
  /** Tells the page of a failure. */
  failed(error: unknown): void;
}

type OnAction = NonNullable<NonNullable<ChatKitOptions['widgets']>['onAction']>;

/** Resolves or rejects when the action is over; what went wrong has been told by then. */
export async function carryOut(
  { type, payload, handler, streaming }: WidgetAction,
  item: WidgetItem,
  around: ActionSurroundings,
): Promise<void> {
  const { conversation } = around;
  const action = { type, payload: payload ?? undefined };
  if (handler === 'client') await inPage(action as Parameters<OnAction>[0], item, around);
  else if (streaming) await conversation.act(action, item.id);
  else await conversation.actAside(action, item.id);
}

async function inPage(
  action: Parameters<OnAction>[0],
  { id, widget }: WidgetItem,
  { conversation, options, t, failed }: ActionSurroundings,
): Promise<void> {
  try {
    const { onAction } = options.widgets ?? {};
    if (!onAction) throw new ChatKitError(`There is no widgets.onAction for "${action.type}".`);
    await onAction(action, { id, widget: widget as unknown as Parameters<OnAction>[1]['widget'] });
  } catch (error) {
    const event = { type: 'notice', level: 'danger', message: t('widget.failed') } as const;
    conversation.store.dispatch({ type: 'event', event });
    failed(error);
    throw error;
  }
}
