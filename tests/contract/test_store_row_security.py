"""PostgreSQL's row-level security, as a second wall behind the statements' conditions."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import select
from sqlalchemy.sql import ClauseElement
from test_store_isolation import PARAMETERS, flat, rows_of, without

from chatkeep.errors import SettingsError
from chatkeep.ports import Store
from chatkeep.postgres.url import read_url
from chatkeep.stores import apply_migrations, open_store, pending_migrations
from chatkeep.stores.sql.migrate import REVISIONS
from chatkeep.stores.sql.postgres import DIALECT, ROW_SECURITY, PostgresDatabase
from chatkeep.stores.sql.schema import threads
from chatkeep.stores.sql.store import SqlStore
from chatkeep.testing.store_finding import FindingContract
from chatkeep.testing.store_lists import ListsContract
from chatkeep.testing.store_pages import PagesContract
from chatkeep.testing.store_samples import asking, question, thread
from chatkeep.testing.store_sharing import SharingContract
from chatkeep.testing.store_turns import TurnsContract
from chatkeep.testing.store_upkeep import UpkeepContract
from support.isolation import difference
from support.postgres import EMPTY, PostgresServer


@pytest.fixture(scope="module")
def walled(postgres: PostgresServer) -> str:
    """The URL of a database with row security, as a user for whom it counts."""
    postgres.run("CREATE ROLE plain LOGIN")
    postgres.run("CREATE DATABASE walled OWNER plain")
    url = postgres.url("walled", "plain", row_security="on")
    assert asyncio.run(apply_migrations(url, data_dir=Path())) == (*REVISIONS, ROW_SECURITY)
    return url


@pytest_asyncio.fixture
async def store(postgres: PostgresServer, walled: str) -> AsyncIterator[Store]:
    """An empty store behind the wall."""
    await postgres.execute(EMPTY, database="walled")
    store = open_store(walled, data_dir=Path())
    await store.open()
    yield store
    await store.aclose()


@pytest.mark.asyncio
class TestWalledStore(
    PagesContract, FindingContract, ListsContract, SharingContract, TurnsContract, UpkeepContract
):
    """Everything works as without the wall. Tenancy is what the mutants below are about."""

    @pytest.fixture
    def store(self, store: Store) -> Store:
        """A store behind the wall."""
        return store

    @pytest.fixture
    def second_store(self, memory_store: Store) -> Store:
        """Another empty one."""
        return memory_store


async def test_missing_predicates_are_harmless(postgres: PostgresServer, walled: str) -> None:
    """Statements that ask for everybody's rows get the asking user's: all of them, at once."""
    await postgres.execute(EMPTY, database="walled")
    store = SqlStore(PostgresDatabase(read_url(walled)))
    for (name, order), statement in flat(DIALECT).items():
        mutant: ClauseElement = statement
        for parameter in PARAMETERS:
            mutant = without(mutant, parameter)
        if order is None:
            setattr(store._sql, name, mutant)
        else:
            getattr(store._sql, name)[order] = mutant
    await store.open()
    try:
        assert await difference(store, rows_of) is None
    finally:
        await store.aclose()


async def test_a_statement_that_names_nobody_sees_nothing(store: Store, walled: str) -> None:
    """Not even a statement without any condition."""
    ann = asking()
    await store.create_thread(thread(), question("msg_1"), ann)
    every = PostgresDatabase(read_url(walled))
    await every.open()
    assert await every.fetch(select(threads), {}) == []
    await every.aclose()


async def test_the_wall_is_asked_for(
    postgres: PostgresServer, own_database: str, walled: str
) -> None:
    """A start without the wall says how to get it; a user who walks through it is refused."""
    assert "row_security=on" in walled
    postgres_url = postgres.url(own_database, row_security="on")
    await postgres.execute("GRANT ALL ON SCHEMA public TO plain", database=own_database)
    assert await pending_migrations(postgres_url, data_dir=Path()) == (ROW_SECURITY,)
    with pytest.raises(SettingsError, match="superuser"):
        await open_store(postgres_url, data_dir=Path()).open()
    plain = postgres.url(own_database, "plain", row_security="on")
    await postgres.execute(
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO plain", database=own_database
    )
    with pytest.raises(SettingsError, match=r"row-security.*chatkeep migrate"):
        await open_store(plain, data_dir=Path()).open()


async def test_other_sessions_see_everything(walled: str, store: Store) -> None:
    """A backup, and a release or an instance without the setting, are not walled in."""
    await store.create_thread(thread(), question("msg_1"), asking())
    open_url = walled.partition("?")[0]
    other = open_store(open_url, data_dir=Path())
    await other.open()
    assert (await other.load_thread("thr_1", asking())).id == "thr_1"
    await other.aclose()
