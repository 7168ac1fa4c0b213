"""Whether a new turn is taken: not when those that run would suffer.

Three things are bounded. How many turns run; how late the event loop may be while they do; and how
many turns are being begun at once, which is the dearest part of one. More of these stand in a line
for a moment, in their order: a rush of a second is served, while a line that does not end is kept
short, as who is taken from it should not have waited for long.

What goes on is never asked here: streams that are read on, stops, lists.
"""

import asyncio
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

import structlog

from chatkeep.errors import OverloadedError
from chatkeep.turns.lag import Lag

_MOST = 1_000
_OTHER_FILES = 100
_FILES_OF_TURN = 2  # the connections of its reader and of its provider

_FEW = 8
"""With so few turns it is not their number that makes the loop late."""

_LINE = 64
_RUSH_SECONDS = 1.0
_RUSH_PATIENCE = 1.0
_PATIENCE = 0.1
_CALM_SECONDS = 5.0
"""How long nobody must have been refused for it to be over."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much an instance takes on.

    Attributes:
        turns: Turns that run, at most.
        lag: Seconds by which the event loop may be late; 0: that does not matter.
        starting: Turns that are being begun at once.
    """

    turns: int
    lag: float
    starting: int


def affordable_turns() -> int:
    """Return how many turns may run when nobody has said it: as files may be open for."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return _MOST
    return max(_FEW, min(_MOST, (files - _OTHER_FILES) // _FILES_OF_TURN))


@dataclass(slots=True)
class _Spell:
    """A time of refusals."""

    since: float
    last: float
    refused: int = 0


class Admission:
    """Takes new turns, or refuses them.

    Args:
        bounds: How much there may be.
        running: Says how many turns run here, those taken over among them.
    """

    def __init__(self, bounds: Bounds, running: Callable[[], int]) -> None:
        self._bounds = bounds
        self._running = running
        self._starting = 0
        self._places = asyncio.Semaphore(bounds.starting)
        self._waiting = 0
        self._line_was_empty = 0.0
        self._spell: _Spell | None = None
        self.lag = Lag(bounds.lag)

    @property
    def too_much(self) -> str | None:
        """What there is too much of for another turn, in a word; None when there is room."""
        begun = self._running() + self._starting
        if begun >= self._bounds.turns:
            return "turns"
        if self.lag.high and begun >= _FEW:
            return "lag"
        return None

    @property
    def overloaded(self) -> bool:
        """Whether turns are refused, or were a moment ago."""
        return self._spell is not None or self.too_much is not None

    @asynccontextmanager
    async def starting(self) -> AsyncIterator[None]:
        """Have a place for as long as a turn is being begun.

        Raises:
            OverloadedError: There is none, and there will not be one in a moment.
        """
        self._check()
        await self._line_up()
        try:
            self._check()
            self._starting += 1
            try:
                yield
            finally:
                self._starting -= 1
        finally:
            self._places.release()

    async def run(self) -> None:
        """Watch the event loop until cancelled."""
        while True:
            await self.lag.look()
            self._note_calm()

    def _check(self) -> None:
        if (cause := self.too_much) is not None:
            self._refuse(cause)

    async def _line_up(self) -> None:
        now = asyncio.get_running_loop().time()
        if not self._waiting:
            self._line_was_empty = now
        if not self._places.locked():
            await self._places.acquire()  # at once
            return
        if self._waiting >= _LINE:
            self._refuse("starts")
        rush = now - self._line_was_empty <= _RUSH_SECONDS
        self._waiting += 1
        try:
            async with asyncio.timeout(_RUSH_PATIENCE if rush else _PATIENCE):
                await self._places.acquire()
        except TimeoutError:
            self._refuse("starts")
        finally:
            self._waiting -= 1

    def _refuse(self, cause: str) -> NoReturn:
        now = asyncio.get_running_loop().time()
        if self._spell is None:
            self._spell = _Spell(now, now)
            _log.warning("new turns are refused", because=cause, **self._state())
        self._spell.last = now
        self._spell.refused += 1
        raise OverloadedError

    def _note_calm(self) -> None:
        spell, now = self._spell, asyncio.get_running_loop().time()
        if spell is None or now - spell.last < _CALM_SECONDS or self.too_much is not None:
            return
        self._spell = None
        seconds = round(spell.last - spell.since, 1)
        _log.info(
            "new turns are taken again", refused=spell.refused, seconds=seconds, **self._state()
        )

    def _state(self) -> dict[str, float]:
        return {"running": self._running(), "lag_ms": round(self.lag.seconds * 1000, 1)}
