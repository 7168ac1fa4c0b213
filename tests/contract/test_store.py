"""The store's contract on every backend."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from chatkeep.ports import Store
from chatkeep.stores import open_store
from chatkeep.testing import StoreContract
from support.postgres import OpenPostgres

OpenSqlite = Callable[[Path], Awaitable[Store]]


class TestMemoryStore(StoreContract):
    """`memory://`."""

    @pytest_asyncio.fixture
    async def store(self) -> AsyncIterator[Store]:
        """A store in memory."""
        store = open_store("memory://", data_dir=Path())
        await store.open()
        yield store
        await store.aclose()

    @pytest_asyncio.fixture
    async def second_store(self) -> AsyncIterator[Store]:
        """Another one."""
        store = open_store("memory://", data_dir=Path())
        await store.open()
        yield store
        await store.aclose()


class TestSqliteStore(StoreContract):
    """`sqlite:///`."""

    @pytest.fixture
    def store(self, sqlite_store: Store) -> Store:
        """A store in a new file."""
        return sqlite_store

    @pytest_asyncio.fixture
    async def second_store(
        self, empty_database: Path, tmp_path: Path, open_sqlite: OpenSqlite
    ) -> Store:
        """Another one."""
        return await open_sqlite(Path(shutil.copy(empty_database, tmp_path / "second.db")))


class TestPostgresStore(StoreContract):
    """`postgresql://`."""

    @pytest.fixture
    def store(self, postgres_store: Store) -> Store:
        """A store in an empty database."""
        return postgres_store

    @pytest_asyncio.fixture
    async def second_store(self, own_database: str, open_postgres: OpenPostgres) -> Store:
        """Another one."""
        store: Store = await open_postgres(own_database)
        return store
