"""A time limit on many short waits, one after the other."""

import asyncio
from types import TracebackType
from typing import Self


class Deadline:
    """Raises `TimeoutError` in its block where the code waits when a moment has passed.

    That moment is moved at next to no cost: the timer is set anew only when it fires too early.
    """

    def __init__(self) -> None:
        self._timeout = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._fires = 0.0
        self._due: float | None = None

    async def __aenter__(self) -> Self:
        """Begin, without a limit."""
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def set(self, due: float) -> None:
        """Set the moment, in the loop's time."""
        self._due = due
        if self._timer is None or due < self._fires:
            self._arm(due)

    def clear(self) -> None:
        """Have no limit until the next one is set."""
        self._due = None

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires = due
        self._timer = self._loop.call_at(due, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._due is None:
            return
        now = self._loop.time()
        if now >= self._due:
            self._timeout.reschedule(now)
        else:
            self._arm(self._due)
