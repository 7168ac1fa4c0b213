"""Records go from any backend to any other one, and arrive as they were."""

from itertools import pairwise
from pathlib import Path

from chatkeep.ports import Hold, Store
from chatkeep.testing.store_samples import MOMENT, asking
from chatkeep.testing.store_tenancy import FOREIGN, everything, furnish
from chatkeep.upkeep.copy_state import CopyState
from chatkeep.upkeep.copying import compare, copy_records

USERS = [asking(), *FOREIGN.values()]


def silent(_: str, __: int) -> None:
    """Report nothing."""


async def test_around_all_backends(
    sqlite_store: Store,
    mongo_store: Store,
    postgres_store: Store,
    memory_store: Store,
    tmp_path: Path,
) -> None:
    """SQLite to MongoDB to PostgreSQL to memory: equal records, and equal answers to each user."""
    for user in USERS:
        await furnish(sqlite_store, user, str(user.principal))
    await sqlite_store.put_hold(Hold("acme", None, "case 7", MOMENT))
    stores = [sqlite_store, mongo_store, postgres_store, memory_store]
    expected = [await everything(sqlite_store, user) for user in USERS]
    sums = set()
    for n, (source, target) in enumerate(pairwise(stores)):
        state = CopyState.begin(tmp_path / "states", (f"place {n}", f"place {n + 1}"))
        await copy_records(source, target, state, silent)
        sums.add(await compare(source, target, silent))
        assert [await everything(target, user) for user in USERS] == expected
    assert len(sums) == 1
