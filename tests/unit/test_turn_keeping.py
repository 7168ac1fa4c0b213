"""Keeping turns: rows, leases, what is stopped, and ends that take long."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from chatkit.types import ThreadMetadata, ThreadStreamEvent
from structlog.testing import capture_logs

from chatkeep.errors import StoreUnavailableError
from chatkeep.ports import EventRow, Hold, TurnState
from chatkeep.testing.store_samples import MOMENT
from chatkeep.turns import ending, keeping, patience
from chatkeep.turns.bell import Bell
from chatkeep.turns.engine import TurnEngine
from chatkeep.turns.reading import TurnReader
from chatkeep.turns.recovery import Recovery
from support.turns import (
    ANN,
    Brittle,
    Instance,
    added,
    answering,
    stored_items,
    stored_texts,
    streamed,
    taken,
)
from support.turns import Hold as Halves
from support.waiting import until


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


async def test_a_reader_elsewhere_has_it_stored_at_once(
    here: Instance, store: Brittle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It need not wait until it is time; what other instances ring is rung here by the relay."""
    monkeypatch.setattr(keeping, "_FLUSH_SECONDS", 3600.0)
    here.server.say = (halves := Halves("one ", "two")).say
    turn = await here.ask()
    found = here.engine.find(turn.id)
    assert found
    await until(lambda: found.log.last >= 5)
    await asyncio.sleep(3 * keeping._TICK_SECONDS)
    before = found.log.unsaved_bytes

    other = Bell()
    other.publish = here.bell.ring
    elsewhere = TurnEngine(store, here.engine._work, other, lease=15)
    with TurnReader(elsewhere, store, turn.id, 2, ANN) as reader:
        read: list[int] = []
        async with asyncio.timeout(10):
            while not read or read[-1] < 5:
                read += [event.number for event in (await reader.next(0.1)).events]

    assert before > 0
    assert read == [3, 4, 5]
    halves.go.set()
    await here.ended(turn.id)


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


async def test_who_has_lost_a_turn_stores_nothing_more(here: Instance, store: Brittle) -> None:
    """Its code is stopped; its readers go on where the turn is now."""
    here.server.say = (halves := Halves("one ", "two")).say
    turn = await here.ask()
    begun = await here.read(turn.id, until=5)
    await until(lambda: stored_last(store, turn.id, 5))
    claimed = await taken(store.real, turn)
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
    claimed = await taken(store.real, turn)
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
    monkeypatch.setattr(patience, "_FIRST_WAIT", 0)
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
    monkeypatch.setattr(patience, "_FIRST_WAIT", 0)
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
