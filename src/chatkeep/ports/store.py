"""Where conversations are kept."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime

from chatkit.store import Store as ChatKitStore
from chatkit.store import StoreItemType
from chatkit.types import (
    Attachment,
    FeedbackKind,
    Page,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
)

from chatkeep.context import RequestContext
from chatkeep.ids import new_item_id
from chatkeep.ports.records import (
    EventRow,
    SearchHit,
    Share,
    ThreadSummary,
    ToolCall,
    Turn,
    TurnEnd,
    TurnOrder,
)
from chatkeep.ports.spending import Reservation
from chatkeep.ports.upkeep import Upkeep


class Store(ChatKitStore[RequestContext], Upkeep, ABC):
    """Threads, items, attachment records, feedback, shares and turns of every tenant.

    The contract, which `chatkeep.testing.StoreContract` checks on every backend:

    * **Tenancy.** Every method sees only rows of `context.principal` (tenant and user). A foreign
      id behaves exactly like an unknown one.
    * **Missing rows.** `load_*` raise `NotFoundError`; so do writes to a thread that does not
      exist (`add_thread_item`, `save_item`, `load_thread_items`, `add_feedback`, `title_thread`).
      `delete_*` are idempotent: deleting nothing is a success.
    * **Order.** Items carry a per-thread sequence given at their first write and kept for ever:
      `add_thread_item` and `save_item` are upserts that leave an existing item at its place.
      Clocks are never used for order. `load_threads` lists by creation, `load_summaries` by the
      user's last message.
    * **Pages.** `after` is the cursor of an earlier page, or the id of an item (thread) to
      continue behind; an unknown one raises `NotFoundError`. Pages have no repeats and no gaps,
      ascending is the reverse of descending, also while others append and delete: a page's cursor
      stays good when the row it came from is deleted. `Page.after` is set exactly when `has_more`
      is. `limit` must be at least 1 (`ValueError`).
    * **Holds.** Under a legal hold, whatever deletes raises `HeldError` and deletes nothing.
    * **Leases.** What a context with a lease writes to a thread is stored only while the lease is
      held, and touches the turn; `LeaseLostError` otherwise. Calls that begin, work on
      or end turns do not look at it: they are given a fence, or need none.
    * **Copies.** What is returned is the caller's to change; what is passed in is not kept.
    * **Time.** Datetimes come back aware and in UTC. Naive ones, as the SDK makes them, are read
      as local time.
    * **Failure.** A database that is gone, locked beyond its timeout or full raises
      `StoreUnavailableError`; nothing of the failed call is stored, unless the error says that it
      may have been: a connection can break while a commit is answered. Cancellation passes.
    """

    def generate_thread_id(self, context: RequestContext) -> str:
        """Return an id with 128 random bits (the SDK's default has 32)."""
        del context
        return new_item_id("thread")

    def generate_item_id(
        self, item_type: StoreItemType, thread: ThreadMetadata, context: RequestContext
    ) -> str:
        """Return an id with 128 random bits (the SDK's default has 32)."""
        del thread, context
        return new_item_id(item_type)

    @abstractmethod
    async def open(self) -> None:
        """Connect, and check that the schema is the one this version needs."""

    @abstractmethod
    async def aclose(self) -> None:
        """Release every connection. Idempotent."""

    @abstractmethod
    async def ping(self) -> None:
        """Answer quickly, or raise `StoreUnavailableError`."""

    @abstractmethod
    async def load_thread_items(
        self,
        thread_id: str,
        after: str | None,
        limit: int,
        order: str,
        context: RequestContext,
        *,
        include_hidden: bool = True,
    ) -> Page[ThreadItem]:
        """Load a page of items; without hidden ones the filter is part of the query."""

    @abstractmethod
    async def create_thread(
        self, thread: ThreadMetadata, message: UserMessageItem, context: RequestContext
    ) -> None:
        """Store a new thread and its first message: both, or neither.

        Attachments of the message must exist (`NotFoundError`) and belong to no other thread
        (`ConflictError`); they are bound to this one.
        """

    @abstractmethod
    async def delete_thread_items(
        self, thread_id: str, item_ids: Sequence[str], context: RequestContext
    ) -> None:
        """Delete several items of a thread in one transaction."""

    @abstractmethod
    async def title_thread(self, thread_id: str, title: str, context: RequestContext) -> bool:
        """Set the title if the thread has none yet; say whether that happened."""

    @abstractmethod
    async def add_feedback(
        self,
        thread_id: str,
        item_ids: Sequence[str],
        kind: FeedbackKind,
        context: RequestContext,
    ) -> None:
        """Keep the user's latest judgement of each item. An unknown item: `NotFoundError`."""

    @abstractmethod
    async def load_feedback(
        self, thread_id: str, context: RequestContext
    ) -> dict[str, FeedbackKind]:
        """Return the user's judgements in a thread, by item id."""

    @abstractmethod
    async def change_thread(
        self,
        thread_id: str,
        change: Callable[[ThreadMetadata], None],
        context: RequestContext,
    ) -> ThreadMetadata:
        """Change a thread that exists, and return it as it is now.

        `change` gets it as it is stored, under a lock, and edits it in place; it may be called
        again when the transaction is. So two that change different fields both succeed, and a
        deleted thread does not come back, as it would with `save_thread`.
        """

    @abstractmethod
    async def load_summaries(
        self,
        limit: int,
        after: str | None,
        order: str,
        context: RequestContext,
        *,
        archived: bool = False,
        previews: bool = True,
    ) -> Page[ThreadSummary]:
        """Load a page of the user's threads by last activity, either archived ones or the others.

        Without previews no item is looked at: `preview` is then None, and `unread` False.

        A thread in which the user writes meanwhile changes its place: it may come twice in one
        direction and not at all in the other.
        """

    @abstractmethod
    async def archive_thread(
        self,
        thread_id: str,
        archived: bool,
        context: RequestContext,
    ) -> None:
        """Put a thread away, or take it back."""

    @abstractmethod
    async def mark_read(self, thread_id: str, context: RequestContext) -> None:
        """Note that the user has read all there is."""

    @abstractmethod
    async def search(
        self, text: str, limit: int, after: str | None, context: RequestContext
    ) -> Page[SearchHit]:
        """Find messages and titles with all words of a text, newest first.

        Case and accents make no difference; the last word may be the beginning of one. Hidden
        items are not searched. Without a word, nothing is found. See `chatkeep.stores.words`.
        """

    @abstractmethod
    async def bind_attachment(
        self, attachment_id: str, thread_id: str, context: RequestContext
    ) -> None:
        """Make an attachment part of a thread. One of another thread: `ConflictError`."""

    @abstractmethod
    async def replace_attachment(
        self, old: Attachment, new: Attachment, context: RequestContext
    ) -> bool:
        """Store an attachment's record if it is still `old`; say whether that happened.

        The thread that it belongs to is not looked at, and stays: `bind_attachment` changes it.

        Raises:
            NotFoundError: It has been deleted.
        """

    @abstractmethod
    async def create_share(
        self,
        thread_id: str,
        share_id: str,
        digest: str,
        expires_at: datetime | None,
        context: RequestContext,
    ) -> Share:
        """Share a thread as it is now with those who know the secret of this digest.

        The same again returns the share that is there. Its id, or its digest, with anything else:
        `ConflictError`.
        """

    @abstractmethod
    async def load_shares(self, thread_id: str, context: RequestContext) -> list[Share]:
        """Return the shares of a thread, oldest first, expired ones too."""

    @abstractmethod
    async def delete_share(self, share_id: str, context: RequestContext) -> None:
        """Revoke a share. Idempotent."""

    @abstractmethod
    async def find_share(self, digest: str) -> Share:
        """Return the share with this digest; expired and unknown ones: `NotFoundError`.

        The one question that is not asked by a principal: whoever knows the secret may read.
        """

    @abstractmethod
    async def load_shared_items(
        self, share: Share, after: str | None, limit: int
    ) -> Page[ThreadItem]:
        """Load a page of what is shared, oldest first, without hidden items."""

    @abstractmethod
    async def begin_turn(self, order: TurnOrder, context: RequestContext) -> Turn:
        """Store a turn with its thread and message: all, or nothing.

        A key that the user has used with the same digest returns that turn, and stores nothing.

        Raises:
            TurnRunningError: The thread has a running turn, and the order does not queue.
            KeyReusedError: The key was used with another digest.
            NotFoundError: The thread, or an attachment, is not there.
            ConflictError: The new thread, or a turn with this id, exists.
            BudgetExceededError: One of the order's budgets is used up, counting what is put aside
                for other turns that are open. Those that begin at once see one another.
        """

    @abstractmethod
    async def find_turn(self, key: str, context: RequestContext) -> Turn | None:
        """Return the user's turn with an idempotency key, if there is one."""

    @abstractmethod
    async def load_turn(self, turn_id: str, context: RequestContext) -> Turn:
        """Load a turn."""

    @abstractmethod
    async def load_thread_turn(self, thread_id: str, context: RequestContext) -> Turn | None:
        """Return the turn of a thread that runs, else the next to run, else the newest one.

        None if the thread has had none.
        """

    @abstractmethod
    async def load_thread_turns(
        self, thread_id: str, after: datetime, limit: int, context: RequestContext
    ) -> Sequence[Turn]:
        """Return the turns of a thread that were asked for after a moment, oldest first."""

    @abstractmethod
    async def touch_turn(self, turn_id: str, fence: int, context: RequestContext) -> None:
        """Note that something happened that must not happen twice.

        Raises:
            LeaseLostError: Somebody else has taken the turn over, or it has ended.
        """

    @abstractmethod
    async def release_turn(self, turn_id: str, fence: int, context: RequestContext) -> None:
        """Give the lease up: anybody may take the turn over at once. Raises as `touch_turn`."""

    @abstractmethod
    async def reserve_turn(
        self,
        turn_id: str,
        fence: int,
        reserves: Reservation,
        used: tuple[int, int],
        context: RequestContext,
    ) -> Turn:
        """Put another amount aside for a turn that runs. Raises as `touch_turn`.

        Args:
            turn_id: The turn.
            fence: The holder's.
            reserves: What is put aside from now on, in place of what was.
            used: Tokens and micros that the turn has taken already.
            context: Who is asking.

        Raises:
            BudgetExceededError: As `begin_turn`, with what the turn has taken; nothing changes.
        """

    @abstractmethod
    async def begin_tool_call(
        self, turn_id: str, fence: int, call_id: str, name: str, context: RequestContext
    ) -> None:
        """Note that a tool is about to be called, which touches the turn. Raises as `touch_turn`.

        The id may come again from the same holder: some models count their calls anew in each
        step.

        Raises:
            ConflictError: An earlier holder of the turn has noted a call with this id.
        """

    @abstractmethod
    async def end_tool_call(
        self, turn_id: str, fence: int, call_id: str, context: RequestContext
    ) -> None:
        """Note that the newest call with this id has ended, now or before. Raises as `touch_turn`.

        Raises:
            NotFoundError: This holder has noted no such call.
        """

    @abstractmethod
    async def load_tool_calls(self, turn_id: str, context: RequestContext) -> Sequence[ToolCall]:
        """Return the calls of a turn, in their order."""

    @abstractmethod
    async def load_turn_events(
        self, turn_id: str, after: int, limit: int, context: RequestContext
    ) -> Sequence[EventRow]:
        """Return the rows that hold events behind number `after`, in order."""

    @abstractmethod
    async def cancel_turn(self, turn_id: str, context: RequestContext) -> Turn:
        """Ask for a turn to be stopped; a queued one ends at once, an ended one stays as it is."""

    @abstractmethod
    async def end_turn(
        self, turn_id: str, fence: int, end: TurnEnd, context: RequestContext
    ) -> Turn:
        """End a turn and store its items and last events: all, or nothing. Raises as `touch_turn`.

        What it took is added to the sums of its user and tenant, once.
        The same end may be told again, when the answer to the first time was lost.
        """
