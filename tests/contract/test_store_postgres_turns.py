"""Turns on PostgreSQL: commits of unknown outcome, locks that cross."""

import asyncio
from typing import Any

import pytest

from chatkeep.errors import LeaseLostError, NotFoundError
from chatkeep.ports import EventRow, TurnEnd, TurnState
from chatkeep.stores.sql.base import key_of
from chatkeep.stores.sql.store import SqlStore
from chatkeep.stores.sql.writing import item_values
from chatkeep.testing.store_pages import item_ids
from chatkeep.testing.store_samples import (
    asking,
    leased,
    message,
    question,
    sign,
    thread,
    turn_order,
)
from support.lost_commits import lose_after_commit
from support.postgres import OpenPostgres, PostgresServer
from support.waiting import until

ANN = asking()

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1"


async def test_a_turn_is_claimed_once_though_the_answer_is_lost(
    postgres_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each claim gives one turn, the one that its first try has taken."""
    store = postgres_store
    for n in range(4):
        await store.save_thread(thread(f"thr_{n}"), ANN)
        await store.begin_turn(turn_order(f"trn_{n}", f"thr_{n}"), ANN)
        await store.begin_turn(turn_order(f"trn_q{n}", f"thr_{n}", queue=True), ANN)
        if n < 2:
            await store.end_turn(f"trn_{n}", 1, TurnEnd(TurnState.COMPLETED), ANN)
        else:
            await store.release_turn(f"trn_{n}", 1, ANN)
    lost = lose_after_commit(store, monkeypatch)
    taken = [await store.claim_turn("two", 3600) for _ in range(4)]
    assert sorted((turn.id, turn.fence) for turn in taken if turn) == [
        ("trn_2", 2),
        ("trn_3", 2),
        ("trn_q0", 2),
        ("trn_q1", 2),
    ]
    assert await store.claim_turn("two", 9) is None
    assert len(lost) >= 2


async def test_a_turn_is_written_once_though_the_answer_is_lost(
    postgres_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows, its calls, its items and its end."""
    store = postgres_store
    await store.save_thread(thread(), ANN)
    lost = lose_after_commit(store, monkeypatch)
    rows = [EventRow(n, n, "x") for n in range(1, 7)]
    order = turn_order(message=question("msg_1"), events=rows[:1])
    assert (await store.begin_turn(order, ANN)).last_event == 1
    for n in (1, 2, 3, 4):
        call_id = f"call_{n % 2}"
        assert await store.keep_turns([sign(rows=rows[n : n + 1])]) == ["trn_1"]
        await store.begin_tool_call("trn_1", 1, call_id, "tool", ANN)
        await store.add_thread_item("thr_1", message(f"msg_a{n}"), leased(ANN))
        await store.end_tool_call("trn_1", 1, call_id, ANN)
        await store.touch_turn("trn_1", 1, ANN)
    for _ in range(2):
        end = TurnEnd(TurnState.COMPLETED, items=[message("msg_b")], events=rows[5:], read=True)
        assert (await store.end_turn("trn_1", 1, end, ANN)).last_event == 6
    calls = await store.load_tool_calls("trn_1", ANN)
    assert [call.call_id for call in calls] == ["call_1", "call_0", "call_1", "call_0"]
    assert all(call.ended_at for call in calls)
    assert await store.load_turn_events("trn_1", 0, 9, ANN) == rows
    assert await item_ids(store) == ["msg_1", *[f"msg_a{n}" for n in (1, 2, 3, 4)], "msg_b"]
    assert len(lost) >= 10


async def test_a_write_and_a_deletion_that_lock_each_other_both_come_through(
    postgres: PostgresServer, own_database: str, open_postgres: OpenPostgres
) -> None:
    """A turn's write holds the turn and wants the thread; the deletion, the other way round."""
    store = await open_postgres(own_database)
    await store.begin_turn(turn_order(new_thread=thread(), message=question("msg_1")), ANN)
    item = item_values(key_of(ANN, thread="thr_1"), message("msg_2"))
    monitor = await postgres.connect(own_database)
    holding, tries = asyncio.Event(), 0

    async def waits() -> bool:
        return bool(await monitor.fetchval(WAITING, own_database))

    async def put(connection: Any) -> None:
        nonlocal tries
        tries += 1
        holding.set()
        if tries == 1:
            await until(waits)
        await store._put_item(connection, item)

    async def delete() -> None:
        await holding.wait()
        await store.delete_thread("thr_1", ANN)

    written, deleted = await asyncio.gather(
        store._write(leased(ANN), put), delete(), return_exceptions=True
    )
    await monitor.close()
    assert deleted is None
    assert written is None or isinstance(written, LeaseLostError)
    with pytest.raises(NotFoundError):
        await store.load_thread("thr_1", ANN)
