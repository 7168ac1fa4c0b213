"""Every tenant and every owner in the statements is there for a reason.

Each comparison with the asking tenant or user is taken out of the statements, one at a time; the
walk over all operations must then find a difference. A predicate whose removal nothing notices is
either not needed or not tested.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BinaryExpression, select, true
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from chatkeep.context import RequestContext
from chatkeep.errors import ChatkeepError, NotFoundError
from chatkeep.ports import Hold
from chatkeep.stores.encoding import moment_of
from chatkeep.stores.sql.postgres import DIALECT as POSTGRES
from chatkeep.stores.sql.postgres import PostgresDatabase
from chatkeep.stores.sql.postgres_url import read_url
from chatkeep.stores.sql.schema import metadata
from chatkeep.stores.sql.sqlite import DIALECT as SQLITE
from chatkeep.stores.sql.sqlite import SqliteDatabase
from chatkeep.stores.sql.statements import Dialect, Statements
from chatkeep.stores.sql.store import SqlStore
from chatkeep.stores.words import owner_word
from chatkeep.testing.store_samples import MOMENT, asking, message, thread, turn_order
from chatkeep.testing.store_tenancy import (
    FOREIGN,
    OPERATIONS,
    OURS,
    UNKNOWN,
    furnish,
    outcome,
)
from support.postgres import EMPTY, PostgresServer

PARAMETERS = ("p_tenant", "p_owner")


def compares(element: Any, parameter: str) -> bool:
    """Say whether this is `column = :parameter`."""
    return (
        isinstance(element, BinaryExpression) and getattr(element.right, "key", None) == parameter
    )


def without(statement: ClauseElement, parameter: str) -> Any:
    """Return the statement with that comparison taken out."""
    return replacement_traverse(
        statement, {}, lambda element, **_: true() if compares(element, parameter) else None
    )


def flat(dialect: Dialect = SQLITE) -> dict[tuple[str, str | None], ClauseElement]:
    """Return every statement of a dialect by name and, for pages, order."""
    found: dict[tuple[str, str | None], ClauseElement] = {}
    for name, value in vars(Statements(dialect)).items():
        if isinstance(value, Mapping):
            found |= {(name, order): each for order, each in value.items()}
        else:
            found[name, None] = value
    return found


MUTANTS = [
    (name, order, parameter)
    for (name, order), statement in flat().items()
    for parameter in PARAMETERS
    if any(compares(element, parameter) for element in iterate(statement))
]


ANN = asking()
USERS = [FOREIGN["another user"], ANN, FOREIGN["another tenant"]]
STRANGER = asking(user="bob", tenant="umbrella")
"""Shares the user's name with one of them and the tenant with another, and owns nothing."""

HELD = [("acme", "zoe"), ("umbrella", "zoe"), ("elsewhere", "ann"), ("elsewhere", "bob")]
"""Legal holds that concern none of them."""

LAST = ("delete_attachment", "delete_thread_items", "delete_thread_item", "delete_thread")


async def differences(store: SqlStore) -> AsyncGenerator[str]:
    """Yield the operations that let a user see or touch what is another's."""
    for n, context in enumerate(USERS):
        await settle(store, context, n)
    for tenant, user in HELD:
        await store.put_hold(Hold(tenant, user, "reason", MOMENT))
    for n, context in enumerate(USERS):
        if wrong := await misread(store, context, n):
            yield wrong
    async for wrong in trespasses(store):
        yield wrong
    await store.save_thread(thread(), STRANGER)
    behind = store.load_thread_items("thr_1", "msg_1", 9, "asc", STRANGER)
    if await outcome(behind) != (NotFoundError, str(NotFoundError())):
        yield "load_thread_items: continued behind another's item"
    if await begun_late(store):
        yield "begin_turn: took another's turn for the thread's last"
    async for wrong in mistakes(store):
        yield wrong


async def settle(store: SqlStore, context: RequestContext, number: int) -> None:
    """Give a user the same ids as the others, with marks and numbers of his own."""
    await furnish(store, context, str(context.principal))
    # Anybody may write the word that leads somebody else's texts.
    forged = " ".join(
        owner_word(other.principal.tenant, other.principal.user)
        for other in USERS
        if other != context
    )
    for n in range(number + 1):
        await store.add_thread_item("thr_1", message(f"more_{n}", f"what {forged}"), context)
    await store.create_share("thr_1", "shr_2", f"second of {context.principal}", None, context)
    (turn,) = [
        record
        for record in await store.read_records("turns", None, 99)
        if (record["tenant"], record["owner"]) == owner_of(context)
    ]
    await store.write_records("turns", [{**turn, "created_at": LATE}])


LATE = 4_000_000_000_000
"""Later than any turn that the tests begin."""


async def begun_late(store: SqlStore) -> bool:
    """Say whether a stranger's turn is placed behind those of others."""
    turn = await store.begin_turn(turn_order("trn_late"), STRANGER)
    return turn.created_at >= moment_of(LATE)


async def trespasses(store: SqlStore) -> AsyncIterator[str]:
    """Yield the operations with which a stranger reaches the users' rows."""
    before = await rows_of(store, USERS)
    for name, call in OPERATIONS.items():
        nobody = asking(user=f"nobody {name}", tenant=name)
        unknown = await outcome(call(store, UNKNOWN, nobody))
        if await outcome(call(store, OURS, STRANGER)) != unknown:
            yield f"{name}: the result"
        if await rows_of(store, USERS) != before:
            yield f"{name}: the rows"
        for row in (await store.load_threads(99, None, "asc", STRANGER)).data:
            await store.delete_thread(row.id, STRANGER)
        await store.delete_attachment("atc_1", STRANGER)


