"""How MongoDB finds documents among many: by indexes that lead with tenant and owner."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from chatkeep.stores.mongo.schema import ACROSS, INDEXES
from chatkeep.stores.mongo.statements import Across, Find, Take
from chatkeep.stores.paging import Order
from support.mongo import MongoServer, OpenMongo
from support.mongo_statements import ACROSS_NAMES, NAMES, sample


def stages(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the stages of a plan, the last one first."""
    yield plan
    for below in [*plan.get("inputStages", []), *filter(None, [plan.get("inputStage")])]:
        yield from stages(below)


def plan_of(mongo: MongoServer, database: str, statement: Any) -> list[dict[str, Any]]:
    """Return the stages in which the server finds a statement's documents."""
    command: dict[str, Any] = {"find": statement.collection, "filter": statement.filter}
    if isinstance(statement, Find | Take) and statement.sort:
        command["sort"] = dict(statement.sort)
    found = mongo.client[database].command("explain", command, verbosity="queryPlanner")
    winner = found["queryPlanner"]["winningPlan"]
    return list(stages(winner.get("queryPlan", winner)))


FEW = {"title", "hidden", "type", "fence", "body", "last", "call_id"}
"""Conditions without an index: the others leave few documents, or a page stops soon."""


@pytest.mark.parametrize("name", NAMES)
def test_every_statement_has_an_index(name: str) -> None:
    """Its conditions are the first fields of one, a page's position the last of them."""
    statement = sample(name)
    asked = {"words" if field == "$and" else field for field in statement.filter} - FEW
    if "id" in asked:
        asked -= {"state", "thread_id"} if statement.collection != "items" else set()
    indexes = [list(index.document["key"]) for index in INDEXES[statement.collection]]
    assert any(set(fields[: len(asked)]) == asked for fields in indexes)
    if name.endswith("_page"):
        (place, _) = statement.sort[0]
        assert [
            *(field for field in statement.filter if field not in {*FEW, place}),
            place,
        ] in indexes


@pytest.mark.parametrize("name", ACROSS_NAMES)
def test_what_is_asked_across_users_has_an_index(name: str) -> None:
    """One begins with a field that it compares, or is in the order that it wants."""
    statement = sample(name, of=Across)
    asked = getattr(statement, "filter", None) or {getattr(statement, "field", ""): None}
    each = [{**asked, **one} for one in asked.get("$or", [{}])]
    kept = [*INDEXES[statement.collection], *ACROSS.get(statement.collection, [])]
    leading = {next(iter(index.document["key"])) for index in kept} | {"_id"}
    assert all(leading & set(one) for one in each)


async def test_every_statement_finds_its_documents_by_an_index(
    mongo: MongoServer, emptied_mongo: str, open_mongo: OpenMongo
) -> None:
    """None reads a whole collection or sorts many, and users' are bounded by tenant and owner."""
    if not mongo.plans_well():
        pytest.skip("this server plans otherwise than MongoDB's own, which only can show it")
    await open_mongo(emptied_mongo)
    orders: tuple[Order, Order] = ("asc", "desc")
    for name, order in product(NAMES, orders):
        plan = plan_of(mongo, emptied_mongo, sample(name, order))
        # What words find is sorted, of which only the first few are kept.
        sorting = set() if name.startswith("found_") else {"SORT"}
        assert not ({"COLLSCAN"} | sorting) & {stage["stage"] for stage in plan}, name
        scans = [list(stage["keyPattern"]) for stage in plan if "keyPattern" in stage]
        assert scans, name
        assert all(fields[:2] == ["tenant", "owner"] for fields in scans), name
    for name in set(ACROSS_NAMES) - {"load_tenants"}:
        plan = plan_of(mongo, emptied_mongo, sample(name, of=Across))
        assert "COLLSCAN" not in {stage["stage"] for stage in plan}, name
