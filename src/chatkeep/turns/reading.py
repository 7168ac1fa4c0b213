"""Reading a turn's events, wherever it runs: from memory here, from the store for all others.

A reader holds nothing but its place. One that reads slowly, or not at all, costs nothing but what
the connection below it has taken, and does not slow the turn.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, Self

from chatkeep.context import RequestContext
from chatkeep.errors import PrunedError
from chatkeep.ports import Store, Turn
from chatkeep.turns.bell import asked_for, heard_within
from chatkeep.turns.engine import TurnEngine
from chatkeep.turns.log import Numbered, TurnLog, read_row

_ROWS = 20
_LOOK_SECONDS = 0.5
_BATCH_BYTES = 64 * 1024


class Then(Enum):
    """What comes behind the events that were read."""

    MORE = "more"
    """Perhaps more."""
    NOTHING = "nothing"
    """The turn has ended."""
    ELSEWHERE = "elsewhere"
    """This instance has no more to give: ask another one."""


class Batch(NamedTuple):
    """Some events, in order, and what comes then; before them, a remark for the reader."""

    events: Sequence[Numbered]
    then: Then
    comment: str | None = None


class TurnReader:
    """Reads one turn from behind a number.

    Args:
        engine: What runs here.
        store: Where turns are stored.
        turn_id: The turn.
        after: The number of the last event that the reader has.
        context: Who reads.
    """

    def __init__(
        self, engine: TurnEngine, store: Store, turn_id: str, after: int, context: RequestContext
    ) -> None:
        self._engine = engine
        self._store = store
        self._turn_id = turn_id
        self._after = after
        self._context = context
        self._counted: TurnLog | None = None
        self._served = False

    def __enter__(self) -> Self:
        """Follow the turn: when it ends here, the user has seen it."""
        if (running := self._engine.find(self._turn_id)) is not None:
            self._counted = running.log
            self._counted.readers += 1
        return self

    def __exit__(self, *_: object) -> None:
        """Follow it no more."""
        if self._counted is not None:
            self._counted.readers -= 1

    @property
    def noted(self) -> bool:
        """Whether the turn's end itself has noted that the user has seen it."""
        log = self._counted
        return log is not None and log.seen and not log.lost

    async def next(self, seconds: float) -> Batch:
        """Return what comes next; nothing if that takes longer than some seconds.

        Raises:
            NotFoundError: There is no such turn.
            PrunedError: The events are not kept any more.
            StoreUnavailableError: They cannot be read.
        """
        running = self._engine.find(self._turn_id)
        if running is None or running.log.lost:
            return await self._stored(seconds)
        log = running.log
        await log.wait(self._after, seconds)
        events = log.behind(self._after)
        if events is None:
            return await self._stored(seconds)
        batch = _cut(events)
        self._move(batch)
        ended = log.ended and not log.lost and self._after >= log.shown
        return Batch(batch, Then.NOTHING if ended else Then.MORE)

    async def _stored(self, seconds: float) -> Batch:
        # Before it looks, so that it misses nothing in between.
        with self._engine.bell.listening(self._turn_id) as heard:
            if rows := await self._rows():
                self._served = True
                return Batch(rows, Then.MORE)
            turn = await self._store.load_turn(self._turn_id, self._context)
            if turn.ended_at is not None:
                return await self._last(turn)
            if self._engine.draining.is_set():
                return Batch((), Then.ELSEWHERE)
            self._ask()
            await heard_within(heard, min(seconds, _LOOK_SECONDS))
            return Batch((), Then.MORE)

    def _ask(self) -> None:
        """Have the turn's instance store what it has, so that a reader who comes need not wait.

        Once it has got something, the usual pace will do.
        """
        if not self._served:
            self._engine.bell.publish([asked_for(self._turn_id)])

    async def _last(self, turn: Turn) -> Batch:
        """Return what an ended turn has left: all of it is stored."""
        rows = await self._rows()
        if not rows and self._after < turn.last_event:
            raise PrunedError
        ended = self._after >= turn.last_event
        return Batch(rows, Then.NOTHING if ended else Then.MORE)

    async def _rows(self) -> Sequence[Numbered]:
        rows = await self._store.load_turn_events(self._turn_id, self._after, _ROWS, self._context)
        events = [event for row in rows for event in read_row(row, self._after)]
        self._move(events)
        return events

    def _move(self, events: Sequence[Numbered]) -> None:
        if events:
            self._after = events[-1].number


def _cut(events: Sequence[Numbered]) -> Sequence[Numbered]:
    """Return the first events, as many as may be sent at once."""
    size = 0
    for count, event in enumerate(events, start=1):
        size += len(event.json)
        if size >= _BATCH_BYTES:
            return events[:count]
    return events
