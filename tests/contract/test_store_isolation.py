"""Every tenant and every owner in the statements is there for a reason.

Each comparison with the asking tenant or user is taken out of the statements, one at a time; the
walk over all operations must then find a difference. A predicate whose removal nothing notices is
either not needed or not tested.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BinaryExpression, select, true
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from chatkeep.errors import ChatkeepError
from chatkeep.ports import Store
from chatkeep.postgres.url import read_url
from chatkeep.stores.sql.postgres import DIALECT as POSTGRES
from chatkeep.stores.sql.postgres import PostgresDatabase
from chatkeep.stores.sql.schema import metadata
from chatkeep.stores.sql.sqlite import DIALECT as SQLITE
from chatkeep.stores.sql.sqlite import SqliteDatabase
from chatkeep.stores.sql.statements import Dialect, Statements
from chatkeep.stores.sql.store import SqlStore
from support.isolation import Rows, difference
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


async def rows_of(store: Store) -> Rows:
    """Return all rows of all tables, the words of texts included."""
    assert isinstance(store, SqlStore)
    found: Rows = {}
    for name, table in metadata.tables.items():
        rows = await store._db.fetch(select(table).order_by(*table.primary_key), {})
        found[name] = [((row.tenant, row.owner), row) for row in rows]
    return found


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
    assert await difference(store, rows_of) is None
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
        assert await difference(store, rows_of) is not None
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
