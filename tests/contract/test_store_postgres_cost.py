"""How PostgreSQL finds rows among many, and what a call costs."""

import asyncio
import re
import time
from typing import Any

import pytest
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.sql import ClauseElement

from chatkeep.ports import TurnState
from chatkeep.stores.paging import END
from chatkeep.stores.sql.postgres import DIALECT
from chatkeep.stores.sql.statements.open_turns import OpenTurns
from chatkeep.testing.store_samples import asking, message, thread
from support.postgres import OpenPostgres, PostgresServer
from support.statements import FEW, statements, upkeep_statements
from support.waiting import until

ANN = asking()

OTHERS = """
INSERT INTO owners SELECT 'acme', 'u' || u, 101 FROM generate_series(1, 100) u;
INSERT INTO threads (tenant, owner, id, seq, next_seq, body, active_seq, active_at)
  SELECT 'acme', 'u' || u, 't' || t, t, ITEMS + 1, '{}', t, t * 100 + u
  FROM generate_series(1, 100) u, generate_series(1, 100) t;
INSERT INTO items SELECT tenant, owner, id, 'i' || i, i, 'user_message', false, '{}'
  FROM threads, generate_series(1, ITEMS) i;
INSERT INTO feedback
  SELECT tenant, owner, thread_id, id, 'positive' FROM items WHERE id IN ('i1', 'i2');
INSERT INTO attachments SELECT tenant, owner, id, id, '{}', seq FROM threads;
INSERT INTO texts (tenant, owner, thread_id, item_id, words)
  SELECT tenant, owner, thread_id, id, 'o' || owner || ' some words' FROM items WHERE id = 'i1';
INSERT INTO shares SELECT tenant, owner, id, id, owner || id, 1, seq FROM threads;
INSERT INTO holds SELECT 'acme', 'held' || n, 'reason', n FROM generate_series(1, 2000) n;
INSERT INTO turns SELECT tenant, owner, id, id, 'completed', NULL, '', id, '', NULL, 1, NULL,
  false, false, 2, NULL, seq, seq + 1 FROM threads;
INSERT INTO spending SELECT 'acme', 'u' || u, d, 'gpt', 'USD', 1, 1, 1, 1, 1, 1, 1
  FROM generate_series(1, 100) u, generate_series(1, 100) d;
INSERT INTO turn_events
  SELECT tenant, owner, id, n, n, '' FROM turns, generate_series(1, 3) n;
INSERT INTO tool_calls
  SELECT tenant, owner, id, n, 'call_' || n, 'tool', 1, n, n FROM turns, generate_series(1, 3) n;
"""
"""Ten thousand threads of a hundred users, with ITEMS items each, and all that belongs to them."""

UNINDEXED = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS drop,
       format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname,
              pg_get_constraintdef(oid)) AS make, contype = 'f' AS late
