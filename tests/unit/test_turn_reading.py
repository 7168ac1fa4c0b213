"""Reading turns and threads: from memory, from rows, across turns, behind any number."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from chatkit.types import ThreadMetadata, ThreadStreamEvent
from pydantic_core import from_json

from chatkeep.errors import NotFoundError, PrunedError
from chatkeep.ports import Store, Turn
from chatkeep.stores import open_store
from chatkeep.turns.following import ThreadReader
from chatkeep.turns.reading import Then
from support.turns import (
    ANN,
    BOB,
    Brittle,
    Hold,
    Instance,
    added,
    answering,
    done,
    piece,
    silent,
    streamed,
)
from support.waiting import PATIENCE, until

FAR = datetime(2100, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture
async def brittle(tmp_path: Path) -> AsyncIterator[Brittle]:
    """A store without a thread."""
    opened = Brittle(open_store("memory://", data_dir=tmp_path))
    await opened.open()
    yield opened
    await opened.aclose()


@pytest.fixture
def store(brittle: Brittle) -> Store:
    """The same."""
    return brittle.store


@pytest_asyncio.fixture
async def here(store: Store, tmp_path: Path) -> AsyncIterator[Instance]:
    """The instance that works."""
    instance = Instance(store, tmp_path, answering("one ", "two ", "three"))
    yield instance
    await instance.aclose()


@pytest_asyncio.fixture
async def elsewhere(store: Store, tmp_path: Path) -> AsyncIterator[Instance]:
    """Another instance, which has the rows only."""
    instance = Instance(store, tmp_path)
    yield instance
    await instance.aclose()


def documents(events: list[tuple[int, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return events without their numbers."""
    return [event for _, event in events]


async def test_every_place_to_begin_gives_the_same_turn(
    here: Instance, elsewhere: Instance
) -> None:
    """Live events up to any number and the rows behind it are the turn, wherever they are read."""
    here.server.say = (hold := Hold("one ", "two")).say
    turn = await here.ask()
    live = await here.read(turn.id, until=5)
    hold.go.set()
    live += await here.read(turn.id, live[-1][0])
    await here.ended(turn.id)

    assert [number for number, _ in live] == list(range(1, len(live) + 1))
    assert streamed(documents(live)) == "one two"
    for instance in (here, elsewhere):
        for after in range(len(live) + 1):
            rest = await instance.read(turn.id, after)
            assert streamed(documents(live[:after] + rest)) == "one two"
            whole = [event for event in documents(live[:after] + rest) if "update" not in event]
            assert whole == [event for event in documents(live) if "update" not in event]


async def test_a_running_turn_is_followed_from_another_instance(
    here: Instance, elsewhere: Instance
) -> None:
    """What is stored while it runs is read there, and the end."""
    here.server.say = (hold := Hold("one ", "two")).say
    turn = await here.ask()

    begun = await elsewhere.read(turn.id, until=5)
    assert streamed(documents(begun)) == "one "
    hold.go.set()
    rest = await elsewhere.read(turn.id, begun[-1][0])

    assert streamed(documents(begun + rest)) == "one two"
    assert rest[-1][1]["type"] == "thread.item.done"


async def test_a_reader_that_is_far_behind_reads_the_rows(here: Instance) -> None:
    """What memory does not keep any more comes from the store, and then from memory again."""
    go = asyncio.Event()

    async def say(thread: ThreadMetadata, _: Any) -> AsyncIterator[ThreadStreamEvent]:
        yield added("msg_a", thread.id)
        for number in range(100):
            await asyncio.sleep(0)
            yield piece("msg_a", f"{number:04}" * 1000)
        await go.wait()
        yield piece("msg_a", "end")
        yield done("msg_a", "whole", thread.id)

    here.server.say = say
    turn = await here.ask()
    running = here.engine.find(turn.id)
    assert running
    await until(lambda: running.log.behind(0) is None)
    begun = await here.read(turn.id, until=running.log.last)
    go.set()
    rest = await here.read(turn.id, begun[-1][0])

    expected = "".join(f"{number:04}" * 1000 for number in range(100)) + "end"
    assert streamed(documents(begun + rest)) == expected


