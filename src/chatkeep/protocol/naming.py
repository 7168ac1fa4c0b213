"""The name of a thread, sought while its first answer is written."""

import asyncio
from collections.abc import Coroutine

from chatkit.types import ThreadMetadata, UserMessageItem

from chatkeep.agent.title import title_from_words
from chatkeep.context import RequestContext
from chatkeep.ports import Store


class Naming:
    """Names one thread, unless it has a name, from its model or from its message's first words.

    Args:
        store: Where the thread is.
        thread: The thread, as the turn found it.
        message: What the turn answers; without one nothing is named.
        context: Who is asking.
        asked: A model's attempt at a title, which runs beside the answer from now on.
    """

    def __init__(
        self,
        store: Store,
        thread: ThreadMetadata,
        message: UserMessageItem | None,
        context: RequestContext,
        asked: Coroutine[None, None, str | None] | None,
    ) -> None:
        self._store = store
        self._thread_id = thread.id
        self._message = message if thread.title is None else None
        self._context = context
        self._asked: asyncio.Task[str | None] | None = None
        if asked is not None and self._message is not None:
            self._asked = asyncio.create_task(asked, name="title")
        elif asked is not None:
            asked.close()

    async def finish(self, *, wait: float) -> ThreadMetadata | None:
        """Name the thread and return it, or None when there was nothing to do.

        A user who has named it meanwhile wins. The model's attempt gets `wait` more seconds. When
        the reader leaves meanwhile the answer is complete all the same: the cancellation ends the
        wait and goes no further, or a finished answer would be recorded as interrupted.
        """
        if self._message is None:
            return None
        title = None
        if self._asked is not None and wait > 0:
            try:
                await asyncio.wait([self._asked], timeout=wait)
            except asyncio.CancelledError:
                wait = 0
            title = _result(self._asked)
        title = title or title_from_words(self._message)
        if not title or not await self._store.title_thread(self._thread_id, title, self._context):
            return None
        return await self._store.load_thread(self._thread_id, self._context)

    def close(self) -> None:
        """Give the model's attempt up."""
        if self._asked is not None:
            self._asked.cancel()


def _result(task: asyncio.Task[str | None]) -> str | None:
    """Return a title if there is one; whatever went wrong is not worth an error."""
    if not task.done() or task.cancelled() or task.exception() is not None:
        return None
    return task.result()
