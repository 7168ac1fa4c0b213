"""Following a thread: the turn that runs, then the ones after it, in one sequence of numbers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Self

import structlog

from chatkeep.context import RequestContext
from chatkeep.errors import ChatkeepError, PrunedError
from chatkeep.ports import Store, Turn
from chatkeep.turns.bell import heard_within
from chatkeep.turns.engine import TurnEngine
from chatkeep.turns.log import Numbered
from chatkeep.turns.reading import Batch, Then, TurnReader

_NUMBER_BITS = 22
_LOOK_SECONDS = 1.0
_TICK = timedelta(milliseconds=1)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

_log = structlog.get_logger(__name__)


class ThreadReader:
    """Reads the turns of a thread, one after the other, without an end.

    An event's number is the moment at which its turn was asked for, in milliseconds since 1970,
    which no two turns of a thread share, and in the lower 22 bits its number in the turn.

    Args:
        engine: What runs here.
        store: Where turns are stored.
        thread_id: The thread.
        after: The number of the last event that the reader has; None: it begins with the turn
            that runs, or with the next one.
        context: Who reads.
    """

    noted = True
    """Whoever follows a thread has seen each of its turns: that is noted as one ends."""

    def __init__(
        self,
        engine: TurnEngine,
        store: Store,
        thread_id: str,
        after: int | None,
        context: RequestContext,
    ) -> None:
        self._engine = engine
        self._store = store
        self._thread_id = thread_id
        self._after = after
        self._context = context
        self._since: datetime | None = None
        self._turn: Turn | None = None
        self._reader: TurnReader | None = None
        self._unnoted = False

    def __enter__(self) -> Self:
        """Follow the thread."""
        return self

    def __exit__(self, *_: object) -> None:
        """Follow it no more."""
        self._close()

    async def next(self, seconds: float) -> Batch:
        """Return what comes next; nothing if that takes longer than some seconds.

        Raises:
            NotFoundError: The thread has been deleted.
            StoreUnavailableError: It cannot be read.
        """
        if self._unnoted:
            await self._note_seen()  # who asks for more has got the end of the turn
        if self._reader is None or self._turn is None:
            return await self._begin(seconds)
        pruned = False
        try:
            batch = await self._reader.next(seconds)
        except PrunedError:
            batch, pruned = Batch((), Then.NOTHING), True
        events = self._numbered(self._turn, batch.events)
        if batch.then is not Then.NOTHING:
            return Batch(events, batch.then)
        self._since = self._turn.created_at
        self._unnoted = not (pruned or self._reader.noted)
        self._close()
        return Batch(events, Then.MORE)

    async def _note_seen(self) -> None:
        """Note what the end of a turn elsewhere could not: that its user has seen it."""
        self._unnoted = False
        try:
            await self._store.mark_read(self._thread_id, self._context)
        except ChatkeepError as error:
            _log.info("not marked as read", error=type(error).__name__)

    async def _begin(self, seconds: float) -> Batch:
        """Go on to the next turn, if there is one."""
        with self._engine.bell.listening(self._thread_id) as heard:
            turn, after = await self._next_turn()
            if turn is not None:
                self._turn = turn
                self._reader = TurnReader(
                    self._engine, self._store, turn.id, after, self._context
                ).__enter__()
                return Batch((), Then.MORE, comment=f"turn {turn.id}")
            if self._engine.draining.is_set():
                return Batch((), Then.ELSEWHERE)
            await heard_within(heard, min(seconds, _LOOK_SECONDS))
            return Batch((), Then.MORE)

    async def _next_turn(self) -> tuple[Turn | None, int]:
        """Return the turn to read, and behind which of its events."""
        if self._since is None and self._after is None:
            turn = await self._store.load_thread_turn(self._thread_id, self._context)
            if turn is None or turn.ended_at is None:
                self._since = _BEGINNING
                return turn, 0
            self._since = turn.created_at
        if self._since is None and self._after is not None:
            moment, number = divmod(self._after, 1 << _NUMBER_BITS)
            began = _BEGINNING + timedelta(milliseconds=moment)
            self._since = began - _TICK
            turn = await self._newer(self._since)
            return turn, number if turn is not None and turn.created_at == began else 0
        return await self._newer(self._since or _BEGINNING), 0

    async def _newer(self, since: datetime) -> Turn | None:
        turns = await self._store.load_thread_turns(self._thread_id, since, 1, self._context)
        return turns[0] if turns else None

    def _numbered(self, turn: Turn, events: Sequence[Numbered]) -> list[Numbered]:
        moment = (turn.created_at - _BEGINNING) // _TICK << _NUMBER_BITS
        return [Numbered(moment | number, json) for number, json in events]

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.__exit__()
        self._reader = self._turn = None
