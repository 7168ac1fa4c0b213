"""The primary is lost under load and its streaming replica promoted."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Self

import pytest
import pytest_asyncio

from chatkeep.errors import StoreUnavailableError
from chatkeep.ports import Store
from chatkeep.stores import apply_migrations, open_store
from chatkeep.stores.sql import postgres as backend
from chatkeep.testing.store_pages import item_ids
from chatkeep.testing.store_samples import asking, message, thread
from support.postgres import PostgresServer, postgres_binaries
from support.waiting import PATIENCE

ANN = asking()
WRITERS = 8


class Pair:
    """A primary and a replica that has each commit before it is acknowledged."""

    def __init__(self, binaries: Path) -> None:
        self.primary = PostgresServer(binaries)
        self.replica = PostgresServer(binaries)

    def create(self) -> None:
        """Start both."""
        self.primary.create()
        self.primary.run("CREATE DATABASE chat")
        asyncio.run(apply_migrations(self.primary.url("chat"), data_dir=Path()))
        self.replica.follow(self.primary)
        # After the copy: the replica has nobody to wait for when it is promoted.
        self.primary.run(
            "ALTER SYSTEM SET synchronous_commit = 'remote_apply'",
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
            "SELECT pg_reload_conf()",
        )

    def remove(self) -> None:
        """Delete both."""
        self.primary.remove()
        self.replica.remove()

    def url(self, **parameters: object) -> str:
        """Return a URL with both hosts, the first primary first."""
        one, other = f"127.0.0.1:{self.primary.port}", f"127.0.0.1:{self.replica.port}"
        return self.primary.url("chat", **parameters).replace(one, f"{one},{other}")

    async def synchronous(self) -> None:
        """Return when commits wait for the replica."""
        connection = await self.primary.connect()
        async with asyncio.timeout(PATIENCE):
            while not await connection.fetchval(
                "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            ):
                await asyncio.sleep(0.05)
        await connection.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two servers of the test's own."""
    servers = Pair(postgres_binaries())
    try:
        servers.create()
        yield servers
    finally:
        servers.remove()


@pytest_asyncio.fixture
async def store(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """A store that knows both servers, and waits less for a silent one than it usually would."""
    monkeypatch.setattr(backend, "_COMMAND_TIMEOUT", 3.0)
    monkeypatch.setattr(backend, "_CLOSE_TIMEOUT", 1.0)
    opened = open_store(pair.url(connect_timeout=2), data_dir=Path())
    await opened.open()
    yield opened
    await opened.aclose()


class Load:
    """Writers of one thread, and what each was told is saved."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.kept: list[list[str]] = [[] for _ in range(WRITERS)]
        self.refused = 0
        self._stop = False
        self._tasks: list[asyncio.Task[None]] = []

    async def _write(self, writer: int) -> None:
        number = 0
        while not self._stop:
            number += 1
            item_id = f"{writer}-{number}"
            try:
                await self._store.add_thread_item("thr_1", message(item_id), ANN)
            except StoreUnavailableError:
                self.refused += 1
            else:
                self.kept[writer].append(item_id)

    async def each_writes(self, number: int) -> None:
        """Return when every writer has saved this many more."""
        wanted = [len(own) + number for own in self.kept]
        async with asyncio.timeout(PATIENCE):
            while any(len(own) < want for own, want in zip(self.kept, wanted, strict=True)):
                await asyncio.sleep(0.02)

    async def __aenter__(self) -> Self:
        """Begin."""
        self._tasks = [asyncio.create_task(self._write(n)) for n in range(WRITERS)]
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        """Let every writer finish what it is at; after an error, cut them off."""
        self._stop = True
        for task in self._tasks if kind else ():
            task.cancel()
        await asyncio.wait(self._tasks)


@pytest.mark.parametrize("loss", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "silent"])
async def test_a_promoted_replica_has_every_acknowledged_write(
    pair: Pair, store: Store, loss: signal.Signals
) -> None:
    """The primary dies, or answers nothing any more: writers go on at the other, in one order."""
    await pair.synchronous()
    await store.save_thread(thread(), ANN)
    async with Load(store) as load:
        await load.each_writes(10)
        await asyncio.to_thread(pair.primary.kill, loss)
        await pair.replica.execute("SELECT pg_promote()")
        await load.each_writes(10)
    connection = await pair.replica.connect("chat")
    rows = await connection.fetch("SELECT id, seq FROM items ORDER BY seq")
    await connection.close()
    ids = [row["id"] for row in rows]
    assert len(ids) == len(set(ids)) == len({row["seq"] for row in rows})
    assert ids == await item_ids(store, limit=1000)
    for own in load.kept:
        saved = set(own)
        assert [item_id for item_id in ids if item_id in saved] == own


async def test_an_old_primary_that_lives_on_as_a_standby_is_refused(pair: Pair) -> None:
    """Nobody writes to it: it is passed over, and who insists on it is told (25006)."""
    await pair.synchronous()
    await asyncio.to_thread(pair.primary.kill)
    await pair.replica.execute("SELECT pg_promote()")
    await asyncio.to_thread(pair.primary.stand_by, pair.replica)

    both = open_store(pair.url(), data_dir=Path())
    await both.open()
    await both.save_thread(thread(), ANN)
    await both.aclose()
    connection = await pair.replica.connect("chat")
    assert await connection.fetchval("SELECT count(*) FROM threads") == 1
    await connection.close()

    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        await open_store(pair.primary.url("chat"), data_dir=Path()).open()

    insisting = open_store(pair.primary.url("chat", target_session_attrs="any"), data_dir=Path())
    await insisting.open()
    with pytest.raises(StoreUnavailableError) as caught:
        await insisting.save_thread(thread("thr_2"), ANN)
    await insisting.aclose()
    assert getattr(caught.value.__cause__, "sqlstate", None) == "25006"
