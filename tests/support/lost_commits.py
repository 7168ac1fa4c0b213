"""Commits whose answers are lost, which leaves their outcome unknown."""

from typing import Any

import pytest

from chatkeep.stores.sql.store import SqlStore


def lose_after_commit(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lose the connection behind every other COMMIT; return a list that grows with each."""
    lost: list[int] = []
    engine = store._db._writer  # type: ignore[attr-defined]
    assert engine is not None
    commit = engine.dialect.do_commit
    calls = 0

    def losing(connection: Any) -> None:
        nonlocal calls
        commit(connection)
        calls += 1
        if calls % 2:
            lost.append(calls)
            raise ConnectionResetError

    monkeypatch.setattr(engine.dialect, "do_commit", losing)
    return lost
