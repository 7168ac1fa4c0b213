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
        self._listening: defaultdict[str, set[Callable[[], None]]] = defaultdict(set)

    def tell(self, ids: Sequence[str]) -> None:
        """Wake those who listen for one of these ids, here and elsewhere."""
        self.ring(ids)
        self.publish(ids)

    def ring(self, ids: Sequence[str]) -> None:
        """Wake those who listen for one of these ids here."""
        for each in ids:
            for hear in list(self._listening.get(each, ())):
                hear()

    @contextmanager
    def listening(self, *ids: str) -> Iterator[asyncio.Event]:
        """Listen for ids: the event is set by a ring, and cleared by who has looked."""
        heard = asyncio.Event()
        with self.answering(heard.set, *ids):
            yield heard

    @contextmanager
    def answering(self, hear: Callable[[], None], *ids: str) -> Iterator[None]:
        """Have something called, quick as it must be, whenever one of these ids is rung here."""
        for each in ids:
            self._listening[each].add(hear)
        try:
            yield
        finally:
            for each in ids:
                self._listening[each].discard(hear)
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
