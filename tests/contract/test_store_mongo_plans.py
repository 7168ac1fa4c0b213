"""How MongoDB finds documents among many: by indexes that lead with tenant and owner."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from chatkeep.stores.mongo.schema import INDEXES
from chatkeep.stores.mongo.statements import Find
from chatkeep.stores.paging import Order
from support.mongo import MongoServer, OpenMongo
from support.mongo_statements import NAMES, sample


def stages(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the stages of a plan, the last one first."""
    yield plan
    for below in [*plan.get("inputStages", []), *filter(None, [plan.get("inputStage")])]:
        yield from stages(below)


def plan_of(mongo: MongoServer, database: str, statement: Any) -> list[dict[str, Any]]:
    """Return the stages in which the server finds a statement's documents."""
    command: dict[str, Any] = {"find": statement.collection, "filter": statement.filter}
    if isinstance(statement, Find) and statement.order:
        command["sort"] = {"seq": 1 if statement.order == "asc" else -1}
    found = mongo.client[database].command("explain", command, verbosity="queryPlanner")
    winner = found["queryPlanner"]["winningPlan"]
    return list(stages(winner.get("queryPlan", winner)))


@pytest.mark.parametrize("name", NAMES)
def test_every_statement_has_an_index(name: str) -> None:
    """Its conditions are the first fields of one, a page's position the last of them."""
    statement = sample(name)
    conditions = [field for field in statement.filter if field not in ("title", "hidden")]
    indexes = [list(index.document["key"]) for index in INDEXES[statement.collection]]
    assert any(sorted(fields[: len(conditions)]) == sorted(conditions) for fields in indexes)
    if name.endswith("_page"):
        assert [*conditions[:-1], "seq"] in indexes


async def test_every_statement_finds_its_documents_by_an_index(
    mongo: MongoServer, emptied_mongo: str, open_mongo: OpenMongo
) -> None:
    """None reads a whole collection or sorts, and each is bounded by tenant and owner."""
    if not mongo.plans_well():
        pytest.skip("this server plans otherwise than MongoDB's own, which only can show it")
    await open_mongo(emptied_mongo)
    orders: tuple[Order, Order] = ("asc", "desc")
    for name, order in product(NAMES, orders):
        plan = plan_of(mongo, emptied_mongo, sample(name, order))
        assert not {"COLLSCAN", "SORT"} & {stage["stage"] for stage in plan}, name
        scans = [list(stage["keyPattern"]) for stage in plan if "keyPattern" in stage]
        assert scans, name
        assert all(fields[:2] == ["tenant", "owner"] for fields in scans), name
