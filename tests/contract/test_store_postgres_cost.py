"""How PostgreSQL finds rows among many, and what a call costs."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.sql import ClauseElement

from chatkeep.stores.paging import END
from chatkeep.stores.sql.postgres import DIALECT
from chatkeep.stores.sql.statements import Statements
from chatkeep.testing.store_samples import asking, message, thread
from support.postgres import OpenPostgres, PostgresServer
from support.waiting import until

ANN = asking()

OTHERS = """
INSERT INTO owners (tenant, owner, next_seq)
  SELECT 'acme', 'u' || u, 101 FROM generate_series(1, 100) u;
INSERT INTO threads (tenant, owner, id, seq, next_seq, body, active_seq, active_at)
  SELECT 'acme', 'u' || u, 't' || t, t, 3, '{}', t, t
  FROM generate_series(1, 100) u, generate_series(1, 100) t;
INSERT INTO items (tenant, owner, thread_id, id, seq, type, hidden, body)
  SELECT 'acme', 'u' || u, 't' || t, 'i' || i, i, 'user_message', false, '{}'
  FROM generate_series(1, 100) u, generate_series(1, 100) t, generate_series(1, 2) i;
INSERT INTO feedback (tenant, owner, thread_id, item_id, kind)
  SELECT tenant, owner, thread_id, id, 'positive' FROM items;
INSERT INTO attachments (tenant, owner, id, thread_id, body)
  SELECT tenant, owner, id, id, '{}' FROM threads;
"""
"""Ten thousand threads of a hundred users, with two items each."""

MORE = """
INSERT INTO texts (tenant, owner, thread_id, item_id, words)
  SELECT tenant, owner, thread_id, id, owner || ' word' FROM items;
INSERT INTO shares (tenant, owner, id, thread_id, digest, until, created_at)
  SELECT tenant, owner, id, id, owner || id, 2, 1 FROM threads;
INSERT INTO holds (tenant, owner, reason, created_at)
  SELECT 'tenant' || n, 'u' || n, 'reason', 1 FROM generate_series(1, 3000) n;
INSERT INTO turns (tenant, owner, id, thread_id, state, request, key, digest, fence,
    cancel_requested, touched, last_event, created_at, ended_at)
  SELECT tenant, owner, thread_id || id, thread_id, state, '', thread_id || id, '', 1,
    false, false, 2, 1, CASE WHEN id = 'i1' THEN 1 END
  FROM items, LATERAL (SELECT CASE WHEN id = 'i1' THEN 'completed' ELSE 'running' END state) s;
INSERT INTO turn_events (tenant, owner, turn_id, first, last, body)
  SELECT tenant, owner, id, n, n, '' FROM turns, generate_series(1, 1) n;
"""
"""One of everything else for each of them, and some holds."""

FILL = """
INSERT INTO items (tenant, owner, thread_id, id, seq, type, hidden, body)
  SELECT 'acme', 'ann', 'thr_1', 'fill_' || n, n, 'assistant_message', false, 'BODY'
  FROM generate_series((SELECT next_seq FROM threads WHERE owner = 'ann'), SIZE) n;
