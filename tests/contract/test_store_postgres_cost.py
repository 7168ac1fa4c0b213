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
INSERT INTO owners SELECT 'acme', 'u' || u, 101 FROM generate_series(1, 100) u;
INSERT INTO threads SELECT 'acme', 'u' || u, 't' || t, t, 3, NULL, '{}'
  FROM generate_series(1, 100) u, generate_series(1, 100) t;
INSERT INTO items SELECT 'acme', 'u' || u, 't' || t, 'i' || i, i, 'x', false, '{}'
  FROM generate_series(1, 100) u, generate_series(1, 100) t, generate_series(1, 2) i;
INSERT INTO feedback SELECT tenant, owner, thread_id, id, 'positive' FROM items;
INSERT INTO attachments SELECT tenant, owner, id, id, '{}' FROM threads;
"""
"""Ten thousand threads of a hundred users, with two items each."""

FILL = """
INSERT INTO items SELECT 'acme', 'ann', 'thr_1', 'fill_' || n, n, 'assistant_message', false, 'BODY'
  FROM generate_series((SELECT next_seq FROM threads WHERE owner = 'ann'), SIZE) n;
UPDATE threads SET next_seq = greatest(next_seq, SIZE + 1) WHERE owner = 'ann';
"""

VALUES = {
    "tenant": "acme",
    "owner": "u7",
    "thread": "t7",
    "item": "i1",
    "attachment": "t7",
    "type": "x",
    "hidden": False,
    "body": "{}",
    "title": "title",
    "kind": "positive",
    "seq": 101,
    "next_seq": 1,
    "limit": 21,
}


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
    postgres.run(OTHERS, "ANALYZE", database="crowded")
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
    values["p_start"] = 0 if "asc" in name else END
    connection = await postgres.connect(crowded)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(f"SET LOCAL plan_cache_mode = {plans}")
    # EXPLAIN alone would always plan for the very values.
    await connection.execute(f"PREPARE statement AS {compiled}")
    arguments = ", ".join(_literal(values[key]) for key in positions)
    rows = await connection.fetch(f"EXPLAIN EXECUTE statement({arguments})")
    await transaction.rollback()
    await connection.close()
    plan = "\n".join(row[0] for row in rows)
    assert "Seq Scan" not in plan
    assert "Sort" not in plan
    searched = not any(word in name for word in ("insert", "put", "take_thread"))
    assert ("Index Cond" in plan) == searched, plan
    if searched:
        assert "tenant" in plan.partition("Index Cond")[2], plan
        assert "owner" in plan.partition("Index Cond")[2], plan


def _literal(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


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
