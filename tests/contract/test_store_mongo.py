"""MongoDB: the contract, and what it adds: transactions that meet, lost answers, the start."""

import pytest

from chatkeep.ports import Store
from chatkeep.testing import StoreContract


class TestMongoStore(StoreContract):
    """`mongodb://`."""

    @pytest.fixture
    def store(self, mongo_store: Store) -> Store:
        """A store in an empty database."""
        return mongo_store
