"""Turns as work of their own: beginning, stopping, taking turns, draining."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from chatkit.types import ThreadMetadata, ThreadStreamEvent

from chatkeep.errors import (
    KeyReusedError,
    NotFoundError,
    ShuttingDownError,
    StoreUnavailableError,
    TurnRunningError,
)
from chatkeep.ports import TurnState
from chatkeep.turns import engine, keeping
from chatkeep.turns.recovery import Recovery
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
    stored_items,
    stored_texts,
    streamed,
    taken,
)
from support.waiting import PATIENCE, until


@pytest_asyncio.fixture
async def elsewhere(store: Brittle, tmp_path: Path) -> AsyncIterator[Instance]:
    """Another one."""
    instance = Instance(store.store, tmp_path, answering("three"))
    yield instance
    await instance.aclose()


async def test_a_message_is_safe_when_its_turn_has_begun(here: Instance, store: Brittle) -> None:
    """Thread, message and turn are stored before anybody is told of them; then it is answered."""
    turn = await here.ask("question")
    assert await stored_texts(store.real, turn.thread_id) == [("user_message", "question")]

    events = await here.events(turn.id)
    ended = await here.ended(turn.id)

    assert [event["type"] for event in events[:3]] == [
        "thread.created",
        "thread.item.done",
        "stream_options",
    ]
    assert streamed(events) == "one two"
    assert (ended.state, ended.reason, ended.request) == (TurnState.COMPLETED, None, "")
    assert await stored_texts(store.real, turn.thread_id) == [
        ("user_message", "question"),
        ("assistant_message", "one two"),
    ]


async def test_an_instance_that_stood_still_takes_its_own_turn(
    here: Instance, store: Brittle
) -> None:
    """What it had begun is stopped, as if another one had taken it; one of both ends the turn."""
    here.server.say = (hold := Hold()).say
    turn = await here.ask()
    await until(lambda: here.engine.running[0].touched)
    (before,) = here.engine.running

    here.engine.take(await taken(store.real, turn, here.engine.holder))
    ended = await here.ended(turn.id)

    assert before.task
    await asyncio.wait([before.task], timeout=PATIENCE)
    assert (before.stopping, hold.stopped) == ("lost", 1)
    assert (ended.state, ended.fence) == (TurnState.INTERRUPTED, 2)
    assert here.engine.running == []


async def test_what_cannot_be_stored_is_not_begun(here: Instance, store: Brittle) -> None:
    """Nothing runs for a message that was refused."""
    store.errors["begin_turn"] = [StoreUnavailableError()]
    with pytest.raises(StoreUnavailableError):
        await here.ask()

    assert here.engine.running == []
    assert here.server.asked == 0


async def test_a_thread_has_one_running_turn(here: Instance, elsewhere: Instance) -> None:
    """Another one is refused, on every instance, with the name of the first, until that ends."""
    here.server.say = (hold := Hold()).say
    turn = await here.ask()
    for instance in (here, elsewhere):
        with pytest.raises(TurnRunningError) as refused:
            await instance.ask("second", turn.thread_id)
        assert refused.value.turn_id == turn.id
    other = await elsewhere.ask("in another thread")
    await elsewhere.ended(other.id)
    hold.go.set()
    await here.ended(turn.id)

    again = await elsewhere.ask("second", turn.thread_id)
    await elsewhere.ended(again.id)
    texts = [text for _, text in await stored_texts(here.store, turn.thread_id)]
    assert texts == ["question", "one two", "second", "three"]


async def test_a_key_begins_one_turn(here: Instance, elsewhere: Instance) -> None:
    """Fifty at once with one key, on two instances: one message, one turn, one answer."""
    turns = await asyncio.gather(*(at.ask("question", key="key") for at in (here, elsewhere) * 25))
    (turn_id,) = {turn.id for turn in turns}
    await until(lambda: here.engine.running == elsewhere.engine.running == [])

    again = await here.ask("question", key="key")
    assert (again.id, again.state) == (turn_id, TurnState.COMPLETED)
    assert here.server.asked + elsewhere.server.asked == 1
    with pytest.raises(KeyReusedError):
        await here.ask("another question", key="key")
    other = await here.ask("question", key="key", context=BOB)
    assert other.id != turn_id
    assert len(await stored_texts(here.store, turns[0].thread_id)) == 2


async def test_a_stopped_turn_keeps_what_it_has(here: Instance, store: Brittle) -> None:
    """Its partial text is stored and told; the next message may follow at once."""
    here.server.say = (hold := Hold("one ")).say
    turn = await here.ask()
    await here.read(turn.id, until=5)

    stopped = await here.engine.cancel(turn.id, ANN)

    assert (stopped.state, stopped.reason, hold.stopped) == (TurnState.CANCELLED, "stopped", 1)
    events = await here.events(turn.id)
    assert events[-1]["type"] == "thread.item.done"
    assert events[-1]["item"]["content"][0]["text"] == "one "
    assert await stored_texts(store.real, turn.thread_id) == [
        ("user_message", "question"),
        ("assistant_message", "one "),
    ]
    assert (await stored_items(store.real, turn.thread_id))[-1].type == "sdk_hidden_context"
    for _ in range(2):
        assert await here.engine.cancel(turn.id, ANN) == stopped


async def test_a_message_behind_a_stop_waits_for_it(here: Instance) -> None:
    """Who stops and asks again at once is not refused."""
    here.server.say = Hold().say
    turn = await here.ask()
    await here.read(turn.id, until=5)
    stop = asyncio.create_task(here.engine.cancel(turn.id, ANN))
    await until(lambda: (found := here.engine.find(turn.id)) is None or found.stopping)
    here.server.say = answering("again")

    again = await here.ask("second", turn.thread_id)

    assert (await stop).state is TurnState.CANCELLED
    assert streamed(await here.events(again.id)) == "again"


async def test_a_turn_is_stopped_from_another_instance(here: Instance, elsewhere: Instance) -> None:
    """The one that works on it hears of it, and it is ended when the other one answers."""
    here.server.say = (hold := Hold()).say
    turn = await here.ask()
    await here.read(turn.id, until=5)

    stopped = await elsewhere.engine.cancel(turn.id, ANN)

    assert (stopped.state, hold.stopped) == (TurnState.CANCELLED, 1)
    with pytest.raises(NotFoundError):
        await elsewhere.engine.cancel(turn.id, BOB)


async def test_a_stop_behind_the_end_changes_nothing(here: Instance) -> None:
    """A turn that is complete stays complete."""
    turn = await here.ask()
    ended = await here.ended(turn.id)

    assert await here.engine.cancel(turn.id, ANN) == ended


async def test_a_stop_while_the_end_is_stored_changes_nothing(
    here: Instance, store: Brittle
) -> None:
    """All was said: the answer is complete, and no half of an end is stored."""
    gate = store.gate("end_turn")
    turn = await here.ask()
    await until(lambda: "end_turn" in store.calls)
    stop = asyncio.create_task(here.engine.cancel(turn.id, ANN))
    await until(lambda: (found := here.engine.find(turn.id)) is None or found.stopping)
    gate.set()

    assert (await stop).state is TurnState.COMPLETED


@pytest.mark.parametrize("last", [True, False])
async def test_a_stop_that_finds_no_place_to_arrive(
    here: Instance, store: Brittle, last: bool
) -> None:
    """Code that does not wait any more is complete, or stopped; its turn ends in any case."""
    gate = store.gate("touch_turn")

    async def say(thread: ThreadMetadata, _: Any) -> AsyncIterator[ThreadStreamEvent]:
        yield added("msg_a", thread.id)
        if not last:
            yield piece("msg_a", "text")
            yield done("msg_a", "text", thread.id)

    here.server.say = say
    turn = await here.ask()
    await until(lambda: "touch_turn" in store.calls)
    stop = asyncio.create_task(here.engine.cancel(turn.id, ANN))
    await until(lambda: (found := here.engine.find(turn.id)) is None or found.stopping)
    gate.set()

    stopped = await stop
    assert stopped.state in (TurnState.CANCELLED, TurnState.COMPLETED)
    assert here.engine.find(turn.id) is None


async def test_code_that_keeps_a_stop_to_itself_ends_its_turn(here: Instance) -> None:
    """What it says behind the stop is kept; the turn is stopped all the same."""
    asked = asyncio.Event()

    async def say(thread: ThreadMetadata, _: Any) -> AsyncIterator[ThreadStreamEvent]:
        yield added("msg_a", thread.id)
        with contextlib.suppress(asyncio.CancelledError):
            asked.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        yield piece("msg_a", "on and on")
        await asyncio.sleep(0.01)
        yield done("msg_a", "on and on", thread.id)

    here.server.say = say
    turn = await here.ask()
    await asked.wait()

    stopped = await here.engine.cancel(turn.id, ANN)

    assert stopped.state is TurnState.CANCELLED
    assert (await stored_texts(here.store, turn.thread_id))[1:] == [
        ("assistant_message", "on and on")
    ]
    again = await here.ask("second", turn.thread_id)
    assert again.state is TurnState.RUNNING


async def test_a_queued_turn_waits_for_its_place(here: Instance, store: Brittle) -> None:
    """It runs when the one before has ended; who waits for it gets all of it."""
    here.server.say = (hold := Hold()).say
    first = await here.ask("first")
    second = await here.ask("second", first.thread_id, queue=True)
    third = await here.ask("third", first.thread_id, queue=True)
    assert (second.state, third.state) == (TurnState.QUEUED, TurnState.QUEUED)
    recovery = asyncio.create_task(Recovery(store.store, here.engine).run())
    reading = asyncio.create_task(here.events(third.id))
    with pytest.raises(TurnRunningError):
        await here.ask("refused", first.thread_id)
    assert here.server.asked == 1

    hold.go.set()
    events = await reading
    recovery.cancel()

    assert streamed(events) == "one two"
    assert events[0]["item"]["content"][0]["text"] == "third"
    ended = [(await here.ended(turn.id)).ended_at for turn in (first, second, third)]
    assert ended == sorted(ended)  # type: ignore[type-var]
    assert here.server.asked == 3


async def test_a_queued_turn_is_stopped_at_once(here: Instance, store: Brittle) -> None:
    """It never runs, and its readers are told the end."""
    here.server.say = (hold := Hold()).say
    first = await here.ask("first")
    second = await here.ask("second", first.thread_id, queue=True)
    reading = asyncio.create_task(here.events(second.id))

    stopped = await here.engine.cancel(second.id, ANN)

    assert (stopped.state, stopped.reason) == (TurnState.CANCELLED, "stopped")
    assert [event["type"] for event in await reading] == ["thread.item.done"]
    hold.go.set()
    await here.ended(first.id)
    await Recovery(store.store, here.engine).take_all()
    assert here.server.asked == 1


async def test_the_turn_of_a_thread_is_stopped(here: Instance) -> None:
    """A thread that is about to be deleted has its turn stopped; one without is left alone."""
    here.server.say = (hold := Hold()).say
    turn = await here.ask()
    await here.read(turn.id, until=5)

    await here.engine.stop_thread(turn.thread_id, ANN)
    await here.engine.stop_thread(turn.thread_id, ANN)
    await here.engine.stop_thread("thr_unknown", ANN)

    assert hold.stopped == 1


async def test_failing_code_is_a_failed_turn(here: Instance) -> None:
    """One error event is the last; nothing of the error's text goes out."""

    async def say(thread: ThreadMetadata, _: Any) -> AsyncIterator[ThreadStreamEvent]:
        yield added("msg_a", thread.id)
        yield piece("msg_a", "text")
        raise RuntimeError("password=hunter2")

    here.server.say = say
    turn = await here.ask()

    events = await here.events(turn.id)

    assert [event["type"] for event in events[-2:]] == ["thread.item.updated", "error"]
    assert "reference req_test" in events[-1]["message"]
    assert events[-1]["allow_retry"]
    assert "hunter2" not in str(events)
    ended = await here.ended(turn.id)
    assert (ended.state, ended.reason) == (TurnState.FAILED, "error")


