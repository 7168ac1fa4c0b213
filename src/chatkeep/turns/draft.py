"""What a turn has finished and not stored yet.

A turn's last items and its end are one transaction. That an item was the last one shows only when
nothing follows it, so finished items wait here, for some milliseconds, and so do the events that
tell of them: nobody sees as done what is not stored.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial

from chatkit.types import ThreadItem, ThreadMetadata

from chatkeep.context import RequestContext
from chatkeep.ports import Store
from chatkeep.turns.patience import patient


class Draft:
    """The unstored part of a thread, of one turn.

    Args:
        store: Where it will be stored.
        thread_id: The thread.
        context: Whose it is, with the turn's lease.
        wrote: Called when something was stored, which touches the turn.

    Attributes:
        replaced: Items that the turn's answer takes the place of. They are hidden from the turn
            at once, and deleted when it ends with an answer.
        noticed: Told when there is something to store.
    """

    def __init__(
        self, store: Store, thread_id: str, context: RequestContext, wrote: Callable[[], None]
    ) -> None:
        self._store = store
        self._thread_id = thread_id
        self._context = context
        self._wrote = wrote
        self._items: dict[str, ThreadItem] = {}
        self._thread: ThreadMetadata | None = None
        self.replaced: Collection[str] = ()
        self.noticed: Callable[[], None] = lambda: None

    @property
    def items(self) -> list[ThreadItem]:
        """The finished items that are not stored, in their order."""
        return list(self._items.values())

    def begin(self, thread: ThreadMetadata) -> None:
        """Note the thread as the turn's code first gets it: its changes are told from this."""
        if self._thread is None and thread.id == self._thread_id:
            self._thread = thread.model_copy(deep=True)

    def add(self, thread_id: str, item: ThreadItem) -> bool:
        """Keep a finished item; say whether it is one of this thread's."""
        if thread_id != self._thread_id:
            return False
        # A later change must not reach what was finished.
        self._items[item.id] = item.model_copy(deep=True)
        self.noticed()
        return True

    def has(self, item_id: str) -> bool:
        """Whether an item is here."""
        return item_id in self._items

    def stored(self, items: Sequence[ThreadItem]) -> None:
        """Forget items that are stored now."""
        for item in items:
            if self._items.get(item.id) is item:
                del self._items[item.id]

    async def flush(self) -> None:
        """Store what is here, and what is added meanwhile."""
        while items := self.items:
            for item in items:
                await patient(
                    partial(self._store.add_thread_item, self._thread_id, item, self._context)
                )
                self._wrote()
                self.stored([item])

    async def save_thread(self, thread: ThreadMetadata) -> bool:
        """Store what the turn has changed of its thread; say whether it is this one.

        The SDK saves all of it, as it was when the stream began: a title that the user gave
        meanwhile would be undone, and a deleted thread would come back. `thread` is brought up to
        what others have changed.

        Raises:
            LeaseLostError: It has been deleted, and the turn with it, or the turn is not ours.
        """
        if self._thread is None or thread.id != self._thread_id:
            return False
        before, now = self._thread, thread.model_copy(deep=True)

        def change(stored: ThreadMetadata) -> None:
            _apply(before, now, stored)

        stored = await patient(
            lambda: self._store.change_thread(self._thread_id, change, self._context)
        )
        self._wrote()
        for name in ThreadMetadata.model_fields:
            setattr(thread, name, getattr(stored, name))
        self._thread = stored.model_copy(deep=True)
        return True


def _apply(before: ThreadMetadata, now: ThreadMetadata, stored: ThreadMetadata) -> None:
    """Make the changes between two states of a thread to a third one."""
    for name in ThreadMetadata.model_fields:
        value = getattr(now, name)
        if name != "metadata" and value != getattr(before, name):
            setattr(stored, name, value)
    for key in before.metadata.keys() - now.metadata.keys():
        stored.metadata.pop(key, None)
    for key, value in now.metadata.items():
        if key not in before.metadata or before.metadata[key] != value:
            stored.metadata[key] = value
