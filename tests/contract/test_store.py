"""The store's contract on every backend."""

import pytest

from chatkeep.ports import Store
from chatkeep.stores.memory import MemoryStore
from chatkeep.testing import StoreContract


class TestMemoryStore(StoreContract):
    """`memory://`."""

    @pytest.fixture
    def store(self) -> Store:
        """A store in memory."""
        return MemoryStore()


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
