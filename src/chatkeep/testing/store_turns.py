"""The part of the store's contract about turns: beginning, leases, logs, ends, takeovers."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chatkit.types import ThreadItem

from chatkeep.errors import (
    ConflictError,
    HeldError,
    KeyReusedError,
    LeaseLostError,
    NotFoundError,
    TurnRunningError,
)
from chatkeep.ports import EventRow, Hold, Store, Turn, TurnEnd, TurnOrder, TurnState
from chatkeep.testing.store_pages import item_ids, thread_ids
from chatkeep.testing.store_samples import (
    MOMENT,
    asking,
    file,
    leased,
    message,
    question,
    sign,
    thread,
    turn_order,
)

ANN, BOB = asking(), asking(user="bob")

DONE = TurnEnd(TurnState.COMPLETED)
FAR = datetime(2100, 1, 1, tzinfo=UTC)
OPEN = (TurnState.QUEUED, TurnState.RUNNING)


def new_thread(turn_id: str = "trn_1", **fields: Any) -> TurnOrder:
    """Return the order of a turn that creates `thr_1` with the message `msg_1`."""
    return turn_order(turn_id, new_thread=thread(), message=question("msg_1"), **fields)


def asked(turn_id: str, **fields: Any) -> TurnOrder:
    """Return the order of a turn with a message in a thread that exists."""
    return turn_order(turn_id, message=question(f"msg_{turn_id}"), **fields)


async def claimed(store: Store, holder: str = "two", lease: float = 3600) -> Turn:
    """Return a turn that was taken over, as soon as there is one."""
    async with asyncio.timeout(30):
        while (turn := await store.claim_turn(holder, lease)) is None:  # noqa: ASYNC110 - a clock
            await asyncio.sleep(0.005)
    return turn


async def lost(call: Awaitable[Any]) -> None:
    """Check that somebody else has the turn now."""
    with pytest.raises(LeaseLostError):
        await call


def every_write(store: Store, fence: int) -> list[Awaitable[Any]]:
    """Return all that a turn's holder does, with a fence."""
    return [
        store.touch_turn("trn_1", fence, ANN),
        store.release_turn("trn_1", fence, ANN),
        store.begin_tool_call("trn_1", fence, "call_late", "late", ANN),
        store.end_tool_call("trn_1", fence, "call_1", ANN),
        store.end_turn("trn_1", fence, TurnEnd(TurnState.FAILED, items=[message("msg_late")]), ANN),
    ]


