"""What every relay does with ids: look at them, join them, bound them, wake with them."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog

from chatkeep.ports import Wake

MOST = 4096
"""Ids that may wait to be sent; what comes beyond is dropped."""
_LONGEST = 64

_log = structlog.get_logger(__name__)


def is_id(text: str) -> bool:
    """Say whether this can be sent as an id."""
    return 0 < len(text) <= _LONGEST and text.isascii() and text.isprintable()


class Batch:
    """Ids that are published within a moment, each once."""

    def __init__(self, seconds: float, deliver: Callable[[Sequence[str]], None]) -> None:
        self._seconds = seconds
        self._deliver = deliver
        self._ids: dict[str, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, ids: Iterable[str]) -> int:
        """Take ids, to be delivered in a moment; return how many were dropped."""
        dropped = 0
        for each in ids:
            if each in self._ids:
                continue
            if len(self._ids) < MOST and is_id(each):
                self._ids[each] = None
            else:
                dropped += 1
        if self._ids and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self.flush)
        return dropped

    def flush(self) -> None:
        """Deliver what waits, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ids, self._ids = tuple(self._ids), {}
        if ids:
            self._deliver(ids)


def guarded(wake: Wake) -> Wake:
    """Return a wake-up whose mistakes do not stop the next ones."""

    def call(ids: Sequence[str]) -> None:
        try:
            wake(ids)
        except Exception as error:  # noqa: BLE001 - somebody else's; the connection is not at fault
            _log.error("a wake-up failed", error=type(error).__name__)

    return call
