"""Every tenant and every owner in MongoDB's filters is there for a reason.

The same as `test_store_isolation.py` for documents: each of the two is taken out of one filter at
a time, and the walk over all operations must find a difference.
"""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pymongo.errors import PyMongoError

from chatkeep.errors import ChatkeepError
from chatkeep.ports import Store
from chatkeep.stores import open_store
from chatkeep.stores.mongo.schema import INDEXES
from chatkeep.stores.mongo.store import MongoStore
from chatkeep.testing.store_tenancy import OPERATIONS, OURS, outcome
from support.isolation import (
    ANN,
    STRANGER,
    USERS,
    Rows,
    difference,
    last_ones_last,
    settle,
)
from support.mongo import NAMED, MongoServer
from support.mongo_statements import NAMES, sample

PREDICATES = ("tenant", "owner")


def filters(statement: Any) -> list[dict[str, Any]]:
    """Return everything in a statement that chooses documents."""
    newest = getattr(statement, "newest", None) or {}
    return [statement.filter, *[each.filter for each in newest.values()]]


def without(predicate: str, place: int, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method, whose statements lack a predicate in one of their filters."""

    def mutant(*args: Any, **kwargs: Any) -> Any:
        statement = deepcopy(method(*args, **kwargs))
        del filters(statement)[place][predicate]
        return statement

    return mutant


HARMLESS = ("turns_of_thread", "pass_gate")
"""What the first finds is only used with the owner's key again; at another's gate, turns only queue
once more."""

MUTANTS = [
    (name, place, predicate)
    for n, name in enumerate(NAMES)
    if name not in HARMLESS
    for place in range(len(filters(sample(name))))
    # The stand-in is slow: there, each statement loses one of the two, in turn.
    for predicate in (PREDICATES if NAMED else [PREDICATES[n % 2]])
]


@pytest.mark.parametrize("name", NAMES)
def test_every_statement_names_tenant_and_owner(name: str) -> None:
    """Each of its filters compares both; nothing else may choose documents."""
    for each in filters(sample(name)):
        assert each["tenant"] == "acme"
        # A hold can also be of the whole tenant.
        assert each["owner"] == ({"$in": ["", "ann"]} if name == "own_hold" else "ann")


async def rows_of(store: Store) -> Rows:
    """Return all documents, as they are stored."""
    assert isinstance(store, MongoStore)
    first, *others = [[{"$addFields": {"of": name}}] for name in INDEXES]
    stages: list[dict[str, Any]] = [*first]
    for name, stage in zip(list(INDEXES)[1:], others, strict=True):
        stages.append({"$unionWith": {"coll": name, "pipeline": stage}})
    cursor = await store._db._opened()[next(iter(INDEXES))].aggregate(stages)
    found: Rows = {name: [] for name in INDEXES}
    for row in sorted(await cursor.to_list(), key=lambda row: str(row["_id"])):
        found[row["of"]].append(((row.get("tenant"), row.get("owner")), row))
    return found


async def strays(store: MongoStore) -> list[Any]:
    """Return the documents that belong to nobody: an upsert stores its filter's fields."""
    tables = (await rows_of(store)).values()
    return [row for table in tables for owner, row in table if None in owner]


async def test_the_statements_as_they_are_keep_users_apart(mongo_store: MongoStore) -> None:
    """Nothing taken out, nothing found."""
    assert await difference(mongo_store, rows_of) is None
    assert await strays(mongo_store) == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def users_of(mongo: MongoServer) -> dict[str, list[str]]:
    """By statement, the operations that use it: others cannot tell whether it lacks something."""
    store = open_store(mongo.url(mongo.database()), data_dir=Path())
    assert isinstance(store, MongoStore)
    await store.open()
    used: set[str] = set()
    for name in NAMES:
        setattr(store._statements, name, noting(used, name, getattr(store._statements, name)))
    found: dict[str, list[str]] = {name: [] for name in NAMES}
    for context in USERS:
        await settle(store, context, 0)
    for operation in last_ones_last(list(OPERATIONS)):
        used.clear()
        for context in (STRANGER, ANN):
            await outcome(OPERATIONS[operation](store, OURS, context))
        for name in used:
            found[name].append(operation)
    await store.aclose()
    return found


def noting(used: set[str], name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method, which notes that it was used."""

    def noted(*args: Any, **kwargs: Any) -> Any:
        used.add(name)
        return method(*args, **kwargs)

    return noted


@pytest.mark.parametrize(("name", "place", "predicate"), MUTANTS)
async def test_a_missing_predicate_is_noticed(
    mongo_store: MongoStore,
    users_of: dict[str, list[str]],
    name: str,
    place: int,
    predicate: str,
) -> None:
    """With one comparison less, users see or touch each other's documents, or nothing works."""
    store = mongo_store
    mutant = without(predicate, place, getattr(store._statements, name))
    setattr(store._statements, name, mutant)
    try:
        noticed = await difference(store, rows_of, users_of[name]) is not None
    except (PyMongoError, ChatkeepError):
        noticed = True
    assert noticed or await strays(store)