@pytest.mark.asyncio
class TurnsContract:
    """What a turn is, from its beginning to its end."""

    async def test_a_turn_begins_with_its_thread_and_message(self, store: Store) -> None:
        """All are there, the message's attachments too, and the turn says what was ordered."""
        await store.save_attachment(file(), ANN)
        order = new_thread(request='{"a": 1}', key="key", digest="d", holder="one")
        order = replace(order, message=question("msg_1", file()))
        turn = await store.begin_turn(order, ANN)
        assert await thread_ids(store) == ["thr_1"]
        assert await store.load_item("thr_1", "msg_1", ANN) == question("msg_1", file())
        assert (await store.load_attachment("atc_1", ANN)).thread_id == "thr_1"
        assert turn.lease_until is not None
        lease = turn.lease_until - turn.created_at
        assert lease.total_seconds() == pytest.approx(3600, abs=60)
        assert turn == Turn(
            id="trn_1",
            principal=turn.principal,
            thread_id="thr_1",
            state=TurnState.RUNNING,
            reason=None,
            request='{"a": 1}',
            key="key",
            digest="d",
            holder="one",
            fence=1,
            lease_until=turn.lease_until,
            cancel_requested=False,
            touched=False,
            last_event=0,
            event_at=None,
            doing=None,
            usage=None,
            created_at=turn.created_at,
            ended_at=None,
        )
        assert (turn.principal.tenant, turn.principal.user) == ("acme", "ann")
        assert await store.load_turn("trn_1", ANN) == turn
        assert await store.load_thread_turn("thr_1", ANN) == turn

    async def test_a_turn_in_a_thread_that_exists(self, store: Store) -> None:
        """Its message goes behind the others; one without a message adds none."""
        await store.save_thread(thread(), ANN)
        assert await store.load_thread_turn("thr_1", ANN) is None
        await store.add_thread_item("thr_1", message("msg_0"), ANN)
        await store.begin_turn(asked("trn_1"), ANN)
        assert await item_ids(store) == ["msg_0", "msg_trn_1"]
        await store.end_turn("trn_1", 1, DONE, ANN)
        await store.begin_turn(turn_order("trn_2"), ANN)
        assert await item_ids(store) == ["msg_0", "msg_trn_1"]

    async def test_a_thread_lists_its_turns(self, store: Store) -> None:
        """Oldest first, from behind a moment, a page at a time; nothing of other threads."""
        orders = [new_thread(), asked("trn_2", queue=True), asked("trn_3", queue=True)]
        turns = [await store.begin_turn(order, ANN) for order in orders]
        before = turns[0].created_at - timedelta(milliseconds=1)
        listed = await store.load_thread_turns("thr_1", before, 2, ANN)
        assert [turn.id for turn in listed] == ["trn_1", "trn_2"]
        listed = await store.load_thread_turns("thr_1", turns[1].created_at, 9, ANN)
        assert listed == turns[2:]
        assert await store.load_thread_turns("thr_1", turns[2].created_at, 9, ANN) == []
        with pytest.raises(NotFoundError):
            await store.load_thread_turns("thr_1", before, 9, BOB)

    async def test_a_branch_begins_with_items_and_their_files(self, store: Store) -> None:
        """What is copied comes first, in order, and is read, searched and listed as the rest."""
        await store.save_attachment(file(), ANN)
        items: list[ThreadItem] = [question("msg_a", file()), message("msg_b", "unlikely word")]
        order = replace(new_thread(), items=items)
        await store.begin_turn(order, ANN)
        assert await item_ids(store) == ["msg_a", "msg_b", "msg_1"]
        assert (await store.load_attachment("atc_1", ANN)).thread_id == "thr_1"
        assert [hit.item_id for hit in (await store.search("unlikely", 9, None, ANN)).data] == [
            "msg_b"
        ]
        (summary,) = (await store.load_summaries(9, None, "desc", ANN)).data
        assert not summary.unread
        await store.add_thread_item("thr_1", message("msg_2"), ANN)
        assert await item_ids(store) == ["msg_a", "msg_b", "msg_1", "msg_2"]

    async def test_a_turn_begins_with_its_log_and_without_what_it_replaces(
        self, store: Store
    ) -> None:
        """Its first rows are there, an edited message has its place, and what goes has gone."""
        await store.create_thread(thread(), question("msg_1"), ANN)
        for item_id in ("msg_2", "msg_3", "msg_4"):
            await store.add_thread_item("thr_1", message(item_id), ANN)
        edited = question("msg_1", text="How about pears?")
        rows = [EventRow(1, 1, "a"), EventRow(2, 4, "b")]
        order = turn_order(message=edited, removed=["msg_3", "msg_2", "msg_x"], events=rows)
        turn = await store.begin_turn(order, ANN)
        assert turn.last_event == 4
        assert turn.event_at is not None
        assert abs(turn.event_at - turn.created_at) < timedelta(seconds=60)
        assert await store.load_turn_events("trn_1", 0, 9, ANN) == rows
        assert await item_ids(store) == ["msg_1", "msg_4"]
        assert await store.load_item("thr_1", "msg_1", ANN) == edited
        (hit,) = (await store.search("pears", 9, None, ANN)).data
        assert hit.item_id == "msg_1"

    async def test_a_hold_keeps_what_a_turn_would_replace(self, store: Store) -> None:
        """Neither its beginning nor its end removes anything, and nothing else of them is done."""
        await store.save_thread(thread(), ANN)
        await store.add_thread_item("thr_1", message("msg_1"), ANN)
        await store.put_hold(Hold("acme", "ann", "reason", MOMENT))
        with pytest.raises(HeldError):
            await store.begin_turn(asked("trn_1", removed=["msg_1"]), ANN)
        assert await store.load_thread_turn("thr_1", ANN) is None
        turn = await store.begin_turn(turn_order(), ANN)
        end = replace(DONE, removed=["msg_1"], events=[EventRow(1, 1, "a")], read=True)
        with pytest.raises(HeldError):
            await store.end_turn("trn_1", 1, end, ANN)
        assert await store.load_turn("trn_1", ANN) == turn
        assert await store.load_turn_events("trn_1", 0, 9, ANN) == []
        assert await item_ids(store) == ["msg_1"]

    async def test_a_turn_that_cannot_begin_leaves_nothing(self, store: Store) -> None:
        """No thread, no attachment, a thread that exists, an id that was used: nothing of it."""
        await store.create_thread(thread("thr_2"), question("msg_1", thread_id="thr_2"), ANN)
        unknown = replace(new_thread(), message=question("msg_1", file()))
        there = new_thread("trn_9")
        there = replace(there, thread_id="thr_2", new_thread=thread("thr_2"))
        for order, error in (
            (asked("trn_1"), NotFoundError),
            (unknown, NotFoundError),
            (there, ConflictError),
        ):
            with pytest.raises(error):
                await store.begin_turn(order, ANN)
            with pytest.raises(NotFoundError):
                await store.load_turn(order.id, ANN)
            assert await thread_ids(store) == ["thr_2"]
        await store.begin_turn(asked("trn_1", thread_id="thr_2"), ANN)
        with pytest.raises(ConflictError):
            await store.begin_turn(new_thread(), ANN)
        assert await thread_ids(store) == ["thr_2"]

    async def test_one_turn_runs_in_a_thread(self, store: Store) -> None:
        """A second one is refused, with the first one's id, and its message is not stored."""
        await store.begin_turn(new_thread(), ANN)
        with pytest.raises(TurnRunningError) as caught:
            await store.begin_turn(asked("trn_2"), ANN)
        assert caught.value.turn_id == "trn_1"
        assert await item_ids(store) == ["msg_1"]
        with pytest.raises(NotFoundError):
            await store.load_turn("trn_2", ANN)
        await store.end_turn("trn_1", 1, DONE, ANN)
        assert (await store.begin_turn(asked("trn_2"), ANN)).state is TurnState.RUNNING

    async def test_the_same_key_is_the_same_turn(self, store: Store) -> None:
        """Running or ended, whatever else is ordered; with another digest it is refused."""
        first = await store.begin_turn(new_thread(key="key"), ANN)
        again = replace(new_thread("trn_2", key="key"), thread_id="thr_9", new_thread=None)
        assert await store.begin_turn(again, ANN) == first
        assert await item_ids(store) == ["msg_1"]
        ended = await store.end_turn("trn_1", 1, DONE, ANN)
        assert await store.begin_turn(again, ANN) == ended
        assert await store.find_turn("key", ANN) == ended
        assert await store.find_turn("other", ANN) is None
        assert await store.find_turn("key", BOB) is None
        with pytest.raises(KeyReusedError):
            await store.begin_turn(asked("trn_2", key="key", digest="other"), ANN)
        assert await item_ids(store) == ["msg_1"]
        await store.save_thread(thread(), BOB)
        assert (await store.begin_turn(asked("trn_3", key="key"), BOB)).id == "trn_3"

    @pytest.mark.parametrize("created", [True, False])
    async def test_one_key_at_once_is_one_turn(self, store: Store, created: bool) -> None:
        """Fifty that begin with one key: all get the same turn, and one message is stored."""
        if not created:
            await store.save_thread(thread(), ANN)
        orders = [
            new_thread(f"trn_{n}", key="key") if created else asked(f"trn_{n}", key="key")
            for n in range(50)
        ]
        turns = await asyncio.gather(*[store.begin_turn(order, ANN) for order in orders])
        assert len({turn.id for turn in turns}) == 1
        assert len(await item_ids(store)) == 1
        assert [turn.id for turn in await store.load_turns(OPEN, 99)] == [turns[0].id]

    async def test_racing_turns_never_run_together(self, store: Store) -> None:
        """A hundred that begin in one thread: one runs, and the others stored nothing."""
        await store.save_thread(thread(), ANN)
        found = await asyncio.gather(
            *[store.begin_turn(asked(f"trn_{n}"), ANN) for n in range(100)], return_exceptions=True
        )
        (begun,) = [turn for turn in found if isinstance(turn, Turn)]
        others = [error for error in found if isinstance(error, TurnRunningError)]
        assert [error.turn_id for error in others] == [begun.id] * 99
        assert await item_ids(store) == [f"msg_{begun.id}"]
        assert await store.load_turns(OPEN, 999) == [begun]

    async def test_queued_turns_wait(self, store: Store) -> None:
        """Their messages are stored at once; they start in their order, one after the other."""
        await store.begin_turn(new_thread(), ANN)
        for n in range(2, 6):
            turn = await store.begin_turn(asked(f"trn_{n}", queue=True), ANN)
            assert (turn.state, turn.lease_until) == (TurnState.QUEUED, None)
        assert len(await item_ids(store)) == 5
        assert (await store.load_thread_turn("thr_1", ANN)).id == "trn_1"  # type: ignore[union-attr]
        assert await store.claim_turn("two", 9) is None
        fence = 1
        for n in range(1, 5):
            await store.end_turn(f"trn_{n}", fence, DONE, ANN)
            with pytest.raises(TurnRunningError):
                await store.begin_turn(asked("trn_9"), ANN)
            turn = await claimed(store)
            assert (turn.id, turn.state, turn.holder) == (f"trn_{n + 1}", "running", "two")
            assert turn.fence > 1
            fence = turn.fence
            assert await store.claim_turn("three", 9) is None

    async def test_a_turn_is_claimed_by_one(self, store: Store) -> None:
        """Of twenty that look at once each turn goes to one, and none is left."""
        for n in range(4):
            order = turn_order(f"trn_{n}", f"thr_{n}", lease=0.001)
            await store.save_thread(thread(f"thr_{n}"), ANN)
            await store.begin_turn(order, ANN)
        taken: list[Turn] = []
        async with asyncio.timeout(30):
            while len(taken) < 4:
                found = await asyncio.gather(*[store.claim_turn(f"{n}", 3600) for n in range(20)])
                taken += [turn for turn in found if turn is not None]
        assert sorted(turn.id for turn in taken) == [f"trn_{n}" for n in range(4)]
        assert {turn.fence for turn in taken} == {2}
        assert await store.claim_turn("late", 9) is None

    async def test_a_turn_ends_with_its_items(self, store: Store) -> None:
        """What it adds, changes and replaces is stored with the end, and the request goes."""
        await store.begin_turn(new_thread(request="secret"), ANN)
        await store.add_thread_item("thr_1", message("msg_2"), ANN)
        await store.add_thread_item("thr_1", message("msg_3", "old"), ANN)
        end = TurnEnd(
            TurnState.FAILED,
            reason="timeout",
            usage='{"tokens": 3}',
            items=[message("msg_3", "new"), message("msg_4")],
            removed=["msg_2", "msg_x"],
        )
        turn = await store.end_turn("trn_1", 1, end, ANN)
        assert (turn.state, turn.reason, turn.usage) == ("failed", "timeout", '{"tokens": 3}')
        assert (turn.request, turn.lease_until) == ("", None)
        assert turn.ended_at is not None
        assert await store.load_turn("trn_1", ANN) == turn
        assert await item_ids(store) == ["msg_1", "msg_3", "msg_4"]
        assert await store.load_item("thr_1", "msg_3", ANN) == message("msg_3", "new")

    async def test_a_turn_ends_with_its_log(self, store: Store) -> None:
        """Its last rows are stored with the end, and the thread is read if the user has seen it."""
        for n, read in enumerate((True, False)):
            await store.begin_turn(
                turn_order(f"trn_{n}", message=question(f"msg_{n}")) if n else new_thread("trn_0"),
                ANN,
            )
            rows = [EventRow(1, 2, "a"), EventRow(3, 3, "b")]
            await store.keep_turns([sign(f"trn_{n}", rows=rows[:1], doing="the model")])
            end = replace(DONE, items=[message(f"msg_a{n}")], events=rows, read=read)
            turn = await store.end_turn(f"trn_{n}", 1, end, ANN)
            assert (turn.last_event, turn.doing) == (3, None)
            assert turn.event_at is not None
            assert await store.end_turn(f"trn_{n}", 1, end, ANN) == turn
            assert await store.load_turn_events(f"trn_{n}", 0, 9, ANN) == rows
            (summary,) = (await store.load_summaries(9, None, "desc", ANN)).data
            assert summary.unread is not read

    async def test_an_end_that_fails_stores_nothing(self, store: Store) -> None:
        """An item that cannot be stored: the turn still runs, and nothing was removed."""
        turn = await store.begin_turn(new_thread(), ANN)
        items = [message("msg_2"), message("msg_3", "\ud83d")]
        with pytest.raises(ValueError, match="surrogates"):
            await store.end_turn("trn_1", 1, replace(DONE, items=items, removed=["msg_1"]), ANN)
        assert await store.load_turn("trn_1", ANN) == turn
        assert await item_ids(store) == ["msg_1"]

    async def test_an_end_may_be_told_again(self, store: Store) -> None:
        """The same end is a success and changes nothing; any other one comes too late."""
        await store.begin_turn(new_thread(), ANN)
        end = replace(DONE, items=[message("msg_2")])
        turn = await store.end_turn("trn_1", 1, end, ANN)
        assert await store.end_turn("trn_1", 1, end, ANN) == turn
        for call in every_write(store, 1):
            await lost(call)
        await lost(store.end_turn("trn_1", 2, end, ANN))
        assert await store.load_turn("trn_1", ANN) == turn
        assert await item_ids(store) == ["msg_1", "msg_2"]

    async def test_a_turn_is_cancelled(self, store: Store) -> None:
        """A running one is asked to stop, a queued one has ended, an ended one stays."""
        turn = await store.begin_turn(new_thread(), ANN)
        await store.begin_turn(asked("trn_2", queue=True, request="secret"), ANN)
        for _ in range(2):
            asked_to = await store.cancel_turn("trn_1", ANN)
            assert asked_to == replace(turn, cancel_requested=True)
        queued = await store.cancel_turn("trn_2", ANN)
        assert (queued.state, queued.request) == (TurnState.CANCELLED, "")
        assert queued.reason
        assert queued.ended_at is not None
        assert await store.cancel_turn("trn_2", ANN) == queued
        end = TurnEnd(TurnState.CANCELLED, reason="stopped")
        ended = await store.end_turn("trn_1", 1, end, ANN)
        assert await store.cancel_turn("trn_1", ANN) == ended
        assert await store.claim_turn("two", 9) is None

    async def test_a_thread_has_a_present_turn(self, store: Store) -> None:
        """The one that runs, else the next one to run, else the newest."""
        await store.begin_turn(new_thread(), ANN)
        for n in (2, 3):
            await store.begin_turn(asked(f"trn_{n}", queue=True), ANN)
        seen = []
        for turn_id in ("trn_1", "trn_2", "trn_3"):
            seen.append(await store.load_thread_turn("thr_1", ANN))
            fence = 1 if turn_id == "trn_1" else (await claimed(store)).fence
            await store.end_turn(turn_id, fence, DONE, ANN)
        seen.append(await store.load_thread_turn("thr_1", ANN))
        assert [turn and turn.id for turn in seen] == ["trn_1", "trn_2", "trn_3", "trn_3"]

    async def test_turns_are_listed_by_state(self, store: Store) -> None:
        """Across users, oldest first, up to a limit."""
        await store.begin_turn(new_thread(), ANN)
        await store.begin_turn(asked("trn_2", queue=True), ANN)
        await store.begin_turn(new_thread("trn_3"), BOB)
        await store.end_turn("trn_3", 1, DONE, BOB)
        assert [turn.id for turn in await store.load_turns(OPEN, 9)] == ["trn_1", "trn_2"]
        assert [turn.id for turn in await store.load_turns(OPEN, 1)] == ["trn_1"]
        (ended,) = await store.load_turns([TurnState.COMPLETED], 9)
        assert (ended.id, ended.principal.user) == ("trn_3", "bob")
        assert await store.load_turns([], 9) == []

    async def test_turns_go_with_their_thread(self, store: Store) -> None:
        """A deleted thread's turn is unknown, to its holder too, and its key is free again."""
        await store.begin_turn(new_thread(key="key"), ANN)
        await store.keep_turns([sign(rows=[EventRow(1, 1, "a")])])
        await store.begin_tool_call("trn_1", 1, "call_1", "tool", ANN)
        await store.delete_thread("thr_1", ANN)
        assert await store.keep_turns([sign(rows=[EventRow(2, 2, "late")])]) == []
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: store.load_turn("trn_1", ANN),
            lambda: store.load_thread_turn("thr_1", ANN),
            lambda: store.load_turn_events("trn_1", 0, 9, ANN),
            lambda: store.load_tool_calls("trn_1", ANN),
            lambda: store.cancel_turn("trn_1", ANN),
            *[lambda call=call: call for call in every_write(store, 1)],
        ]
        for call in calls:
            with pytest.raises(NotFoundError):
                await call()
        await lost(store.save_thread(thread(), leased(ANN)))
        assert await store.find_turn("key", ANN) is None
        await store.begin_turn(new_thread("trn_2", key="key", digest="other"), ANN)
        assert await store.load_turn_events("trn_2", 0, 9, ANN) == []
