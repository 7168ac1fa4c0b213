"""Every tenant and every owner in the statements is there for a reason.

Each comparison with the asking tenant or user is taken out of the statements, one at a time; the
walk over all operations must then find a difference. A predicate whose removal nothing notices is
either not needed or not tested.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import pytest
from sqlalchemy import BinaryExpression, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from chatkeep.context import RequestContext
from chatkeep.errors import NotFoundError, StoreUnavailableError
from chatkeep.ports import Store
from chatkeep.stores.sql.postgres import PostgresDatabase
from chatkeep.stores.sql.postgres_url import read_url
from chatkeep.stores.sql.sqlite import DIALECT, SqliteDatabase
from chatkeep.stores.sql.statements import Dialect, Statements
from chatkeep.stores.sql.store import SqlStore
from chatkeep.testing.store_samples import asking, message, thread
from chatkeep.testing.store_tenancy import (
    FOREIGN,
    OPERATIONS,
    OURS,
    UNKNOWN,
    everything,
    furnish,
    outcome,
)
from support.postgres import PostgresServer

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


def flat(dialect: Dialect = DIALECT) -> dict[tuple[str, str | None], ClauseElement]:
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


USERS = [FOREIGN["another user"], asking(), FOREIGN["another tenant"]]
STRANGER = asking(user="bob", tenant="umbrella")
"""Shares the user's name with one of them and the tenant with another, and owns nothing."""


async def differences(store: Store) -> AsyncGenerator[str]:
    """Yield the operations that let a user see or touch what is another's."""
    for context in USERS:
        await furnish(store, context, str(context.principal))
    for context in USERS:
        if wrong := await misread(store, context):
            yield wrong
    async for wrong in trespasses(store):
        yield wrong
    await store.save_thread(thread(), STRANGER)
    behind = store.load_thread_items("thr_1", "msg_1", 9, "asc", STRANGER)
    if await outcome(behind) != (NotFoundError, str(NotFoundError())):
        yield "load_thread_items: continued behind another's item"
    for n, context in enumerate(USERS):
        before = [await everything(store, each) for each in USERS[n + 1 :]]
        await store.delete_thread("thr_1", context)
        if [await everything(store, each) for each in USERS[n + 1 :]] != before:
            yield "delete_thread: another's rows"


async def trespasses(store: Store) -> AsyncIterator[str]:
    """Yield the operations with which a stranger reaches the users' rows."""
    before = [await everything(store, context) for context in USERS]
    for name, call in OPERATIONS.items():
        nobody = asking(user=f"nobody {name}", tenant=name)
        unknown = await outcome(call(store, UNKNOWN, nobody))
        if await outcome(call(store, OURS, STRANGER)) != unknown:
            yield f"{name}: the result"
        if [await everything(store, context) for context in USERS] != before:
            yield f"{name}: the rows"
        for row in (await store.load_threads(99, None, "asc", STRANGER)).data:
            await store.delete_thread(row.id, STRANGER)
        await store.delete_attachment("atc_1", STRANGER)


async def difference(store: Store) -> str | None:
    """Return the first difference; looking for more would only take longer."""
    async with aclosing(differences(store)) as found:
        return await anext(found, None)


async def misread(store: Store, context: RequestContext) -> str | None:
    """Return the first read that does not give a user exactly what is his."""
    mark = str(context.principal)
    second = message("msg_2", mark)
    if await store.load_item("thr_1", "msg_2", context) != second:
        return "load_item"
    for order in ("asc", "desc"):
        threads = await store.load_threads(99, None, order, context)
        if [row.metadata["mark"] for row in threads.data] != [mark]:
            return f"load_threads {order}"
        for include_hidden in (True, False):
            items = await store.load_thread_items(
                "thr_1", None, 99, order, context, include_hidden=include_hidden
            )
            if len(items.data) != 2 or second not in items.data:
                return f"load_thread_items {order} {include_hidden}"
    return None


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> SqlStore:
    """A store on each database, not open yet."""
    if request.param == "sqlite":
        return SqlStore(SqliteDatabase(request.getfixturevalue("database")))
    server: PostgresServer = request.getfixturevalue("postgres")
    server.run(
        "DELETE FROM attachments; DELETE FROM threads; DELETE FROM owners", database="shared"
    )
    return SqlStore(PostgresDatabase(read_url(server.url("shared"))))


async def test_the_statements_as_they_are_keep_users_apart(store: SqlStore) -> None:
    """Nothing taken out, nothing found."""
    await store.open()
    assert await difference(store) is None
    await store.aclose()


@pytest.mark.parametrize(("name", "order", "parameter"), MUTANTS)
async def test_a_missing_predicate_is_noticed(
    store: SqlStore, name: str, order: str | None, parameter: str
) -> None:
    """With one comparison less, users see or touch each other's rows, or nothing works."""
    mutant = without(flat(store._db.dialect)[name, order], parameter)
    if order is None:
        setattr(store._sql, name, mutant)
    else:
        getattr(store._sql, name)[order] = mutant
    await store.open()
    try:
        noticed = await difference(store) is not None
    except (SQLAlchemyError, StoreUnavailableError):
        noticed = True
    finally:
        await store.aclose()
    assert noticed


@pytest.mark.parametrize("dialect", [sqlite, postgresql])
def test_every_statement_names_tenant_and_owner(dialect: Any) -> None:
    """Each statement compares both, or writes both."""
    for name, statement in flat(dialect.insert).items():
        keys = set(statement.compile().params)
        assert keys >= set(PARAMETERS), name
