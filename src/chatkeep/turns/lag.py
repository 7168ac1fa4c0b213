"""How late the event loop is, and whether that is a hiccup or lasts."""

import asyncio

PERIOD = 0.1
"""Seconds between two looks."""

_WEIGHT = 0.2
_WORST = 4
"""How many limits a single look counts at most: one hiccup, however long, stays below the limit."""


class Lag:
    """A decaying mean of how late the event loop comes to its timers.

    Args:
        limit: Seconds above which it is high; it is until it has fallen to half of that. 0: it
            never is.

    Attributes:
        seconds: The mean.
        high: Whether the loop is late, and has been for a while.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self.seconds = 0.0
        self.high = False

    def note(self, late: float) -> None:
        """Take in by how many seconds one timer was late."""
        limit = self._limit
        self.seconds += _WEIGHT * (min(late, _WORST * limit) - self.seconds)
        if self.seconds > limit:
            self.high = True
        elif self.seconds <= limit / 2:
            self.high = False

    async def look(self) -> None:
        """Wait for a timer, and note how late it was."""
        loop = asyncio.get_running_loop()
        due = loop.time() + PERIOD
        await asyncio.sleep(PERIOD)
        self.note(loop.time() - due)
