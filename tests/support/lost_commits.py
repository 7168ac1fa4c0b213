"""Commits whose answers are lost, which leaves their outcome unknown."""

from typing import Any

import pytest

from chatkeep.stores.sql.postgres_pool import PostgresConnection
from chatkeep.stores.sql.store import SqlStore


def lose_after_commit(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lose the connection behind every other COMMIT; return a list that grows with each."""
    lost: list[int] = []
    commit = PostgresConnection.commit
    calls = 0

    async def losing(connection: Any) -> None:
        nonlocal calls
        await commit(connection)
        if connection._prepare is not store._db.prepare:  # type: ignore[attr-defined]
            return  # another store's
        calls += 1
        if calls % 2:
            lost.append(calls)
            raise ConnectionResetError

    monkeypatch.setattr(PostgresConnection, "commit", losing)
    return lost
