"""Keeping turns: rows, leases, stops from elsewhere, ends that take long, and taking over."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from chatkit.types import ProgressUpdateEvent, ThreadMetadata, ThreadStreamEvent
from pydantic_core import to_json
from structlog.testing import capture_logs

from chatkeep.errors import StoreUnavailableError
from chatkeep.ports import EventRow, Hold, Turn, TurnState
from chatkeep.stores import open_store
from chatkeep.testing.store_samples import MOMENT, leased, sign
from chatkeep.turns import ending, keeping, recovery
from chatkeep.turns.recovery import Recovery
from support.turns import (
    ANN,
    Brittle,
    Instance,
    added,
    answering,
    done,
    piece,
    stored_items,
    stored_texts,
    streamed,
)
from support.turns import Hold as Halves
from support.waiting import until


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Brittle]:
    """A store without a thread."""
    opened = Brittle(open_store("memory://", data_dir=tmp_path))
    await opened.open()
    yield opened
    await opened.aclose()


@pytest_asyncio.fixture
async def here(store: Brittle, tmp_path: Path) -> AsyncIterator[Instance]:
    """An instance that works."""
    instance = Instance(store.store, tmp_path, answering("one ", "two"))
    yield instance
    await instance.aclose()


async def rows_of(store: Brittle, turn_id: str) -> list[EventRow]:
    """Return the stored rows of a turn."""
    return list(await store.real.load_turn_events(turn_id, 0, 100, ANN))


async def test_what_is_shown_is_stored_while_the_turn_runs(here: Instance, store: Brittle) -> None:
    """Others can read it, and it says what the turn waits for."""
    here.server.say = (halves := Halves("one ", "two")).say
    turn = await here.ask()
    found = here.engine.find(turn.id)
    assert found
    found.doing = "the model"
    with here.bell.listening(turn.id) as heard:
        await until(lambda: stored_last(store, turn.id, 5))
        assert heard.is_set()

    stored = await store.real.load_turn(turn.id, ANN)
    assert (stored.last_event, stored.doing, stored.touched) == (5, "the model", True)
    assert found.log.unsaved_bytes == 0
    halves.go.set()
    await here.ended(turn.id)
    rows = await rows_of(store, turn.id)
    assert [row.first for row in rows] == [1, *[row.last + 1 for row in rows[:-1]]]


async def stored_last(store: Brittle, turn_id: str, number: int) -> bool:
    """Whether a turn's events up to a number are stored."""
    rows = await rows_of(store, turn_id)
    return bool(rows) and rows[-1].last >= number


async def test_rows_are_stored_once_though_the_answer_is_lost(
    here: Instance, store: Brittle
) -> None:
    """A database that breaks while it commits leaves no doubt: rows keep their boundaries."""
    store.lost["keep_turns"] = [StoreUnavailableError()] * 2
    here.server.say = (halves := Halves("one ", "two")).say
    turn = await here.ask()
    await until(lambda: not store.lost["keep_turns"])
    halves.go.set()
    await here.ended(turn.id)

    rows = await rows_of(store, turn.id)
    assert [row.first for row in rows] == [1, *[row.last + 1 for row in rows[:-1]]]
    assert streamed(await here.events(turn.id)) == "one two"


async def test_a_lease_is_renewed(store: Brittle, tmp_path: Path) -> None:
    """A turn that says nothing for longer than its lease stays where it runs."""
    here = Instance(store.store, tmp_path, (halves := Halves()).say, lease=0.3)
    turn = await here.ask()
    until_when = turn.lease_until
    assert until_when

    async def renewed() -> bool:
        lease = (await store.real.load_turn(turn.id, ANN)).lease_until
        return lease is not None and (lease - until_when).total_seconds() > 0.6

    await until(renewed)

    assert (await store.real.load_turn(turn.id, ANN)).fence == 1
    halves.go.set()
    assert (await here.ended(turn.id)).state is TurnState.COMPLETED
    await here.aclose()


