"""SQLite's threads: what has queued is committed together, and each is undone alone."""

import asyncio
import threading
from contextlib import suppress
from typing import Any, Self

import pytest

from chatkeep.errors import ConflictError
from chatkeep.stores.sql.store import SqlStore
from chatkeep.testing.store_pages import thread_ids
from chatkeep.testing.store_samples import asking, question, thread
from support.waiting import until

ANN = asking()


class Held:
    """Holds the writing thread until it is let go, and notes what SQLite is told behind that."""

    def __init__(self, store: SqlStore) -> None:
        self.said: list[str] = []
        self._store = store
        self._begun, self._go = threading.Event(), threading.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._store._db.write(self._hold))
        await until(self._begun.is_set)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._go.set()
        await self._task

    async def _hold(self, connection: Any) -> None:
        self._begun.set()
        self._go.wait(30)
        connection.raw.set_trace_callback(self.said.append)

    def count(self, text: str) -> int:
        """Return how often SQLite was told this, but for the end of the first transaction."""
        return self.said[1:].count(text)


async def created(store: SqlStore, number: int) -> None:
    """Create a thread with a message."""
    await store.create_thread(thread(f"thr_{number}"), question("msg_1"), ANN)


async def test_writes_that_have_queued_are_one_transaction(sqlite_store: SqlStore) -> None:
    """Ten writes that came meanwhile are synced to disk once."""
    async with Held(sqlite_store) as held:
        writes = [asyncio.create_task(created(sqlite_store, number)) for number in range(10)]
        await asyncio.sleep(0)
    await asyncio.gather(*writes)
    assert held.said[0] == "COMMIT"
    assert (held.count("BEGIN IMMEDIATE"), held.count("COMMIT")) == (1, 1)
    assert sorted(await thread_ids(sqlite_store)) == sorted(f"thr_{n}" for n in range(10))


async def test_one_that_fails_takes_back_itself_only(sqlite_store: SqlStore) -> None:
    """Among writes that are committed together, each has the outcome it would have alone."""
    await created(sqlite_store, 1)
    async with Held(sqlite_store) as held:
        writes = [asyncio.create_task(created(sqlite_store, number)) for number in (0, 1, 2)]
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(each) for each in outcomes] == [type(None), ConflictError, type(None)]
    assert held.count("COMMIT") == 1
    assert await thread_ids(sqlite_store) == ["thr_1", "thr_0", "thr_2"]


async def test_a_transaction_that_breaks_is_done_again_one_by_one(sqlite_store: SqlStore) -> None:
    """Some failures end SQLite's whole transaction: the others' parts of it are not lost."""

    async def ends_it(connection: Any) -> None:
        connection.raw.execute("ROLLBACK")
        raise ValueError("broken")

    async with Held(sqlite_store):
        writes: list[asyncio.Task[Any]] = [
            asyncio.create_task(created(sqlite_store, 0)),
            asyncio.create_task(sqlite_store._db.write(ends_it)),
            asyncio.create_task(created(sqlite_store, 1)),
        ]
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(each) for each in outcomes] == [type(None), ValueError, type(None)]
    assert await thread_ids(sqlite_store) == ["thr_0", "thr_1"]


async def test_a_transaction_waits_for_nothing_else(sqlite_store: SqlStore) -> None:
    """Code that would is stopped, and what it has written is taken back."""

    async def waits(connection: Any) -> None:
        connection.raw.execute("DELETE FROM threads")
        await asyncio.sleep(0)

    await created(sqlite_store, 0)
    with pytest.raises(RuntimeError, match="waited for something else"):
        await sqlite_store._db.write(waits)
    assert await thread_ids(sqlite_store) == ["thr_0"]


async def test_who_leaves_does_not_undo_the_write(sqlite_store: SqlStore) -> None:
    """A caller that is cancelled while it queues: the write is done all the same."""
    async with Held(sqlite_store):
        write = asyncio.create_task(created(sqlite_store, 0))
        await asyncio.sleep(0)
        write.cancel()
        with suppress(asyncio.CancelledError):
            await write
    await created(sqlite_store, 1)
    assert await thread_ids(sqlite_store) == ["thr_0", "thr_1"]
