"""Changes of a thread that leave alone what others change of it.

When an author's code changes the thread while it answers, the SDK saves all of it, as it was when
the stream began: a title that the user gave meanwhile would be undone, and a deleted thread would
come back.
"""

from typing import Any, cast

from chatkit.types import ThreadMetadata

from chatkeep.context import RequestContext
from chatkeep.ports import Store


async def rename(
    store: Store, thread_id: str, title: str, context: RequestContext
) -> ThreadMetadata:
    """Give a thread a title, and return it."""

    def change(thread: ThreadMetadata) -> None:
        thread.title = title

    return await store.change_thread(thread_id, change, context)


def watched(store: Store, thread: ThreadMetadata) -> Store:
    """Return the store for one stream: to save the thread is to store what was changed of it.

    Args:
        store: The store.
        thread: The thread as the stream begins with it.
    """
    return cast("Store", _Watched(store, thread))


class _Watched:
    """Everything but `save_thread` is the store's own."""

    def __init__(self, store: Store, thread: ThreadMetadata) -> None:
        self._store = store
        self._before = thread.model_copy(deep=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def save_thread(self, thread: ThreadMetadata, context: RequestContext) -> None:
        """Store what differs, and bring the thread up to what others have stored.

        Raises:
            NotFoundError: It has been deleted.
        """
        before, now = self._before, thread.model_copy(deep=True)

        def change(stored: ThreadMetadata) -> None:
            _apply(before, now, stored)

        stored = await self._store.change_thread(thread.id, change, context)
        for name in ThreadMetadata.model_fields:
            setattr(thread, name, getattr(stored, name))
        self._before = stored.model_copy(deep=True)


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