async def taken(store: Brittle, turn: Turn, holder: str = "another") -> Turn:
    """Take a turn over, as another instance does when a lease has run out."""
    await store.real.release_turn(turn.id, turn.fence, ANN)
    claimed = await store.real.claim_turn(holder, 3600)
    assert claimed
    assert claimed.id == turn.id
    return claimed


async def test_who_has_lost_a_turn_stores_nothing_more(here: Instance, store: Brittle) -> None:
    """Its code is stopped; its readers go on where the turn is now."""
    here.server.say = (halves := Halves("one ", "two")).say
    turn = await here.ask()
    begun = await here.read(turn.id, until=5)
    await until(lambda: stored_last(store, turn.id, 5))
    claimed = await taken(store, turn)
    found = here.engine.find(turn.id)
    assert found
    found.log.append(b'{"type":"never stored"}')
    found.log.show()

    await until(lambda: here.engine.find(turn.id) is None)

    assert halves.stopped == 1
    assert begun[-1][1]["update"]["delta"] == "one "
    still = await store.real.load_turn(turn.id, ANN)
    assert (still.state, still.fence) == (TurnState.RUNNING, claimed.fence)
    assert [item.type for item in await stored_items(store.real, turn.thread_id)] == [
        "user_message"
    ]
    assert "never stored" not in str(await rows_of(store, turn.id))


async def test_the_end_of_a_lost_turn_is_not_stored(here: Instance, store: Brittle) -> None:
    """Who comes back after a long stop finds that somebody else has it."""
    here.server.say = (halves := Halves("one ", "two")).say
    turn = await here.ask()
    await here.read(turn.id, until=5)
    claimed = await taken(store, turn)
    halves.go.set()
    await until(lambda: here.engine.find(turn.id) is None)

    still = await store.real.load_turn(turn.id, ANN)
    assert (still.state, still.fence) == (TurnState.RUNNING, claimed.fence)
    assert len(await stored_items(store.real, turn.thread_id)) == 1


