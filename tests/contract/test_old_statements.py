"""The statements of earlier releases on the newest schema: their processes go on while it changes.

Their text is in `golden/statements-NNNN.json`, written by `golden/freeze.py` when the release with
that schema was made.
"""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chatkeep.ports import Store
from chatkeep.stores.paging import END
from chatkeep.testing.store_samples import asking, message
from conftest import OpenSqlite
from support.postgres import OpenPostgres, PostgresServer

ANN = asking()
GOLDEN = sorted((Path(__file__).parent / "golden").glob("statements-*.json"))
THREAD = """{"id":"thr_%s","created_at":"2026-03-29T01:30:00.123456Z","status":{"type":"active"},\
"allowed_image_domains":null,"metadata":{}}"""
THREADS = {n: THREAD % n for n in (1, 2, 3, 4)}
ITEM = """{"id":"msg_1","thread_id":"thr_1","created_at":"2026-03-29T01:30:00.123456Z",\
"type":"assistant_message","content":[{"annotations":[],"text":"","type":"output_text"}]}"""

VALUES: dict[str, Any] = {
    "p_tenant": "acme",
    "p_owner": "ann",
    "p_thread": "thr_1",
    "p_item": "msg_1",
    "p_attachment": "atc_1",
    "p_type": "assistant_message",
    "p_hidden": False,
    "p_body": ITEM,
    "p_title": "title",
    "p_kind": "positive",
    "p_limit": 10,
}


class Frozen(NamedTuple):
    """A statement as it was released."""

    sql: str
    parameters: Sequence[str]
    fixed: Mapping[str, Any]


class Step(NamedTuple):
    """A statement to run, and its rows, or the number of rows that it changed."""

    name: str
    expected: list[tuple[Any, ...]] | int
    values: Mapping[str, Any] = {}


_THREAD = {"p_title": None, "p_body": THREADS[1], "p_next_seq": 1}
_ITEM = ("assistant_message", ITEM)
_NEWER = [(n, "put" if n == 1 else None, THREADS[n]) for n in (4, 3, 2, 1)]
_FIRST, _LAST = {"p_start": 0}, {"p_start": END}

WRITES = (
    Step("take_thread_seq", [(1,)]),
    Step("insert_thread", 1, {**_THREAD, "p_seq": 1}),
    Step("title_thread", 1),
    Step("update_thread", 1, {**_THREAD, "p_title": "changed"}),
    *(
        step
        for n in (2, 3, 4)
        for step in (
            Step("take_thread_seq", [(n,)]),
            Step(
                "put_thread",
                1,
                {**_THREAD, "p_thread": f"thr_{n}", "p_seq": n, "p_body": THREADS[n]},
            ),
        )
    ),
    Step("put_thread", 1, {**_THREAD, "p_seq": 9, "p_title": "put"}),
    Step("take_item_seq", [(1,)]),
    Step("put_item", 1, {"p_seq": 1}),
    Step("put_item", 1, {"p_seq": 2}),
    Step("update_item", 1),
    Step("put_attachment", 1),
    Step("put_attachment", 1, {"p_thread": None, "p_attachment": "atc_2"}),
    Step("bind_attachment", 1, {"p_attachment": "atc_2"}),
    Step("put_feedback", 1),
    Step("put_feedback", 1, {"p_kind": "negative"}),
)
READS = (
    Step("has_thread", [(1,)]),
    Step("load_thread", [("put", THREADS[1])]),
    Step("thread_page[asc]", _NEWER[3:1:-1], {**_FIRST, "p_limit": 2}),
    Step("thread_page[desc]", _NEWER[:2], {**_LAST, "p_limit": 2}),
    Step("load_item", [_ITEM]),
    Step("item_seq", [(1,)]),
    Step("item_page[asc]", [(1, *_ITEM)], _FIRST),
    Step("item_page[desc]", [(1, *_ITEM)], _LAST),
    Step("shown_item_page[asc]", [(1, *_ITEM)], _FIRST),
    Step("shown_item_page[desc]", [(1, *_ITEM)], _LAST),
    Step("load_attachment", [("thr_1", ITEM)], {"p_attachment": "atc_2"}),
    Step("load_feedback", [("msg_1", "negative")]),
)
DELETES = (
    Step("delete_item", 1),
    Step("delete_attachment", 1, {"p_attachment": "atc_2"}),
    Step("delete_thread", 1),
    Step("delete_attachments_of_thread", 1),
)