FROM pg_constraint
WHERE contype IN ('f', 'p') AND 'items'::regclass IN (conrelid, confrelid)
UNION ALL
SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid), false
FROM pg_index WHERE indrelid = 'items'::regclass AND NOT indisprimary
ORDER BY late
"""
"""What is in the way of filling the items quickly, and how it is made again."""

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
    "share": "t7",
    "turn": "t7",
    "type": "x",
    "hidden": False,
    "read": True,
    "cancel_requested": False,
    "touched": False,
    "body": "{}",
    "old": "{}",
    "title": "title",
    "kind": "positive",
    "words": "ou7 & som:*",
    "archived": False,
    "limit": 21,
    "key": "k",
    "digest": "u7t7",
    "request": "",
    "state": "running",
    "holder": "h",
    "reason": "stopped",
    "usage": "{}",
    "doing": "x",
    "name": "tool",
    "call": "call_1",
    "model": "gpt",
    "currency": "USD",
    **{f"{name}_{n}": f"{name[0]}{n}" for name in ("tenant", "owner", "turn") for n in range(128)},
    **{f"state_{n}": state for n, state in enumerate(TurnState)},
}
"""What the statements ask for; all other parameters are numbers."""
NUMBER = 50


@pytest.fixture(scope="module")
def crowded(postgres: PostgresServer) -> str:
    """The name of a database with a million items, and with what the planner knows of them."""
    postgres.run("CREATE DATABASE crowded TEMPLATE template")

    async def fill() -> None:
        connection = await postgres.connect("crowded")
        try:
            obstacles = await connection.fetch(UNINDEXED)
            for each in reversed(obstacles):
                await connection.execute(each["drop"])
            # Without the triggers that look for each row's parent.
            await connection.execute("SET session_replication_role = replica")
            await connection.execute(OTHERS.replace("ITEMS", "100"))
            for each in obstacles:
                await connection.execute(each["make"])
            await connection.execute("ANALYZE")
        finally:
            await connection.close()

    asyncio.run(fill())
    return "crowded"


@pytest.mark.parametrize(
    ("name", "statement"), list(statements(DIALECT)), ids=lambda value: str(value)[:20]
)
@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
async def test_every_statement_finds_its_rows_by_an_index(
    postgres: PostgresServer, crowded: str, name: str, statement: ClauseElement, plans: str
) -> None:
    """Among a million items none reads a whole table, and no page is sorted after it was read."""
    plan = await planned(postgres, crowded, name, statement, plans)
    assert "Seq Scan" not in plan, plan
    if name not in FEW:
        assert not re.search(r"^(  *-> *)?Sort  ", plan, re.MULTILINE), plan
    searched = not any(word in name for word in ("insert", "put", "take_thread"))
    if searched:
        assert "Index Cond" in plan, plan
    if searched and name != "find_share":
        assert "tenant" in plan.partition("Index Cond")[2], plan


@pytest.mark.parametrize(
    ("name", "statement"), list(upkeep_statements(DIALECT)), ids=lambda value: str(value)[:20]
)
async def test_no_statement_of_the_upkeep_reads_all_items(
    postgres: PostgresServer, crowded: str, name: str, statement: ClauseElement
) -> None:
    """Whatever operators and takeovers look for among a million items."""
    plan = await planned(postgres, crowded, name, statement, "force_generic_plan")
    assert "Seq Scan on items" not in plan, plan
    assert "Seq Scan on feedback" not in plan, plan
    if name.partition("[")[0] in vars(OpenTurns(DIALECT)):
        assert "Seq Scan" not in plan, plan


async def test_one_long_thread_among_empty_ones_does_not_mislead_the_planner(
    postgres: PostgresServer, own_database: str
) -> None:
    """Where nearly every item is in one thread, those of the others are still looked up."""
    await postgres.execute(
        OTHERS.replace("ITEMS", "0"),
        "INSERT INTO items SELECT 'acme', 'u7', 't7', n::text, n, 'user_message', false, '{}' "
        "FROM generate_series(1, 20000) n",
        "ANALYZE",
        database=own_database,
    )
    for name, statement in statements(DIALECT):
        plan = await planned(postgres, own_database, name, statement, "force_generic_plan")
        assert "Seq Scan on items" not in plan, plan


async def planned(
    postgres: PostgresServer, database: str, name: str, statement: ClauseElement, plans: str
) -> str:
    """Return how the server would run a statement."""
    values = {f"p_{key}": value for key, value in VALUES.items()}
    values["p_start"] = 0 if "asc" in name else END
    if isinstance(statement, Select):
        statement = statement.params(values)
    compiled: Any = statement.compile(
        dialect=asyncpg.dialect(), compile_kwargs={"render_postcompile": True}
    )
    if expanded := compiled._post_compile_expanded_state:
        values = expanded.parameters
    else:
        values = compiled.construct_params(values, _check=False)
    arguments = ", ".join(_literal(values[key]) for key in compiled.positiontup or [])
    connection = await postgres.connect(database)
    try:
        await connection.execute(f"SET plan_cache_mode = {plans}")
        # EXPLAIN alone would always plan for the very values.
        await connection.execute(f"PREPARE statement AS {compiled}")
        given = f"({arguments})" if arguments else ""
        rows = await connection.fetch(f"EXPLAIN EXECUTE statement{given}")
    finally:
        await connection.close()
    return "\n".join(row[0] for row in rows)


def _literal(value: object) -> str:
    if value is None:
        return str(NUMBER)
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
    await postgres.execute(OTHERS.replace("ITEMS", "2"), "ANALYZE", database=own_database)
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
