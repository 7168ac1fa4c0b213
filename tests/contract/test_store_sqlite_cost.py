"""What a statement reads, and what a call costs, on SQLite."""

import re
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select
from sqlalchemy.dialects.sqlite import aiosqlite
from sqlalchemy.sql import ClauseElement

from chatkeep.ports import Store
from chatkeep.stores.sql.sqlite import DIALECT
from chatkeep.stores.sql.statements.open_turns import OpenTurns
from chatkeep.testing.store_samples import asking, message, thread
from support.statements import FEW, statements, upkeep_statements

ANN = asking()
MANY = ("items", "feedback", "texts", "turn_events", "tool_calls")


@pytest.fixture(scope="module")
def crowded(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose planner believes in a million items: 10,000 threads of 100 users.

    All that SQLite's planner knows of the rows is `sqlite_stat1`: how many there are, and how many
    share the first columns of an index, one more with each number.
    """
    path = Path(shutil.copy(empty_database, tmp_path_factory.mktemp("crowded")))
    rows = {"tenant": 1, "owner": 100, "thread_id": 10_000, "turn_id": 10_000}
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ANALYZE")  # makes the table
        found = connection.execute(
            "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'"
        ).fetchall()
        for index, table in found:
            total = 1_000_000 if table in MANY else 10_000
            columns = connection.execute(f"PRAGMA index_info({index})").fetchall()
            groups = [min(rows.get(name, total), total) for _, _, name in columns]
            groups[-1] = total  # with the last column it is one row, or next to it
            sharing = [total // max(groups[: n + 1]) for n in range(len(groups))]
            stat = " ".join(map(str, [total, *sharing]))
            connection.execute("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", [table, index, stat])
    return path


@pytest.mark.parametrize(
    ("name", "statement"), list(statements(DIALECT)), ids=lambda value: str(value)[:20]
)
def test_every_statement_finds_its_rows_by_an_index(
    crowded: Path, name: str, statement: ClauseElement
) -> None:
    """Among a million items none reads a whole table, and no page is sorted after it was read."""
    steps = planned(crowded, statement)
    assert not [step for step in steps if re.match(r"SCAN (?!texts_index VIRTUAL)", step)], steps
    if name not in FEW:
        assert not [step for step in steps if "TEMP B-TREE FOR ORDER BY" in step], steps
    searches = [step for step in steps if step.startswith("SEARCH")]
    searched = not any(word in name for word in ("insert", "put", "take_thread"))
    if searched:
        assert searches
    for step in searches:
        assert any(key in step for key in ("tenant=?", "digest=?", "rowid=?")), step


@pytest.mark.parametrize(
    ("name", "statement"), list(upkeep_statements(DIALECT)), ids=lambda value: str(value)[:20]
)
def test_no_statement_of_the_upkeep_reads_all_items(
    crowded: Path, name: str, statement: ClauseElement
) -> None:
    """Whatever operators and takeovers look for among a million items, unless they want all."""
    steps = planned(crowded, statement)
    whole = [step for step in steps if re.match(r"SCAN (items|feedback)\b", step)]
    if name in ("first_records[items]", "first_records[feedback]"):  # in the order of the key
        assert all("USING INDEX" in step for step in whole)
    else:
        assert not whole, steps
    if name.partition("[")[0] in vars(OpenTurns(DIALECT)):
        # The index of those that are open is small.
        scans = [step for step in steps if re.match(r"SCAN (?!.*ix_turns_open|every|anon)", step)]
        assert not scans, steps


def planned(path: Path, statement: ClauseElement) -> list[str]:
    """Return the steps in which SQLite would run a statement."""
    if isinstance(statement, Select):
        names = [name for name in statement.compile().params if name.startswith("p_")]
        statement = statement.params(dict.fromkeys(names, 1))
    compiled: Any = statement.compile(
        dialect=aiosqlite.dialect(), compile_kwargs={"render_postcompile": True}
    )
    with closing(sqlite3.connect(path)) as connection:
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN {compiled}", [None] * len(compiled.positiontup)
        ).fetchall()
    return [row[3] for row in plan]


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
