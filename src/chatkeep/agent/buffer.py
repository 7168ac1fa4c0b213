"""What waits between a turn's run and whoever shows it."""

import asyncio

from chatkit.types import ThreadStreamEvent

_EVENTS = 256
"""That may wait for the reader before model and tools are held back."""


class EventBuffer:
    """A bounded queue that knows whether its reader has dealt with all of it.

    Attributes:
        at_rest: The reader waits for what comes next: everything before has been taken, and shown.
    """

    def __init__(self) -> None:
        self._queue: asyncio.Queue[ThreadStreamEvent | None] = asyncio.Queue(_EVENTS)
        self._reader_waits = False

    @property
    def at_rest(self) -> bool:
        """Whether the reader waits and there is nothing for it."""
        return self._reader_waits and self._queue.empty()

    async def put(self, event: ThreadStreamEvent | None) -> None:
        """Add an event, or None for the end, when there is room."""
        await self._queue.put(event)

    async def get(self) -> ThreadStreamEvent | None:
        """Return the next event, or None at the end."""
        self._reader_waits = True
        try:
            return await self._queue.get()
        finally:
            self._reader_waits = False

    def clear(self) -> None:
        """Forget what waits, which frees whoever is waiting to add to it."""
        while not self._queue.empty():
            self._queue.get_nowait()
