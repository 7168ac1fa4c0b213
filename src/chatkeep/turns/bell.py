"""Waking whoever waits for news of a turn or a thread."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


class Bell:
    """Rings are hints: who waits looks into the store, with or without one.

    Attributes:
        publish: Takes ids to the other instances; see `chatkeep.ports.Relay`.
    """

    def __init__(self) -> None:
        self.publish: Callable[[Sequence[str]], None] = _to_nobody
        self._listening: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def tell(self, ids: Sequence[str]) -> None:
        """Wake those who listen for one of these ids, here and elsewhere."""
        self.ring(ids)
        self.publish(ids)

    def ring(self, ids: Sequence[str]) -> None:
        """Wake those who listen for one of these ids here."""
        for each in ids:
            for heard in self._listening.get(each, ()):
                heard.set()

    @contextmanager
    def listening(self, *ids: str) -> Iterator[asyncio.Event]:
        """Listen for ids: the event is set by a ring, and cleared by who has looked."""
        heard = asyncio.Event()
        for each in ids:
            self._listening[each].add(heard)
        try:
            yield heard
        finally:
            for each in ids:
                self._listening[each].discard(heard)
                if not self._listening[each]:
                    del self._listening[each]


def asked_for(turn_id: str) -> str:
    """Return what a reader elsewhere rings, so that the turn's instance stores what it has."""
    return f"{turn_id}?"


async def heard_within(heard: asyncio.Event, seconds: float) -> None:
    """Return when the bell rang, or it is late."""
    try:
        async with asyncio.timeout(seconds):
            await heard.wait()
    except TimeoutError:
        return
    heard.clear()


def _to_nobody(ids: Sequence[str]) -> None:
    del ids