async def test_a_turn_whose_log_cannot_be_stored_is_stopped(
    here: Instance, store: Brittle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in memory only has a limit; what it has is kept when the database is back."""
    monkeypatch.setattr(keeping, "_MAX_UNSAVED_BYTES", 10)
    here.server.say = (halves := Halves("one ", "two")).say
    store.errors["keep_turns"] = [StoreUnavailableError()] * 1000
    turn = await here.ask()
    await until(lambda: halves.stopped)

    ended = await here.ended(turn.id)

    assert (ended.state, ended.reason) == (TurnState.INTERRUPTED, "database")
    assert (await here.events(turn.id))[-1]["type"] == "error"
    assert (await stored_texts(store.real, turn.thread_id))[1][1] == "one "


async def test_a_fault_in_keeping_does_not_end_it(here: Instance, store: Brittle) -> None:
    """Without it all turns of the instance would be lost."""
    store.errors["keep_turns"] = [RuntimeError("a bug")]
    here.server.say = (halves := Halves()).say
    turn = await here.ask()

    await until(lambda: stored_last(store, turn.id, 5))

    assert store.errors["keep_turns"] == []
    halves.go.set()


async def test_a_turn_that_stalls_is_reported_once(
    here: Instance, store: Brittle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it waits for, and nothing of what was said."""
    monkeypatch.setattr(keeping, "_STALL_SECONDS", 0.0)
    with capture_logs() as logs:
        here.server.say = (halves := Halves("secret text")).say
        turn = await here.ask("secret question")
        await until(lambda: stored_last(store, turn.id, 5))  # which takes several looks
        halves.go.set()
        await here.ended(turn.id)

    (told,) = [log for log in logs if "stalls" in log["event"]]
    assert (told["turn"], told["doing"]) == (turn.id, "its code")
    assert "secret" not in str(logs)


async def test_an_end_is_stored_when_the_database_is_back(
    here: Instance, store: Brittle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, also when it was stored and the answer lost; nothing comes twice."""
    monkeypatch.setattr(ending, "_FIRST_WAIT", 0)
    store.errors["end_turn"] = [StoreUnavailableError()] * 3
    store.lost["end_turn"] = [StoreUnavailableError()] * 2
    turn = await here.ask()

    events = await here.events(turn.id)

    assert [event["type"] for event in events].count("thread.item.done") == 2
    assert (await here.ended(turn.id)).state is TurnState.COMPLETED
    assert len(await stored_texts(store.real, turn.thread_id)) == 2


async def test_nothing_of_an_end_is_stored_before_it(here: Instance, store: Brittle) -> None:
    """The keeper stores rows while an end waits, but not those that tell of the end."""
    gate = store.gate("end_turn")
    here.server.say = (halves := Halves("one ", "two")).say
    turn = await here.ask()
    await here.read(turn.id, until=5)
    halves.go.set()
    await until(lambda: "end_turn" in store.calls)
    await until(lambda: stored_last(store, turn.id, 6))
    await asyncio.sleep(0.3)  # for the keeper to store more, if it did so

    assert (await rows_of(store, turn.id))[-1].last == 6
    gate.set()
    await here.ended(turn.id)
    assert (await rows_of(store, turn.id))[-1].last == 7


async def test_readers_of_an_end_that_takes_long_are_sent_away(
    here: Instance, store: Brittle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come back later, and find all of it."""
    monkeypatch.setattr(ending, "_FIRST_WAIT", 0)
    monkeypatch.setattr(ending, "_READERS_WAIT_SECONDS", -1)
    store.errors["end_turn"] = [StoreUnavailableError()] * 5
    turn = await here.ask()
    found = here.engine.find(turn.id)
    assert found
    await until(lambda: found.log.lost or found.log.ended)

    assert streamed(await here.events(turn.id)) == "one two"


async def test_an_end_that_cannot_be_stored_is_left_to_others(
    here: Instance, store: Brittle, tmp_path: Path
) -> None:
    """Whatever it was, the turn is taken over when its lease has run out, and ended."""
    store.errors["end_turn"] = [RuntimeError("a bug")]
    turn = await here.ask()
    await until(lambda: here.engine.find(turn.id) is None)
    other = Instance(store.store, tmp_path)

    await store.real.release_turn(turn.id, 1, ANN)
    await Recovery(store.store, other.engine).take_all()

    assert (await other.ended(turn.id)).state is TurnState.INTERRUPTED


async def test_a_retry_under_a_legal_hold_keeps_both_answers(
    here: Instance, store: Brittle
) -> None:
    """The old answer must stay; the new one is stored beside it."""
    turn = await here.ask()
    await here.ended(turn.id)
    items = await stored_items(store.real, turn.thread_id)
    await store.real.put_hold(Hold("acme", "ann", "a case", MOMENT))
    params = {"thread_id": turn.thread_id, "item_id": items[0].id}

    again = await here.request("threads.retry_after_item", params)

    assert (await here.ended(again.id)).state is TurnState.COMPLETED
    assert len(await stored_items(store.real, turn.thread_id)) == 3


async def test_a_retry_that_fails_keeps_the_old_answer(here: Instance, store: Brittle) -> None:
    """It is replaced by a complete one, in the same transaction, and by nothing else."""
    turn = await here.ask()
    await here.ended(turn.id)
    items = await stored_items(store.real, turn.thread_id)
    params = {"thread_id": turn.thread_id, "item_id": items[0].id}

    async def fail(thread: ThreadMetadata, _: Any) -> AsyncIterator[ThreadStreamEvent]:
        yield added("msg_b", thread.id)
        raise RuntimeError

    here.server.say = fail
    failed = await here.request("threads.retry_after_item", params)
    assert (await here.ended(failed.id)).state is TurnState.FAILED
    assert await stored_items(store.real, turn.thread_id) == items
    here.server.say = answering("better")
    again = await here.request("threads.retry_after_item", params)
    await here.ended(again.id)

    texts = [text for _, text in await stored_texts(store.real, turn.thread_id)]
    assert texts == ["question", "better"]


class Crash:
    """An instance that is gone in the middle of a turn; another one has to do with what it left."""

    def __init__(self, store: Brittle, directory: Path) -> None:
        self.store = store
        self._gone = Instance(store.store, directory, holder="gone")
        self.other = Instance(store.store, directory, answering("anew"), holder="other")

    async def leave(self, *events: ThreadStreamEvent, touched: bool = True) -> Turn:
        """Begin a turn, store some of its events, and go."""
        # What begins it must not run: only what it stores is left.
        self._gone.engine._adopt = lambda *_: None  # type: ignore[method-assign]
        turn = await self._gone.ask()
        context = leased(ANN, turn.id, turn.fence)
        if touched:
            await self.store.real.touch_turn(turn.id, turn.fence, context)
        for event in events:
            if event.type == "thread.item.done":
                await self.store.real.add_thread_item(turn.thread_id, event.item, context)
        encoded = [self._gone.host.encode(event) for event in events]
        if encoded:
            body = b"[" + b",".join(b'{"event":' + each + b"}" for each in encoded) + b"]"
            row = EventRow(3, 2 + len(encoded), body.decode())
            await self.store.real.keep_turns([replace(sign(turn.id), rows=[row])])
        return turn

    async def take(self, turn: Turn) -> Turn:
        """Have it taken over; return it when it has ended."""
        await self.store.real.release_turn(turn.id, turn.fence, ANN)
        await Recovery(self.store.store, self.other.engine).take_all()
        return await self.other.ended(turn.id)


@pytest_asyncio.fixture
async def crash(store: Brittle, tmp_path: Path) -> AsyncIterator[Crash]:
    """A crash to come."""
    crash = Crash(store, tmp_path)
    yield crash
    await crash.other.aclose()


async def test_what_nobody_has_seen_begins_again(crash: Crash) -> None:
    """The same message is answered, once."""
    turn = await crash.leave(touched=False)

    ended = await crash.take(turn)

    assert (ended.state, ended.fence, ended.holder) == (TurnState.COMPLETED, 2, "other")
    assert [text for _, text in await stored_texts(crash.store.real, turn.thread_id)] == [
        "question",
        "anew",
    ]
    events = await crash.other.read(turn.id)
    assert [number for number, _ in events] == list(range(1, len(events) + 1))


async def test_what_was_seen_is_kept_and_marked(crash: Crash) -> None:
    """The partial text is an item, the turn is interrupted, and may be retried; not begun again."""
    turn = await crash.leave(added("msg_a"), piece("msg_a", "one "), piece("msg_a", "two"))

    ended = await crash.take(turn)

    assert (ended.state, ended.reason) == (TurnState.INTERRUPTED, "crash")
    assert crash.other.server.asked == 0
    assert (await stored_texts(crash.store.real, turn.thread_id))[1][1] == "one two"
    events = await crash.other.read(turn.id)
    assert [event["type"] for _, event in events[-2:]] == ["thread.item.done", "error"]
    assert events[-1][1]["allow_retry"]
    # What the other one may have shown, and not stored, had the numbers between.
    numbers = [number for number, _ in events]
    assert numbers == sorted(set(numbers))
    assert numbers[-2] > 100_000


async def test_a_complete_answer_is_complete(crash: Crash) -> None:
    """When only the end of the turn was not stored, nothing is added to it."""
    turn = await crash.leave(added("msg_a"), piece("msg_a", "text"), done("msg_a", "text"))

    ended = await crash.take(turn)

    assert (ended.state, ended.reason) == (TurnState.COMPLETED, None)
    items = await stored_items(crash.store.real, turn.thread_id)
    assert [item.type for item in items] == ["user_message", "assistant_message"]


async def test_a_stop_that_nobody_heard_is_carried_out(crash: Crash) -> None:
    """A turn that was told to stop is not begun again, seen or not."""
    turn = await crash.leave(added("msg_a"), piece("msg_a", "one "))
    await crash.store.real.cancel_turn(turn.id, ANN)
    unseen = await crash.leave(touched=False)
    await crash.store.real.cancel_turn(unseen.id, ANN)

    for each in (turn, unseen):
        ended = await crash.take(each)
        assert (ended.state, ended.reason) == (TurnState.CANCELLED, "stopped")
    assert crash.other.server.asked == 0
    assert (await stored_texts(crash.store.real, turn.thread_id))[1][1] == "one "
    assert (await crash.other.events(unseen.id))[-1]["type"] == "thread.item.done"


async def test_tools_of_which_nobody_knows_are_named(crash: Crash) -> None:
    """A call that was noted and not ended may have taken effect: the user and the model read so."""
    turn = await crash.leave(ProgressUpdateEvent(text="working"))
    context = leased(ANN, turn.id)
    for call in ("mail_1", "look_1"):
        await crash.store.real.begin_tool_call(turn.id, 1, call, call[:4], context)
    await crash.store.real.end_tool_call(turn.id, 1, "look_1", context)

    ended = await crash.take(turn)

    assert ended.state is TurnState.INTERRUPTED
    error = (await crash.other.events(turn.id))[-1]
    assert "unknown: mail" in error["message"]
    assert crash.other.server.asked == 0


async def test_a_turn_that_ends_every_instance_is_given_up(crash: Crash) -> None:
    """It is begun again some times, not for ever."""
    turn = await crash.leave(touched=False)
    for _ in range(4):
        turn = await taken(crash.store, turn, "gone, too")

    ended = await crash.take(turn)

    assert ended.state is TurnState.INTERRUPTED
    assert crash.other.server.asked == 0


@pytest.mark.parametrize("request_text", ["", "{}", to_json({"body": "{"}).decode()])
async def test_a_request_that_cannot_be_read_ends_its_turn(
    crash: Crash, request_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a later version, for instance: its thread must not wait for it for ever."""
    turn = await crash.leave(touched=False)
    claim = crash.store.real.claim_turn

    async def claim_other(*args: Any) -> Turn | None:
        claimed = await claim(*args)
        return replace(claimed, request=request_text) if claimed else None

    monkeypatch.setattr(crash.store.real, "claim_turn", claim_other)

    assert (await crash.take(turn)).state is TurnState.INTERRUPTED


async def test_what_remains_of_a_deleted_thread_is_nothing(crash: Crash) -> None:
    """There is nothing to take over."""
    turn = await crash.leave(touched=False)
    await crash.store.real.delete_thread(turn.thread_id, ANN)

    await Recovery(crash.store.store, crash.other.engine).take_all()

    assert crash.other.engine.running == []


async def test_recovery_outlives_what_goes_wrong(
    crash: Crash, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is gone, or a fault, ends no looking."""
    monkeypatch.setattr(recovery, "_CALM_SECONDS", 0)
    monkeypatch.setattr(recovery, "_LOOK_SECONDS", 0.01)
    turn = await crash.leave(touched=False)
    await crash.store.real.release_turn(turn.id, 1, ANN)
    crash.store.errors["claim_turn"] = [StoreUnavailableError(), RuntimeError("a bug")]
    looking = asyncio.create_task(Recovery(crash.store.store, crash.other.engine).run())

    ended = await crash.other.ended(turn.id)

    assert ended.state is TurnState.COMPLETED
    crash.other.engine.draining.set()
    crash.other.bell.ring(["queue"])
    await looking
