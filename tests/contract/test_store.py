"""The store's contract on every backend."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chatkeep.ports import Store
from chatkeep.stores import open_store
from chatkeep.testing import StoreContract


class TestMemoryStore(StoreContract):
    """`memory://`."""

    @pytest_asyncio.fixture
    async def store(self) -> AsyncIterator[Store]:
        """A store in memory."""
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


class TestPostgresStore(StoreContract):
    """`postgresql://`."""

    @pytest.fixture
    def store(self, postgres_store: Store) -> Store:
        """A store in an empty database."""
        return postgres_store
