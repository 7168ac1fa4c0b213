"""Every tenant and every owner in MongoDB's filters is there for a reason.

The same as `test_store_isolation.py` for documents: each of the two is taken out of one filter at
a time, and the walk over all operations must find a difference.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from pymongo.errors import PyMongoError

from chatkeep.errors import ChatkeepError
from chatkeep.stores.mongo.schema import INDEXES
from chatkeep.stores.mongo.store import MongoStore
from support.isolation import difference
from support.mongo import MongoServer, OpenMongo
from support.mongo_statements import NAMES, sample

PREDICATES = ("tenant", "owner")


def without(predicate: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method, whose statements lack a predicate."""

    def mutant(*args: Any, **kwargs: Any) -> Any:
        statement = method(*args, **kwargs)
        left = {key: value for key, value in statement.filter.items() if key != predicate}
        return replace(statement, filter=left)

    return mutant


@pytest.mark.parametrize("name", NAMES)
def test_every_statement_names_tenant_and_owner(name: str) -> None:
    """Each has one filter, which compares both; nothing else may choose documents."""
    statement = sample(name)
    assert statement.filter["tenant"] == "acme"
    assert statement.filter["owner"] == "ann"
    assert "filter" in {field.name for field in fields(statement)}


def strays(mongo: MongoServer, database: str) -> int:
    """Return how many documents belong to nobody: an upsert stores its filter's fields."""
    nobodys = {"$or": [{predicate: {"$exists": False}} for predicate in PREDICATES]}
    return sum(mongo.client[database][name].count_documents(nobodys) for name in INDEXES)


async def test_the_statements_as_they_are_keep_users_apart(
    mongo: MongoServer, emptied_mongo: str, mongo_store: MongoStore
) -> None:
    """Nothing taken out, nothing found."""
    assert await difference(mongo_store) is None
    assert strays(mongo, emptied_mongo) == 0


@pytest.mark.parametrize("predicate", PREDICATES)
@pytest.mark.parametrize("name", NAMES)
async def test_a_missing_predicate_is_noticed(
    mongo: MongoServer, emptied_mongo: str, open_mongo: OpenMongo, name: str, predicate: str
) -> None:
    """With one comparison less, users see or touch each other's documents, or nothing works."""
    store: MongoStore = await open_mongo(emptied_mongo)
    setattr(store._statements, name, without(predicate, getattr(store._statements, name)))
    try:
        noticed = await difference(store) is not None
    except (PyMongoError, ChatkeepError):
        noticed = True
    assert noticed or strays(mongo, emptied_mongo)
