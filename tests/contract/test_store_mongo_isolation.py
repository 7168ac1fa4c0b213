"""Every tenant and every owner in MongoDB's filters is there for a reason.

The same as `test_store_isolation.py` for documents: each of the two is taken out of one filter at
a time, and the walk over all operations must find a difference.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from pymongo.errors import PyMongoError

from chatkeep.errors import ChatkeepError
from chatkeep.ports import Store
from chatkeep.stores.mongo.schema import INDEXES
from chatkeep.stores.mongo.store import MongoStore
from support.isolation import Rows, difference
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


HARMLESS = ("turns_of_thread",)
"""What they find is only used with the owner's key again."""

MUTANTS = [
    (name, place, predicate)
    for name in NAMES
    if name not in HARMLESS
    for place in range(len(filters(sample(name))))
    for predicate in PREDICATES
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


@pytest.mark.parametrize(("name", "place", "predicate"), MUTANTS)
async def test_a_missing_predicate_is_noticed(
    mongo_store: MongoStore, name: str, place: int, predicate: str
) -> None:
    """With one comparison less, users see or touch each other's documents, or nothing works."""
    store = mongo_store
    mutant = without(predicate, place, getattr(store._statements, name))
    setattr(store._statements, name, mutant)
    try:
        noticed = await difference(store, rows_of) is not None
    except (PyMongoError, ChatkeepError):
        noticed = True
    assert noticed or await strays(store)