async def test_a_drain_lets_turns_finish(here: Instance) -> None:
    """Turns within the grace end by themselves; new ones are refused at once."""
    here.server.say = (hold := Hold("one ", "two")).say
    turn = await here.ask()
    drain = asyncio.create_task(here.engine.drain(PATIENCE))
    await here.engine.draining.wait()
    with pytest.raises(ShuttingDownError):
        await here.ask("too late")
    hold.go.set()
    await drain

    assert (await here.ended(turn.id)).state is TurnState.COMPLETED


async def test_a_drain_interrupts_what_has_begun(here: Instance, store: Brittle) -> None:
    """A turn that was shown in part ends with what it has, and says why."""
    here.server.say = Hold("one ").say
    turn = await here.ask()
    await here.read(turn.id, until=5)

    await here.engine.drain(0)

    ended = await here.ended(turn.id)
    assert (ended.state, ended.reason) == (TurnState.INTERRUPTED, "shutdown")
    events = await here.events(turn.id)
    assert [event["type"] for event in events[-2:]] == ["thread.item.done", "error"]
    assert "restarting" in events[-1]["message"]
    assert (await stored_texts(store.real, turn.thread_id))[1][1] == "one "


async def test_a_drain_stores_what_it_has_to_leave(
    here: Instance, store: Brittle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end that takes too long is for another instance, which finds all that was shown."""
    monkeypatch.setattr(engine, "_STOP_SECONDS", 0.1)
    monkeypatch.setattr(keeping, "_FLUSH_SECONDS", 3600.0)
    gate = store.gate("end_turn")
    here.server.say = Hold("one ").say
    turn = await here.ask()
    await here.read(turn.id, until=5)

    await here.engine.drain(0)

    rows = await store.real.load_turn_events(turn.id, 0, 100, ANN)
    assert rows[-1].last >= 5
    gate.set()
    await here.ended(turn.id)


async def test_a_drain_hands_over_what_has_not_begun(
    here: Instance, elsewhere: Instance, store: Brittle
) -> None:
    """A turn of which nothing was shown is begun anew elsewhere, with the same message."""
    asked = asyncio.Event()

    async def say(thread: ThreadMetadata, _: Any) -> AsyncIterator[ThreadStreamEvent]:
        asked.set()
        await asyncio.Event().wait()
        yield added("never", thread.id)

    here.server.say = say
    turn = await here.ask()
    reading = asyncio.create_task(elsewhere.events(turn.id))
    await asked.wait()
    await here.engine.drain(0)
    await Recovery(store.store, elsewhere.engine).take_all()

    assert streamed(await reading) == "three"
    ended = await elsewhere.ended(turn.id)
    assert (ended.state, ended.fence, ended.holder) == (
        TurnState.COMPLETED,
        2,
        elsewhere.engine.holder,
    )
    items = await stored_items(store.real, turn.thread_id)
    assert [item.type for item in items] == ["user_message", "assistant_message"]


async def test_a_drain_can_be_hurried(here: Instance) -> None:
    """A second signal ends the grace at once; partial answers are saved all the same."""
    here.server.say = (hold := Hold()).say
    turn = await here.ask()
    await here.read(turn.id, until=5)
    drain = asyncio.create_task(here.engine.drain(3600))
    await here.engine.draining.wait()
    here.engine.hurry()
    async with asyncio.timeout(PATIENCE):
        await drain

    assert hold.stopped == 1
    assert (await here.ended(turn.id)).state is TurnState.INTERRUPTED


async def test_a_server_of_somebody_else_is_never_begun_again(
    store: Brittle, tmp_path: Path, elsewhere: Instance
) -> None:
    """Its code may have done anything: the turn is interrupted, and can be retried."""
    asked = asyncio.Event()

    async def say(thread: ThreadMetadata, _: Any) -> AsyncIterator[ThreadStreamEvent]:
        asked.set()
        await asyncio.Event().wait()
        yield added("never", thread.id)

    here = Instance(store.store, tmp_path, say, own=False)
    turn = await here.ask()
    await asked.wait()
    await here.engine.drain(0)

    assert (await elsewhere.ended(turn.id)).state is TurnState.INTERRUPTED
