"""PostgreSQL behind PgBouncer in transaction mode: each transaction on whatever session is free."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from chatkeep.errors import SettingsError
from chatkeep.ports import Store
from chatkeep.stores import apply_migrations, open_store, pending_migrations
from chatkeep.testing import StoreContract
from chatkeep.testing.store_samples import asking, message, thread
from support.pgbouncer import SESSIONS, PgBouncer
from support.postgres import PostgresServer

ANN = asking()


@pytest.fixture(scope="module")
def bouncer(postgres: PostgresServer) -> Iterator[PgBouncer]:
    """A pooler with few sessions in front of the shared server."""
    pooler = PgBouncer(postgres)
    yield pooler
    pooler.stop()


@pytest_asyncio.fixture
async def pooled(bouncer: PgBouncer, emptied: str) -> AsyncIterator[Store]:
    """A store without rows behind the pooler."""
    store = open_store(bouncer.url(emptied, statement_cache_size=0), data_dir=Path())
    await store.open()
    yield store
    await store.aclose()


class TestPooledStore(StoreContract):
    """`postgresql://…?statement_cache_size=0`."""

    @pytest.fixture
    def store(self, pooled: Store) -> Store:
        """A store in an empty database."""
        return pooled

    @pytest.fixture
    def second_store(self, memory_store: Store) -> Store:
        """Another empty one."""
        return memory_store


async def test_many_calls_share_few_sessions(
    bouncer: PgBouncer, postgres: PostgresServer, pooled: Store, emptied: str
) -> None:
    """Two stores with ten connections each, reads among writes: every answer is the right one."""
    other = open_store(bouncer.url(emptied, statement_cache_size=0), data_dir=Path())
    await other.open()
    stores = [pooled, other]
    for n in range(20):
        await pooled.save_thread(thread(f"thr_{n}", title=f"title {n}"), ANN)

    async def work(n: int) -> None:
        store, own = stores[n % 2], f"thr_{n}"
        for number in range(20):
            await store.add_thread_item(own, message(f"{n}-{number}", thread_id=own), ANN)
            assert (await store.load_thread(own, ANN)).title == f"title {n}"
            newest = await store.load_thread_items(own, None, 1, "desc", ANN)
            assert newest.data[0].id == f"{n}-{number}"

    await asyncio.gather(*[work(n) for n in range(20)])
    for n in range(20):
        page = await pooled.load_thread_items(f"thr_{n}", None, 100, "asc", ANN)
        assert [item.id for item in page.data] == [f"{n}-{number}" for number in range(20)]
    connection = await postgres.connect()
    sessions = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = $1", emptied
    )
    await connection.close()
    await other.aclose()
    assert sessions <= SESSIONS


async def test_migrations_pass_the_pooler(bouncer: PgBouncer, empty_postgres: str) -> None:
    """A migration is one transaction, and its lock belongs to that."""
    url = bouncer.url(empty_postgres, statement_cache_size=0)
    todo = await pending_migrations(url, data_dir=Path())
    assert todo
    assert await apply_migrations(url, data_dir=Path()) == todo
    assert not await pending_migrations(url, data_dir=Path())


async def test_a_pooler_that_the_url_does_not_mention_is_one_clear_line(
    bouncer: PgBouncer, emptied: str
) -> None:
    """Prepared statements would get lost in it; what it refuses first says what to read."""
    with pytest.raises(SettingsError, match=r"is a pooler .*PgBouncer in the documentation"):
        await open_store(bouncer.url(emptied), data_dir=Path()).open()
