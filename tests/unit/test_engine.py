"""Turns as work of their own: reading, leaving, stopping, draining."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from chatkeep.errors import ConflictError, ShuttingDownError, StoreUnavailableError
from chatkeep.turns.engine import TurnEngine
from support.waiting import until

pytestmark = pytest.mark.usefixtures("instant_time")

KEY = ("tenant", "user", "thread")


class Work:
    """Events that note how they ended."""

    def __init__(self, count: int, gap: float = 0.0) -> None:
        self.count = count
        self.gap = gap
        self.produced = 0
        self.saved: str | None = None

    async def events(self) -> AsyncGenerator[bytes]:
        """Yield `count` chunks; save on cancellation, as the SDK does."""
        try:
            for number in range(self.count):
                await asyncio.sleep(self.gap)
                self.produced += 1
                yield b"%d," % number
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)  # a store awaits: a second cancellation would show here
            self.saved = "partial"
            raise
        self.saved = "all"


async def test_a_reader_gets_everything_in_order() -> None:
    """All chunks arrive once, in order, joined where several waited."""
    turn = TurnEngine().start(KEY, Work(1000).events())

    received = b"".join([chunk async for chunk in turn.read()])

    assert received == b"".join(b"%d," % number for number in range(1000))


async def test_the_last_chunk_and_the_end_may_come_together() -> None:
    """A reader that wakes late sees the rest and then the end."""
    turn = TurnEngine().start(KEY, Work(3).events())
    await turn.task

    assert [chunk async for chunk in turn.read()] == [b"0,1,2,"]


async def test_nobody_reading_holds_the_work_back() -> None:
    """What waits for a reader is bounded."""
    work = Work(100_000)
    turn = TurnEngine().start(KEY, work.events())
    await until(lambda: work.produced >= 256)
    await asyncio.sleep(60)

    assert work.produced <= 257
    turn.cancel()
    await turn.task


@pytest.mark.parametrize("gap", [0.0, 0.01])
async def test_stopping_reaches_the_work_as_a_cancellation(gap: float) -> None:
    """Whether it waits for the model or for its reader, stopped work saves what it has."""
    work = Work(100_000, gap)
    turn = TurnEngine().start(KEY, work.events())
    await until(lambda: work.produced >= (3 if gap else 256))
    await asyncio.sleep(gap / 2)

    turn.cancel()
    turn.cancel()
    await turn.task

    assert work.saved == "partial"


async def test_stopping_before_the_start_stops() -> None:
    """A turn that is stopped before it ran ends without a trace."""
    work = Work(10)
    turn = TurnEngine().start(KEY, work.events())
    turn.cancel()
    await turn.task

    assert work.produced <= 1


async def test_stopping_an_ended_turn_does_nothing() -> None:
    """Stop after the end is no error."""
    work = Work(1)
    turn = TurnEngine().start(KEY, work.events())
    await turn.task
    turn.cancel()

    assert work.saved == "all"


async def test_a_partial_that_cannot_be_saved_does_not_hang_the_reader() -> None:
    """When the store is gone at the end of a stopped turn, its reader still gets an end."""

    async def events() -> AsyncGenerator[bytes]:
        try:
            yield b"text"
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise StoreUnavailableError from None

    turn = TurnEngine().start(KEY, events())
    await asyncio.sleep(0.01)
    turn.cancel()

    assert [chunk async for chunk in turn.read()] == [b"text"]


async def test_a_thread_has_one_running_turn() -> None:
    """A second turn of a thread is refused until the first has ended; other threads are free."""
    engine = TurnEngine()
    turn = engine.start(KEY, Work(5, 0.01).events())
    second = Work(1)

    with pytest.raises(ConflictError):
        engine.start(KEY, second.events())
    other = engine.start(("tenant", "somebody else", "thread"), Work(1).events())
    await asyncio.gather(turn.task, other.task)
    again = engine.start(KEY, Work(1).events())

    assert second.produced == 0
    await again.task


async def test_a_stopped_turn_is_waited_for() -> None:
    """Right behind a stop the thread is free again; a turn that runs is not waited for."""
    engine = TurnEngine()
    work = Work(100_000, 1)
    turn = engine.start(KEY, work.events())
    await until(lambda: work.produced >= 3)
    await engine.settled(KEY)
    assert not turn.task.done()

    turn.cancel()
    await engine.settled(KEY)
    assert work.saved == "partial"
    await engine.start(KEY, Work(1).events()).task
    await engine.settled(KEY)


async def test_draining_lets_turns_finish_and_stops_the_late_ones() -> None:
    """Turns within the grace end by themselves, later ones save their partial, new ones wait."""
    engine = TurnEngine()
    quick, endless = Work(3, 1), Work(100_000, 1)
    engine.start(("t", "u", "quick"), quick.events())
    late = engine.start(("t", "u", "endless"), endless.events())

    await engine.drain(5, b"goodbye")

    assert (quick.saved, endless.saved) == ("all", "partial")
    assert [chunk async for chunk in late.read()][-1].endswith(b",goodbye")
    with pytest.raises(ShuttingDownError):
        engine.start(KEY, Work(1).events())


async def test_a_drain_can_be_hurried() -> None:
    """A second signal ends the grace at once; partial answers are saved all the same."""
    engine = TurnEngine()
    endless = Work(100_000, 1)
    engine.start(KEY, endless.events())
    loop = asyncio.get_running_loop()
    started = loop.time()
    loop.call_later(5, engine.hurry)

    await engine.drain(60)

    assert endless.saved == "partial"
    assert loop.time() - started < 6