async def test_a_batch_is_bounded(here: Instance) -> None:
    """A reader never holds more than a part of the log, wherever that is read."""
    here.server.say = (hold := Hold("x" * 70_000, "y")).say
    turn = await here.ask()
    await here.read(turn.id, until=5)
    with here.reader(turn.id) as reader:
        first = await reader.next(0.01)
        second = await reader.next(0.01)

    assert sum(len(event.json) for event in first.events) < 140_000
    assert first.events[-1].number == 5
    assert second.events == []
    hold.go.set()


async def test_events_that_are_pruned_are_not_there(here: Instance, store: Store) -> None:
    """Whoever has seen all of it is told the end; others are told to load the thread."""
    turn = await here.ask()
    await here.events(turn.id)
    ended = await here.ended(turn.id)
    assert await store.prune_turn_events(FAR, 10) == 1

    with pytest.raises(PrunedError):
        await here.read(turn.id)
    assert await here.read(turn.id, ended.last_event) == []


@pytest.mark.parametrize("turn_id", ["trn_unknown", None])
async def test_turns_of_others_are_not_there(here: Instance, turn_id: str | None) -> None:
    """Neither one that does not exist, nor one of another user once it is in the store only."""
    turn = await here.ask()
    await here.ended(turn.id)

    with pytest.raises(NotFoundError):
        await here.reader(turn_id or turn.id, context=BOB).next(0)


async def test_a_deleted_turn_is_gone_for_its_readers(
    here: Instance, elsewhere: Instance, store: Store
) -> None:
    """A reader of a thread that is deleted learns of it."""
    here.server.say = Hold().say
    turn = await here.ask()
    await elsewhere.read(turn.id, until=1)
    await store.delete_thread(turn.thread_id, ANN)

    with pytest.raises(NotFoundError):
        await elsewhere.read(turn.id, 5)


async def test_an_instance_that_drains_sends_readers_away(
    here: Instance, elsewhere: Instance
) -> None:
    """Readers of turns that run on other instances are not kept."""
    here.server.say = (hold := Hold()).say
    turn = await here.ask()
    await elsewhere.aclose()

    async with asyncio.timeout(PATIENCE):
        with elsewhere.reader(turn.id, 5) as reader:
            while (batch := await reader.next(0.01)).then is Then.MORE:
                pass
    assert batch.then is Then.ELSEWHERE
    hold.go.set()


async def test_the_end_notes_that_it_was_seen(here: Instance, elsewhere: Instance) -> None:
    """By whoever reads where the turn ends; for others that is still to do."""
    here.server.say = (hold := Hold()).say
    turn = await here.ask()
    with here.reader(turn.id) as near, elsewhere.reader(turn.id) as far:
        hold.go.set()
        await here.ended(turn.id)
        assert near.noted
        assert not far.noted
    (summary,) = (await here.store.load_summaries(5, None, "desc", ANN)).data
    assert not summary.unread

    again = await here.ask("more", turn.thread_id)
    await here.ended(again.id)
    (summary,) = (await here.store.load_summaries(5, None, "desc", ANN)).data
    assert summary.unread


async def test_a_reader_that_comes_while_the_end_is_stored_is_not_noted_by_it(
    here: Instance, brittle: Brittle, store: Store
) -> None:
    """What is stored says nobody has seen it: the reader has to say so itself."""
    gate = brittle.gate("end_turn")
    turn = await here.ask()
    await until(lambda: "end_turn" in brittle.calls)
    with here.reader(turn.id) as late:
        gate.set()
        await here.ended(turn.id)
        (summary,) = (await store.load_summaries(5, None, "desc", ANN)).data

        assert summary.unread
        assert not late.noted


class Follower:
    """Follows a thread, and has what came."""

    def __init__(self, at: Instance, thread_id: str, after: int | None = None) -> None:
        self._reader = ThreadReader(at.engine, at.store, thread_id, after, ANN)
        self.turns: list[str] = []
        self.events: list[tuple[int, dict[str, Any]]] = []

    async def step(self) -> Then:
        """Read on."""
        batch = await self._reader.next(0.05)
        if batch.comment:
            self.turns.append(batch.comment.removeprefix("turn "))
        self.events += [(number, from_json(json)) for number, json in batch.events]
        return batch.then

    async def until(self, kind: str, count: int = 1) -> None:
        """Read until so many events of a type have come."""
        async with asyncio.timeout(PATIENCE):
            while sum(event["type"] == kind for _, event in self.events) < count:
                assert await self.step() is Then.MORE


