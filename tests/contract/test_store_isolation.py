"""Every tenant and every owner in the statements is there for a reason.

Each comparison with the asking tenant or user is taken out of the statements, one at a time; the
walk over all operations must then find a difference. A predicate whose removal nothing notices is
either not needed or not tested.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import BinaryExpression, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.visitors import iterate, replacement_traverse

from chatkeep.errors import StoreUnavailableError
from chatkeep.stores.sql.postgres import PostgresDatabase
from chatkeep.stores.sql.postgres_url import read_url
from chatkeep.stores.sql.sqlite import SqliteDatabase
from chatkeep.stores.sql.statements import InsertFactory, Statements
from chatkeep.stores.sql.store import SqlStore
from support.isolation import difference
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


def flat(insert: InsertFactory = sqlite.insert) -> dict[tuple[str, str | None], ClauseElement]:
    """Return every statement of a dialect by name and, for pages, order."""
    found: dict[tuple[str, str | None], ClauseElement] = {}
    for name, value in vars(Statements(insert)).items():
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
    mutant = without(flat(store._db.insert)[name, order], parameter)
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
