"""What a statement reads, and what a call costs, on SQLite."""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects.sqlite import aiosqlite
from sqlalchemy.sql import ClauseElement

from chatkeep.ports import Store
from chatkeep.stores.sql.sqlite import DIALECT
from chatkeep.stores.sql.statements import Statements
from chatkeep.testing.store_samples import asking, message, thread

ANN = asking()

SORTED = {
    "open_turn": "the one that runs, or few that wait for it",
    "load_shares": "the few of a thread",
}
"""Statements that sort what they have read, and why that is not much."""

READING = {"insert_share", "insert_turn"}
"""Insertions that look something up."""


def statements() -> Iterator[tuple[str, ClauseElement]]:
    """Yield every statement with a name."""
    for name, value in vars(Statements(DIALECT)).items():
        if isinstance(value, Mapping):
            yield from ((f"{name}[{key}]", each) for key, each in value.items())
        else:
            yield name, value


@pytest.mark.parametrize(
    ("name", "statement"), list(statements()), ids=lambda value: str(value)[:20]
)
def test_every_statement_finds_its_rows_by_an_index(
    database: Path, name: str, statement: ClauseElement
) -> None:
    """No statement reads a whole table, and no page is sorted after it was read."""
    compiled: Any = statement.compile(dialect=aiosqlite.dialect())
    with closing(sqlite3.connect(database)) as connection:
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN {compiled}", [None] * len(compiled.positiontup)
        ).fetchall()
    steps = [row[3] for row in plan if not row[3].endswith(("SUBQUERY 1", "SUBQUERY 2"))]
    sorts = [step for step in steps if "TEMP B-TREE" in step]
    assert bool(sorts) == (name in SORTED), steps
    steps = [step for step in steps if step not in sorts]
    searched = name in READING or not any(word in name for word in ("insert", "put", "take_thread"))
    assert bool(steps) == searched
    # Words, a row of what they found, and who comes with a secret: the rest is the user's own.
    named = {"search_page": 2, "find_share": 1}.get(name, 0)
    if name == "search_page":
        assert steps[0].startswith("SCAN texts_index VIRTUAL TABLE INDEX")
        assert steps[1] == "SEARCH texts USING INTEGER PRIMARY KEY (rowid=?)"
    elif name == "find_share":
        assert "(digest=?)" in steps[0]
    assert all("tenant=? AND owner=?" in step for step in steps[named:]), steps


async def test_the_cost_of_a_page_does_not_grow(
    sqlite_store: Store, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prints what an append and the newest page cost with 10 and with 100,000 items."""
    await sqlite_store.save_thread(thread(), ANN)
    figures = []
    for count in (10, 100_000):
        fill(database, count)
        appends, pages = [], []
        for n in range(100):
            start = time.perf_counter()
            await sqlite_store.add_thread_item("thr_1", message(f"{count}-{n}", "x" * 500), ANN)
            appends.append(time.perf_counter() - start)
            start = time.perf_counter()
            page = await sqlite_store.load_thread_items("thr_1", None, 20, "desc", ANN)
            pages.append(time.perf_counter() - start)
            assert page.data[0].id == f"{count}-{n}"
        median = [sorted(times)[50] * 1000 for times in (appends, pages)]
        figures.append(f"{count:>7} items: append {median[0]:.2f} ms, newest 20 {median[1]:.2f} ms")
    with capsys.disabled():
        print("", *figures, sep="\n")  # noqa: T201 - that is the point


def fill(path: Path, count: int) -> None:
    """Bring the thread to this many items behind the store's back."""
    body = message("x", "x" * 500).model_dump_json()
    with closing(sqlite3.connect(path)) as connection, connection:
        (first,) = connection.execute("SELECT next_seq FROM threads").fetchone()
        connection.executemany(
            "INSERT INTO items (tenant, owner, thread_id, id, seq, type, hidden, body) "
            "VALUES ('acme', 'ann', 'thr_1', ?, ?, 'assistant_message', 0, ?)",
            [(f"fill_{n}", n, body) for n in range(first, count + 1)],
        )
        connection.execute("UPDATE threads SET next_seq = ?", [max(first, count + 1)])