async def mistakes(store: SqlStore) -> AsyncIterator[str]:
    """Yield the operations that touch others' rows when a user with the same ids does them."""
    others = [context for context in USERS if context != ANN]
    for context in others:
        await store.title_thread("thr_1", "titled", context)
    before = await rows_of(store, others)
    for name in [*[name for name in OPERATIONS if name not in LAST], *LAST]:
        await outcome(OPERATIONS[name](store, OURS, ANN))
        if await rows_of(store, others) != before:
            yield f"{name}: another's rows"


async def rows_of(store: SqlStore, users: list[RequestContext]) -> dict[str, list[Any]]:
    """Return all rows of these users, what is found by words included."""
    owners = {owner_of(context) for context in users}
    found: dict[str, list[Any]] = {}
    for name, table in metadata.tables.items():
        rows = await store._db.fetch(select(table).order_by(*table.primary_key), {})
        found[name] = [row for row in rows if (row.tenant, row.owner) in owners]
    return found


def owner_of(context: RequestContext) -> tuple[str, str]:
    """Return what names a user in the tables."""
    return context.principal.tenant, context.principal.user


async def difference(store: SqlStore) -> str | None:
    """Return the first difference; looking for more would only take longer."""
    async with aclosing(differences(store)) as found:
        return await anext(found, None)


async def misread(store: SqlStore, context: RequestContext, number: int) -> str | None:
    """Return the first read that does not give a user exactly what is his."""
    mark, count = str(context.principal), 3 + number
    second = message("msg_2", mark)
    shares = await store.load_shares("thr_1", context)
    shared = await store.load_shared_items(shares[-1], None, 99)
    found = await store.search("what", 99, None, context)
    right = {
        "load_item": await store.load_item("thr_1", "msg_2", context) == second,
        "load_shares": [(each.id, each.until) for each in shares]
        == [("shr_1", 2), ("shr_2", count)],
        "load_shared_items": len(shared.data) == count and second in shared.data,
        "search": len(found.data) == count - 1,
    }
    for order in ("asc", "desc"):
        threads = await store.load_threads(99, None, order, context)
        right[f"load_threads {order}"] = [row.metadata["mark"] for row in threads.data] == [mark]
        summaries = await store.load_summaries(99, None, order, context)
        marks = [row.thread.metadata["mark"] for row in summaries.data]
        right[f"load_summaries {order}"] = marks == [mark]
        for include_hidden in (True, False):
            items = await store.load_thread_items(
                "thr_1", None, 99, order, context, include_hidden=include_hidden
            )
            right[f"load_thread_items {order} {include_hidden}"] = (
                len(items.data) == count and second in items.data
            )
    return next((name for name, as_it_should in right.items() if not as_it_should), None)


@pytest.fixture
def sqlite_file(database: Path) -> SqlStore:
    """A store on SQLite, not open yet."""
    return SqlStore(SqliteDatabase(database))


@pytest.fixture
def postgres_database(postgres: PostgresServer) -> SqlStore:
    """A store on PostgreSQL, not open yet."""
    postgres.run(EMPTY, database="shared")
    return SqlStore(PostgresDatabase(read_url(postgres.url("shared"))))


@pytest.fixture(params=["sqlite_file", "postgres_database"])
def store(request: pytest.FixtureRequest) -> SqlStore:
    """A store on each database."""
    return request.getfixturevalue(request.param)


async def test_the_statements_as_they_are_keep_users_apart(store: SqlStore) -> None:
    """Nothing taken out, nothing found."""
    await store.open()
    assert await difference(store) is None
    await store.aclose()


@pytest.mark.parametrize(("name", "order", "parameter"), MUTANTS)
async def test_a_missing_predicate_is_noticed(
    request: pytest.FixtureRequest, name: str, order: str | None, parameter: str
) -> None:
    """With one comparison less, users see or touch each other's rows, or nothing works.

    The comparisons are the same on every database, but for those that find words.
    """
    await noticed(request.getfixturevalue("sqlite_file"), name, order, parameter)


@pytest.mark.parametrize("parameter", PARAMETERS)
async def test_a_missing_predicate_is_noticed_where_words_are_found(
    postgres_database: SqlStore, parameter: str
) -> None:
    """The same for PostgreSQL's own way to find words."""
    await noticed(postgres_database, "search_page", None, parameter)


async def noticed(store: SqlStore, name: str, order: str | None, parameter: str) -> None:
    """Check that something goes wrong without a comparison."""
    mutant = without(flat(store._db.dialect)[name, order], parameter)
    if order is None:
        setattr(store._sql, name, mutant)
    else:
        getattr(store._sql, name)[order] = mutant
    await store.open()
    try:
        assert await difference(store) is not None
    except (SQLAlchemyError, ChatkeepError):
        pass  # not even what must work
    finally:
        await store.aclose()


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRES])
def test_every_statement_names_tenant_and_owner(dialect: Dialect) -> None:
    """Each statement compares both, or writes both, but for who comes with a secret."""
    for (name, order), statement in flat(dialect).items():
        keys = set(statement.compile().params)
        assert keys >= set(PARAMETERS) or name == "find_share", (name, order)
