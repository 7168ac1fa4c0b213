"""The part of the store's contract about the holder of a turn: lease, log, tools, takeovers."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chatkit.types import ThreadMetadata

from chatkeep.context import RequestContext
from chatkeep.errors import ConflictError, LeaseLostError, NotFoundError
from chatkeep.ports import EventRow, Store, ToolCall, TurnState
from chatkeep.testing.store_pages import item_ids, thread_ids
from chatkeep.testing.store_samples import (
    asking,
    file,
    leased,
    message,
    question,
    sign,
    thread,
    turn_order,
)
from chatkeep.testing.store_tenancy import everything
from chatkeep.testing.store_turns import DONE, asked, claimed, every_write, lost, new_thread

ANN, BOB, ZOE = asking(), asking(user="bob"), asking(tenant="umbrella", user="zoe")

FAR = datetime(2100, 1, 1, tzinfo=UTC)

type Write = Callable[[Store, RequestContext], Awaitable[Any]]

WRITES: dict[str, Write] = {
    "save_thread": lambda s, c: s.save_thread(thread(title="late"), c),
    "save_thread new": lambda s, c: s.save_thread(thread("thr_2"), c),
    "create_thread": lambda s, c: s.create_thread(thread("thr_3"), question("msg_1"), c),
    "change_thread": lambda s, c: s.change_thread("thr_1", _untitle, c),
    "title_thread": lambda s, c: s.title_thread("thr_1", "late", c),
    "archive_thread": lambda s, c: s.archive_thread("thr_1", True, c),
    "mark_read": lambda s, c: s.mark_read("thr_1", c),
    "add_thread_item": lambda s, c: s.add_thread_item("thr_1", message("msg_8"), c),
    "save_item": lambda s, c: s.save_item("thr_1", message("msg_9"), c),
    "save_item there": lambda s, c: s.save_item("thr_1", question("msg_1", text="late"), c),
    "add_feedback": lambda s, c: s.add_feedback("thr_1", ["msg_1"], "positive", c),
    "save_attachment": lambda s, c: s.save_attachment(file("atc_2"), c),
    "bind_attachment": lambda s, c: s.bind_attachment("atc_1", "thr_1", c),
    "replace_attachment": lambda s, c: s.replace_attachment(
        file(), file().model_copy(update={"name": "late"}), c
    ),
    "create_share": lambda s, c: s.create_share("thr_1", "shr_1", "digest", None, c),
    "delete_share": lambda s, c: s.delete_share("shr_0", c),
    "delete_attachment": lambda s, c: s.delete_attachment("atc_1", c),
    "delete_thread_item": lambda s, c: s.delete_thread_item("thr_1", "msg_1", c),
    "delete_thread_items": lambda s, c: s.delete_thread_items("thr_1", ["msg_2"], c),
}
"""Everything that can be written for a turn, but for the end of its thread."""


def _untitle(changed: ThreadMetadata) -> None:
    changed.title = None


async def running(store: Store, *users: RequestContext, **fields: Any) -> None:
    """Begin a turn `trn_1` for each user, in a new thread."""
    for context in users:
        await store.begin_turn(new_thread(**fields), context)


@pytest.mark.asyncio
class KeepingContract:
    """What the holder of a turn may do, and nobody else."""

    async def test_a_lease_is_renewed(self, store: Store) -> None:
        """From now on, by the database's clock; without a new one it stays as it is."""
        turn = await store.begin_turn(new_thread(lease=60), ANN)
        assert await store.keep_turns([sign(lease=7200)]) == ["trn_1"]
        later = await store.load_turn("trn_1", ANN)
        assert later == replace(turn, lease_until=later.lease_until)
        assert turn.lease_until is not None
        assert later.lease_until is not None
        assert later.lease_until - turn.lease_until > timedelta(seconds=7000)
        assert await store.keep_turns([sign()]) == ["trn_1"]
        await store.touch_turn("trn_1", 1, ANN)
        assert await store.load_turn("trn_1", ANN) == replace(later, touched=True)

    async def test_an_expired_turn_is_taken_over(self, store: Store) -> None:
        """With a new fence, and the old holder is refused; one with a live lease is left alone."""
        await store.begin_turn(new_thread(lease=0.02), ANN)
        await store.keep_turns([sign(doing="the model")])
        turn = await claimed(store)
        assert (turn.id, turn.state, turn.holder, turn.fence) == ("trn_1", "running", "two", 2)
        assert turn.doing is None
        assert await store.claim_turn("three", 9) is None
        late = sign(lease=9, rows=[EventRow(1, 1, "late")], doing="late")
        assert await store.keep_turns([late]) == []
        for call in every_write(store, 1):
            await lost(call)
        assert await store.load_turn("trn_1", ANN) == turn
        assert await item_ids(store) == ["msg_1"]
        assert await store.load_turn_events("trn_1", 0, 9, ANN) == []
        assert await store.load_tool_calls("trn_1", ANN) == []
        assert await store.keep_turns([replace(late, fence=2, lease=0.02)]) == ["trn_1"]
        assert (await claimed(store, "three")).fence == 3

    async def test_a_released_turn_is_taken_over_at_once(self, store: Store) -> None:
        """However long its lease was."""
        await running(store, ANN)
        assert await store.claim_turn("two", 9) is None
        await store.release_turn("trn_1", 1, ANN)
        turn = await store.claim_turn("two", 9)
        assert turn is not None
        assert (turn.id, turn.fence) == ("trn_1", 2)
        await lost(store.release_turn("trn_1", 1, ANN))
        await store.end_turn("trn_1", 2, DONE, ANN)
        await lost(store.release_turn("trn_1", 2, ANN))
        with pytest.raises(NotFoundError):
            await store.release_turn("trn_x", 1, ANN)

    async def test_many_turns_give_signs_of_life_together(self, store: Store) -> None:
        """Of several users; each has its own rows, and what is not held any more stores nothing."""
        await running(store, ANN, BOB, ZOE, lease=60)
        await store.end_turn("trn_1", 1, DONE, BOB)
        kept = [
            sign(context=ZOE, lease=7200, rows=[EventRow(1, 3, "zoe")], doing="a tool"),
            sign(context=BOB, lease=7200, rows=[EventRow(1, 3, "bob")], doing="a tool"),
            sign("trn_x", lease=7200, rows=[EventRow(1, 3, "nobody")]),
            sign(fence=2, lease=7200, rows=[EventRow(1, 3, "another")], doing="a tool"),
            sign(rows=[EventRow(1, 2, "ann"), EventRow(3, 5, "ann")]),
        ]
        before = [await store.load_turn("trn_1", context) for context in (ANN, BOB, ZOE)]
        assert await store.keep_turns(kept) == ["trn_1", "trn_1"]
        ann, bob, zoe = [await store.load_turn("trn_1", context) for context in (ANN, BOB, ZOE)]
        assert ann == replace(before[0], last_event=5, event_at=ann.event_at)
        assert bob == before[1]
        assert (zoe.last_event, zoe.doing) == (3, "a tool")
        assert zoe.event_at is not None
        assert ann.event_at is not None
        assert abs(ann.event_at - ann.created_at) < timedelta(seconds=60)
        logs = [await store.load_turn_events("trn_1", 0, 9, each) for each in (ANN, BOB, ZOE)]
        assert logs == [list(kept[4].rows), [], list(kept[0].rows)]
        assert await store.keep_turns([sign(context=ZOE)]) == ["trn_1"]
        assert await store.load_turn("trn_1", ZOE) == replace(zoe, doing=None)
        assert await store.keep_turns([]) == []

    async def test_hundreds_of_turns_give_signs_of_life(self, store: Store) -> None:
        """In any order, twice at once, and with many rows."""
        ids = [f"trn_{n:03}" for n in range(150)]
        records = await a_turn_of_each(store, ids)
        await store.write_records("turns", records)
        rows = [EventRow(1, 1, "x"), EventRow(2, 2, "y")]
        signs = [sign(each, lease=3600, rows=rows) for each in ids]
        found = await asyncio.gather(store.keep_turns(signs), store.keep_turns(signs[::-1]))
        assert [list(each) for each in found] == [ids, ids[::-1]]
        turns = await store.load_turns([TurnState.RUNNING], 999)
        assert {turn.last_event for turn in turns} == {2}
        for each in (ids[0], ids[-1]):
            assert await store.load_turn_events(each, 0, 9, ANN) == rows

    async def test_those_to_be_stopped_are_told_to_their_holder(self, store: Store) -> None:
        """Neither another's, nor queued ones, nor ended ones."""
        await running(store, ANN, BOB, ZOE)
        await store.begin_turn(asked("trn_2", queue=True), ANN)
        assert await store.stopped_turns("one") == []
        await store.cancel_turn("trn_2", ANN)
        for context in (ANN, ZOE):
            await store.cancel_turn("trn_1", context)
        assert await store.stopped_turns("one") == ["trn_1", "trn_1"]
        assert await store.stopped_turns("two") == []
        await store.release_turn("trn_1", 1, ANN)
        await claimed(store)
        assert await store.stopped_turns("two") == ["trn_1"]
        await store.end_turn("trn_1", 2, DONE, ANN)
        await store.end_turn("trn_1", 1, DONE, ZOE)
        assert [await store.stopped_turns(holder) for holder in ("one", "two")] == [[], []]

    async def test_with_a_lease_one_writes_while_it_is_held(self, store: Store) -> None:
        """As without, and the turn is touched; without one, nothing is touched."""
        await running(store, ANN)
        await store.save_attachment(file(), ANN)
        for n, (name, write) in enumerate(WRITES.items(), start=1):
            turn = await store.load_turn(f"trn_{n}", ANN)
            assert not turn.touched
            await write(store, leased(ANN, turn.id))
            assert await store.load_turn(turn.id, ANN) == replace(turn, touched=True), name
            await store.end_turn(turn.id, 1, DONE, ANN)
            await store.begin_turn(turn_order(f"trn_{n + 1}"), ANN)
        assert sorted(await item_ids(store)) == ["msg_8", "msg_9"]
        assert sorted(await thread_ids(store)) == ["thr_1", "thr_2", "thr_3"]
        await store.delete_thread("thr_1", leased(ANN, f"trn_{n + 1}"))
        with pytest.raises(NotFoundError):
            await store.load_thread("thr_1", ANN)
        with pytest.raises(NotFoundError):
            await store.load_turn("trn_1", ANN)

    async def test_without_the_lease_nothing_is_written(self, store: Store) -> None:
        """Taken over, ended, another's, gone: the write is refused, and nothing has changed."""
        await running(store, ANN, BOB)
        await store.save_attachment(file(), ANN)
        await store.release_turn("trn_1", 1, ANN)
        await claimed(store)
        writes: list[Write] = [*WRITES.values(), lambda s, c: s.delete_thread("thr_1", c)]
        before = [await everything(store, ANN), await store.load_turn("trn_1", ANN)]
        for context in (leased(ANN), leased(ANN, fence=3), leased(ANN, "trn_x"), leased(ZOE)):
            for write in writes:
                await lost(write(store, context))
        assert [await everything(store, ANN), await store.load_turn("trn_1", ANN)] == before
        ended = await store.end_turn("trn_1", 2, DONE, ANN)
        for write in writes:
            await lost(write(store, leased(ANN, fence=2)))
        assert await store.load_turn("trn_1", ANN) == ended

    async def test_a_takeover_and_a_write_exclude_each_other(self, store: Store) -> None:
        """What the old holder stores beside a takeover was there before it, or is refused."""
        for n in range(10):
            turn_id, thread_id = f"trn_{n}", f"thr_{n}"
            await store.save_thread(thread(thread_id), ANN)
            await store.begin_turn(turn_order(turn_id, thread_id), ANN)
            await store.release_turn(turn_id, 1, ANN)
            write = store.add_thread_item(
                thread_id, message("msg_1", thread_id=thread_id), leased(ANN, turn_id)
            )
            turn, written = await asyncio.gather(claimed(store), write, return_exceptions=True)
            assert not isinstance(turn, BaseException)
            assert turn.id == turn_id
            assert written is None or isinstance(written, LeaseLostError)
            there = await store.load_thread_items(thread_id, None, 9, "asc", ANN)
            assert len(there.data) == (written is None)

    async def test_events_are_kept_in_their_order(self, store: Store) -> None:
        """They are read behind a number, also one in the middle of a row, up to a limit."""
        await running(store, ANN)
        assert await store.load_turn_events("trn_1", 0, 9, ANN) == []
        rows = [EventRow(1, 1, "a\0é"), EventRow(2, 5, "b"), EventRow(6, 6, "c" * 100_000)]
        await store.keep_turns([sign(rows=rows[:2])])
        await store.keep_turns([sign(rows=rows[2:])])
        await store.keep_turns([sign(rows=[])])
        assert (await store.load_turn("trn_1", ANN)).last_event == 6
        for after, expected in ((0, rows), (1, rows[1:]), (3, rows[1:]), (5, rows[2:]), (6, [])):
            assert await store.load_turn_events("trn_1", after, 9, ANN) == expected
        assert await store.load_turn_events("trn_1", 0, 2, ANN) == rows[:2]
        await store.end_turn("trn_1", 1, DONE, ANN)
        assert await store.load_turn_events("trn_1", 0, 9, ANN) == rows

    async def test_events_that_are_there_stay(self, store: Store) -> None:
        """What is appended again changes nothing, and does not turn the log back."""
        await running(store, ANN)
        rows = [EventRow(1, 1, "a"), EventRow(2, 3, "b")]
        await store.keep_turns([sign(rows=rows)])
        await store.keep_turns([sign(rows=[EventRow(1, 1, "other")])])
        assert await store.load_turn_events("trn_1", 0, 9, ANN) == rows
        assert (await store.load_turn("trn_1", ANN)).last_event == 3
        turn = await store.end_turn("trn_1", 1, replace(DONE, events=rows[:1]), ANN)
        assert turn.last_event == 3

    async def test_events_of_ended_turns_are_pruned(self, store: Store) -> None:
        """Those of turns that ended before the moment; a running one keeps its own."""
        for n in range(5):
            await store.save_thread(thread(f"thr_{n}"), ANN)
            await store.begin_turn(turn_order(f"trn_{n}", f"thr_{n}"), ANN)
            rows = [EventRow(1, 1, "a"), EventRow(2, 2, "b")]
            if n != 4:
                await store.keep_turns([sign(f"trn_{n}", rows=rows)])
            if n:
                await store.end_turn(f"trn_{n}", 1, DONE, ANN)
        assert await store.prune_turn_events(datetime(2000, 1, 1, tzinfo=UTC), 9) == 0
        assert await store.prune_turn_events(FAR, 2) == 2
        assert await store.prune_turn_events(FAR, 9) == 1
        assert await store.prune_turn_events(FAR, 9) == 0
        left = [await store.load_turn_events(f"trn_{n}", 0, 9, ANN) for n in range(5)]
        assert [len(rows) for rows in left] == [2, 0, 0, 0, 0]
        assert (await store.load_turn("trn_1", ANN)).last_event == 2
        await store.end_turn("trn_0", 1, replace(DONE, events=[EventRow(3, 3, "c")]), ANN)
        assert await store.prune_turn_events(FAR, 9) == 1
        assert await store.load_turn_events("trn_0", 0, 9, ANN) == []

    async def test_tool_calls_are_noted(self, store: Store) -> None:
        """In their order, also with an id that comes again, and each touches the turn."""
        turn = await store.begin_turn(new_thread(), ANN)
        assert await store.load_tool_calls("trn_1", ANN) == []
        await store.begin_tool_call("trn_1", 1, "call\0é", "weather", ANN)
        assert (await store.load_turn("trn_1", ANN)).touched
        await store.begin_tool_call("trn_1", 1, "call_2", "mail", ANN)
        await store.end_tool_call("trn_1", 1, "call\0é", ANN)
        first, second = await store.load_tool_calls("trn_1", ANN)
        assert first.started_at >= turn.created_at
        assert first.ended_at is not None
        assert first.ended_at >= first.started_at
        assert first == ToolCall("call\0é", "weather", first.started_at, first.ended_at)
        assert second == ToolCall("call_2", "mail", second.started_at, None)
        await store.end_tool_call("trn_1", 1, "call\0é", ANN)
        assert await store.load_tool_calls("trn_1", ANN) == [first, second]
        await store.begin_tool_call("trn_1", 1, "call\0é", "weather", ANN)
        again = await store.load_tool_calls("trn_1", ANN)
        assert again[:2] == [first, second]
        assert (again[2].call_id, again[2].ended_at) == ("call\0é", None)
        await store.end_tool_call("trn_1", 1, "call\0é", ANN)
        ended = await store.load_tool_calls("trn_1", ANN)
        assert [each.ended_at is None for each in ended] == [False, True, False]
        assert ended[0] == first
        with pytest.raises(NotFoundError):
            await store.end_tool_call("trn_1", 1, "call_x", ANN)
        await store.end_turn("trn_1", 1, DONE, ANN)
        assert await store.load_tool_calls("trn_1", ANN) == ended

    async def test_tool_calls_of_an_earlier_holder_stay(self, store: Store) -> None:
        """The next one cannot make them again, nor say that they have ended."""
        await running(store, ANN)
        await store.begin_tool_call("trn_1", 1, "call_1", "mail", ANN)
        await store.release_turn("trn_1", 1, ANN)
        await claimed(store)
        before = await store.load_tool_calls("trn_1", ANN)
        with pytest.raises(ConflictError) as caught:
            await store.begin_tool_call("trn_1", 2, "call_1", "mail", ANN)
        assert not isinstance(caught.value, LeaseLostError)
        with pytest.raises(NotFoundError):
            await store.end_tool_call("trn_1", 2, "call_1", ANN)
        assert await store.load_tool_calls("trn_1", ANN) == before
        await store.begin_tool_call("trn_1", 2, "call_2", "mail", ANN)
        calls = await store.load_tool_calls("trn_1", ANN)
        assert [(call.call_id, call.ended_at) for call in calls] == [
            ("call_1", None),
            ("call_2", None),
        ]


async def a_turn_of_each(store: Store, ids: list[str]) -> list[dict[str, Any]]:
    """Return the records of running turns, each in a thread of its own that is there."""
    await store.begin_turn(new_thread("trn_000"), ANN)
    (turn,) = await store.read_records("turns", None, 9)
    (kept,) = await store.read_records("threads", None, 9)
    threads = [{**kept, "id": each, "seq": 100 + n} for n, each in enumerate(ids)]
    await store.write_records("threads", threads)
    return [{**turn, "id": each, "thread_id": each} for each in ids]