type Run = Callable[[Frozen, Sequence[Any]], Awaitable[list[tuple[Any, ...]] | int]]


def released(path: Path, dialect: str) -> dict[str, Frozen]:
    """Return the statements of a release."""
    return {name: Frozen(**each) for name, each in json.loads(path.read_text())[dialect].items()}


async def play(steps: Sequence[Step], old: Mapping[str, Frozen], run: Run) -> None:
    """Run steps, each with what is expected of it."""
    for step in steps:
        if step.name in old:
            statement = old[step.name]
            values = VALUES | statement.fixed | step.values
            assert await run(statement, [values[each] for each in statement.parameters]) == (
                step.expected
            ), step


async def listed(store: Store, order: str, limit: int) -> list[str]:
    """Return the ids of the threads by last activity, page by page."""
    page = await store.load_summaries(limit, None, order, ANN)
    found = list(page.data)
    while page.after:
        page = await store.load_summaries(limit, page.after, order, ANN)
        found += page.data
    return [summary.thread.id for summary in found]


async def look(store: Store) -> None:
    """See through the present release what an earlier one wrote, and go on with it."""
    assert (await store.load_thread("thr_1", ANN)).title == "put"
    page = await store.load_thread_items("thr_1", None, 10, "asc", ANN)
    assert [item.id for item in page.data] == ["msg_1"]
    assert await store.load_feedback("thr_1", ANN) == {"msg_1": "negative"}
    for limit in (1, 10):
        assert await listed(store, "asc", limit) == ["thr_1", "thr_2", "thr_3", "thr_4"]
        assert await listed(store, "desc", limit) == ["thr_4", "thr_3", "thr_2", "thr_1"]
    await store.add_thread_item("thr_1", message("msg_2"), ANN)
    await store.delete_thread_item("thr_1", "msg_2", ANN)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_old_statement_is_run(path: Path) -> None:
    """Whoever freezes a release says here what its new statements do."""
    known = {step.name for step in (*WRITES, *READS, *DELETES)}
    for dialect in ("sqlite", "postgresql"):
        assert set(released(path, dialect)) <= known


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
async def test_old_statements_work_on_sqlite(
    path: Path, database: Path, open_sqlite: OpenSqlite
) -> None:
    """What they write can be read by the old release and by this one."""
    old = released(path, "sqlite")

    async def run(statement: Frozen, arguments: Sequence[Any]) -> list[tuple[Any, ...]] | int:
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("PRAGMA foreign_keys=ON")
            cursor = connection.execute(statement.sql, arguments)
            return cursor.fetchall() if cursor.description else cursor.rowcount

    await play(WRITES, old, run)
    await play(READS, old, run)
    await look(await open_sqlite(database))
    await play(DELETES, old, run)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
async def test_old_statements_work_on_postgres(
    path: Path, postgres: PostgresServer, own_database: str, open_postgres: OpenPostgres
) -> None:
    """What they write can be read by the old release and by this one."""
    old = released(path, "postgresql")
    connection = await postgres.connect(own_database)

    async def run(statement: Frozen, arguments: Sequence[Any]) -> list[tuple[Any, ...]] | int:
        prepared = await connection.prepare(statement.sql)
        rows = [tuple(row) for row in await prepared.fetch(*arguments)]
        if prepared.get_attributes():
            return rows
        return int(prepared.get_statusmsg().split()[-1])

    try:
        await play(WRITES, old, run)
        await play(READS, old, run)
        await look(await open_postgres(own_database))
        await play(DELETES, old, run)
    finally:
        await connection.close()
