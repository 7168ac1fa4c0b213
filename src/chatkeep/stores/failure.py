"""What the failure policies of the databases share: kinds of faults, and calls that run to the end.

Cancelling the caller does not cut an operation that a connection is working on: it ends in the
background. Cutting it would cost the connection each time a client goes away.
"""

import asyncio
from collections.abc import Coroutine
from enum import Enum, auto
from typing import Any

from chatkeep.errors import StoreUnavailableError

UNKNOWN = (
    "The database was lost while it was asked. What was being saved may have been saved; please "
    "look before you try again."
)
"""What a user reads when nobody can say whether a write was committed."""


class Fault(Enum):
    """What a driver's error means to the caller."""

    BUSY = auto()
    """Somebody else is writing: the same transaction can succeed a moment later."""
    LOST = auto()
    """The connection is of no use any more: on a new one the same transaction can succeed."""
    GONE = auto()
    """The database cannot serve anybody right now."""
    BUG = auto()
    """The statement or its data is wrong."""


class Underway:
    """The calls that are under way."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def to_the_end[T](self, operation: Coroutine[Any, Any, T], deadline: float | None) -> T:
        """Await an operation that goes on when the caller is cancelled.

        Args:
            operation: What to do.
            deadline: Seconds after which the caller is told that the database is gone; what is
                still under way a second later is cut.

        Raises:
            StoreUnavailableError: The deadline has passed.
        """
        loop = asyncio.get_running_loop()
        task = asyncio.Task(operation, loop=loop, eager_start=True)
        if deadline is not None and not task.done():
            # Later than its caller is told, who must not take this for a cancellation.
            timer = loop.call_later(deadline + 1, task.cancel)
            task.add_done_callback(lambda _: timer.cancel())
        self._running.add(task)
        task.add_done_callback(self._ended)
        if deadline is None or task.done():
            return await asyncio.shield(task)
        try:
            async with asyncio.timeout(deadline):
                return await asyncio.shield(task)
        except TimeoutError as error:
            raise StoreUnavailableError(UNKNOWN) from error

    async def drained(self) -> None:
        """Wait until nothing is under way."""
        while self._running:
            await asyncio.wait(self._running)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when the caller has gone
