/** What every template gets: the state to show, the words to show it with, and what can be done. */

import type { Tag } from '../composer/content.js';
import type { HistoryState } from '../history.js';
import type { Translate } from '../locales.js';
import type { ChatKitOptions } from '../options.js';
import type { Source, StructuredSubmission, UserContent, WidgetItem } from '../protocol.js';
import type { ViewState } from '../state.js';
import type { WidgetAction } from '../widgets/widgets.js';

export interface Actions {
  send(content: UserContent[]): void;
  stop(): void;
  /** Somebody pressed a tag, points at one, or does not any more. */
  tagClicked(tag: Tag): void;
  tagEntered(tag: Tag, anchor: Element): void;
  tagLeft(): void;
  retry(): void;
  answer(itemId: string, input: StructuredSubmission): void;
  /** Tells the host page of a click on an entity, or on one of its own links. */
  entity(source: Source): void;
  deepLink(name: string, data: Record<string, string>): void;
  open(threadId: string | null): void;
  feedback(itemId: string, kind: 'positive' | 'negative'): void;
  /** Carries out an action of a widget; settles when it is over. */
  act(action: WidgetAction, item: WidgetItem): Promise<void>;
  /** Tells the page of a mistake in what a server sent. */
  complain(message: string): void;
  dismissNotice(id: number): void;
  dismissAlert(): void;
  toggleHistory(): void;
  closeHistory(): void;
  loadMoreThreads(): void;
  rename(threadId: string, title: string): void;
  remove(threadId: string): void;
}

export interface View {
  state: ViewState;
  history: HistoryState;
  historyOpen: boolean;
  options: ChatKitOptions;
  locale: string;
  t: Translate;
  actions: Actions;
}