async def finished(at: Instance, turn: Turn) -> Turn:
    """Return a turn when it has ended."""
    return await at.ended(turn.id)


async def test_a_thread_is_followed_from_one_turn_to_the_next(
    here: Instance, elsewhere: Instance
) -> None:
    """Numbers grow over all turns, and going on behind any of them gives the same."""
    here.server.say = (hold := Hold("one ", "two")).say
    first = await here.ask()
    followers = [Follower(at, first.thread_id) for at in (here, elsewhere)]
    for each in followers:
        await each.until("thread.item.updated")
    hold.go.set()
    await finished(here, first)
    second = await here.ask("more", first.thread_id)
    await finished(here, second)
    for each in followers:
        await each.until("thread.item.done", 4)
        numbers = [number for number, _ in each.events]
        assert numbers == sorted(set(numbers))
        assert each.turns == [first.id, second.id]
    assert streamed(documents(followers[0].events)) == "one twoone two"

    live = followers[0].events
    for at in (here, elsewhere):
        for count in range(1, len(live)):
            again = Follower(at, first.thread_id, live[count - 1][0])
            await again.until(live[-1][1]["type"], ends_in(live[count:]))
            assert streamed(documents(live[:count] + again.events)) == "one twoone two"


def ends_in(events: list[tuple[int, dict[str, Any]]]) -> int:
    """Return how many of these events are of the type of the last one."""
    return sum(event["type"] == events[-1][1]["type"] for _, event in events)


async def test_who_follows_a_thread_has_seen_its_turns(here: Instance, elsewhere: Instance) -> None:
    """Also those that end where nobody reads them."""
    here.server.say = (hold := Hold()).say
    turn = await here.ask()
    follower = Follower(elsewhere, turn.thread_id)
    await follower.until("thread.item.added")
    hold.go.set()
    await finished(here, turn)
    await follower.until("thread.item.done", 2)
    (summary,) = (await here.store.load_summaries(5, None, "desc", ANN)).data
    assert summary.unread

    assert await follower.step() is Then.MORE  # comes for more, and so has got all of it
    assert await follower.step() is Then.MORE

    (summary,) = (await here.store.load_summaries(5, None, "desc", ANN)).data
    assert not summary.unread


async def test_following_begins_with_what_comes_next(here: Instance) -> None:
    """A turn that has ended is in the thread; one to come is followed from its first event."""
    first = await here.ask()
    await finished(here, first)
    follower = Follower(here, first.thread_id)
    assert await follower.step() is Then.MORE
    second = await here.ask("more", first.thread_id)

    await follower.until("thread.item.done", 2)

    assert follower.turns == [second.id]


async def test_a_thread_without_a_turn_can_be_followed(here: Instance, store: Store) -> None:
    """A thread may be empty, or come from an import."""
    here.server.say = silent
    await store.save_thread(ThreadMetadata(id="thr_1", created_at=FAR), ANN)
    follower = Follower(here, "thr_1")
    assert await follower.step() is Then.MORE
    turn = await here.ask("hello", "thr_1")

    await follower.until("thread.item.done")

    assert follower.turns == [turn.id]


async def test_a_turn_that_was_pruned_is_passed_over(here: Instance, store: Store) -> None:
    """Who was away for long goes on with the next turn."""
    first = await here.ask()
    follower = Follower(here, first.thread_id)
    await follower.until("thread.item.done")
    await finished(here, first)
    await store.prune_turn_events(FAR, 10)
    second = await here.ask("more", first.thread_id)
    again = Follower(here, first.thread_id, follower.events[0][0])

    await again.until("thread.item.done", 2)

    assert again.turns == [first.id, second.id]


async def test_following_ends_with_the_thread_and_the_instance(
    here: Instance, store: Store
) -> None:
    """A deleted thread is an error; an instance that drains sends its readers to another one."""
    turn = await here.ask()
    await finished(here, turn)
    follower = Follower(here, turn.thread_id)
    await follower.step()
    await here.aclose()
    assert await follower.step() is Then.ELSEWHERE
    await store.delete_thread(turn.thread_id, ANN)

    with pytest.raises(NotFoundError):
        await follower.step()