UPDATE threads SET next_seq = greatest(next_seq, SIZE + 1) WHERE owner = 'ann';
"""

VALUES = {
    "tenant": "acme",
    "owner": "u7",
    "thread": "t7",
    "item": "i1",
    "attachment": "t7",
    "share": "t7",
    "turn": "t7i2",
    "type": "x",
    "hidden": False,
    "body": "{}",
    "old": "{}",
    "title": "title",
    "kind": "positive",
    "seq": 101,
    "next_seq": 1,
    "read_seq": 0,
    "active_seq": 101,
    "now": 1,
    "archived": False,
    "limit": 21,
    "words": "'u7':* & 'word':*",
    "digest": "u7t7",
    "expires": None,
    "state": "completed",
    "reason": None,
    "request": "",
    "usage": None,
    "key": "t7i2",
    "holder": "one",
    "lease": 1000,
    "fence": 1,
    "first": 3,
    "last": 3,
    "after": 1,
}

SORTED = {
    "open_turn": "the one that runs, or few that wait for it",
    "load_shares": "the few of a thread",
    "search_page": "what was found: an index of words has no order",
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


@pytest.fixture(scope="module")
def crowded(postgres: PostgresServer) -> str:
    """The name of a database with many rows of many users."""
    postgres.run("CREATE DATABASE crowded TEMPLATE template")
    postgres.run(OTHERS, MORE, "VACUUM ANALYZE", database="crowded")
    return "crowded"


@pytest.mark.parametrize(
    ("name", "statement"), list(statements()), ids=lambda value: str(value)[:20]
)
@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_every_statement_finds_its_rows_by_an_index(
    postgres: PostgresServer, crowded: str, name: str, statement: ClauseElement, plans: str
) -> None:
    """No statement reads a whole table, and no page is sorted after it was read."""
    compiled = statement.compile(dialect=asyncpg.dialect())
    positions = compiled.positiontup or []  # type: ignore[attr-defined]
    values = {**compiled.params, **{f"p_{key}": value for key, value in VALUES.items()}}
    values["p_start"] = 0 if "asc" in name or name == "shared_item_page" else END
    connection = await postgres.connect(crowded)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(f"SET LOCAL plan_cache_mode = {plans}")
        # EXPLAIN alone would always plan for the very values.
        await connection.execute(f"PREPARE statement AS {compiled}")
        arguments = ", ".join(_literal(values[key]) for key in positions)
        rows = await connection.fetch(f"EXPLAIN EXECUTE statement({arguments})")
        await transaction.rollback()
    finally:
        await connection.close()
    plan = "\n".join(row[0] for row in rows)
    assert "Seq Scan" not in plan
    assert ("Sort" in plan) == (name in SORTED), plan
    searched = name in READING or not any(word in name for word in ("insert", "put", "take_thread"))
    assert ("Index Cond" in plan) == searched, plan
    if searched and name != "find_share":
        assert "tenant" in plan.partition("Index Cond")[2], plan
        assert "owner" in plan.partition("Index Cond")[2], plan


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    return "'{}'".format(value.replace("'", "''")) if isinstance(value, str) else str(value)


async def test_the_cost_of_a_page_does_not_grow(
    postgres: PostgresServer,
    own_database: str,
    open_postgres: OpenPostgres,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Prints what an append and the newest page cost with 10 and with 100,000 items."""
    store = await open_postgres(own_database)
    await store.save_thread(thread(), ANN)
    body = message("x", "x" * 500).model_dump_json()
    figures = []
    for size in (10, 100_000):
        await postgres.execute(
            FILL.replace("SIZE", str(size)).replace("BODY", body), "ANALYZE", database=own_database
        )
        appends, pages = [], []
        for n in range(100):
            start = time.perf_counter()
            await store.add_thread_item("thr_1", message(f"{size}-{n}", "x" * 500), ANN)
            appends.append(time.perf_counter() - start)
            start = time.perf_counter()
            page = await store.load_thread_items("thr_1", None, 20, "desc", ANN)
            pages.append(time.perf_counter() - start)
            assert page.data[0].id == f"{size}-{n}"
        median = [sorted(times)[50] * 1000 for times in (appends, pages)]
        figures.append(f"{size:>7} items: append {median[0]:.2f} ms, newest 20 {median[1]:.2f} ms")
    with capsys.disabled():
        print("", *figures, sep="\n")  # noqa: T201 - that is the point


async def test_deleting_a_thread_reads_no_whole_table(
    postgres: PostgresServer, own_database: str, open_postgres: OpenPostgres
) -> None:
    """The cascade finds items and feedback by an index too."""
    await postgres.execute(OTHERS, "ANALYZE", database=own_database)
    store = await open_postgres(own_database)
    connection = await postgres.connect(own_database)
    before = await scans(connection)
    await asyncio.gather(*[store.delete_thread(f"t{n}", asking(user="u7")) for n in range(1, 101)])
    await store.aclose()
    # A session reports what it has done when it ends, which is a moment later.
    await until(lambda: found_by_index(connection, "feedback", 100))
    assert await scans(connection) == before
    left = [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES]
    await connection.close()
    assert left == [9_900, 19_800, 19_800, 9_900]


async def scans(connection: Any) -> dict[str, int]:
    """Return how often each table was read as a whole."""
    rows = await connection.fetch("SELECT relname, seq_scan FROM pg_stat_user_tables")
    return {row["relname"]: row["seq_scan"] for row in rows if row["relname"] in TABLES}


async def found_by_index(connection: Any, table: str, times: int) -> bool:
    """Say whether rows of a table were found by an index at least that often."""
    found = "SELECT idx_scan FROM pg_stat_user_tables WHERE relname = $1"
    return bool(await connection.fetchval(found, table) >= times)


TABLES = ("threads", "items", "feedback", "attachments")
