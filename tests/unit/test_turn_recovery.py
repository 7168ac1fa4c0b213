"""Turns of instances that are gone: begun again, or ended as what they were."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from chatkit.types import ProgressUpdateEvent, ThreadStreamEvent
from pydantic_core import to_json

from chatkeep.errors import StoreUnavailableError
from chatkeep.ports import EventRow, Turn, TurnState
from chatkeep.testing.store_samples import leased, sign
from chatkeep.turns import recovery
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
    taken,
)


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
        turn = await taken(crash.store.real, turn, "gone, too")

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


async def test_where_there_is_no_room_one_is_taken_at_a_time(crash: Crash) -> None:
    """What was promised begins again, though not all of it at once."""
    turns = [await crash.leave(touched=False) for _ in range(3)]
    for turn in turns:
        await crash.store.real.release_turn(turn.id, turn.fence, ANN)
    full = Recovery(crash.store.store, crash.other.engine, lambda: False)

    for taken_over in (1, 2, 3):
        await full.take_all()
        assert crash.store.calls.count("claim_turn") == taken_over

    for turn in turns:
        assert (await crash.other.ended(turn.id)).state is TurnState.COMPLETED


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
