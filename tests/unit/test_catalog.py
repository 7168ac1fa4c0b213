"""The models that a user may choose from."""

import pytest

from chatkeep.errors import ModelError
from chatkeep.models.calls import Caller, caller
from chatkeep.models.catalog import Catalog, ModelEntry
from chatkeep.models.scripted import ScriptedModel, echo


def entry(id: str, *tenants: str) -> ModelEntry:
    """A model with this id, for these tenants."""
    model = ScriptedModel(id, echo)
    return ModelEntry(id, id.upper(), "", model, tenants=frozenset(tenants))


@pytest.fixture
def catalog() -> Catalog:
    """Two models, `a` first."""
    return Catalog([entry("a"), entry("b")])


def test_the_first_is_the_default(catalog: Catalog) -> None:
    """Order is kept."""
    assert [found.id for found in catalog.entries] == ["a", "b"]
    assert catalog.default.id == "a"


def test_a_model_is_found_by_its_id(catalog: Catalog) -> None:
    """No choice is the default; what is not offered is not found, whatever its case."""
    assert catalog.find("b", "acme") is catalog.entries[1]
    assert catalog.find(None, "acme") is catalog.default
    assert [catalog.find(name, "acme") for name in ("c", "", "A", "b ")] == [None] * 4


def test_a_tenant_has_its_own_list() -> None:
    """What is not for a tenant is not found by it, and is not its default."""
    catalog = Catalog([entry("secret", "acme"), entry("shared"), entry("both", "acme", "umbrella")])
    offered = {
        tenant: [found.id for found in catalog.offered(tenant)]
        for tenant in ("acme", "umbrella", "other", None)
    }
    assert offered == {
        "acme": ["secret", "shared", "both"],
        "umbrella": ["shared", "both"],
        "other": ["shared"],
        None: ["shared"],
    }
    for tenant, ids in offered.items():
        default = catalog.find(None, tenant)
        assert default is not None
        assert default.id == ids[0]
        found = [name for name in ("secret", "shared", "both") if catalog.find(name, tenant)]
        assert found == ids


def test_a_tenant_may_have_nothing() -> None:
    """Then there is no default either."""
    catalog = Catalog([entry("secret", "acme")])
    assert catalog.offered("umbrella") == []
    assert catalog.find(None, "umbrella") is None
    assert catalog.known("secret") is catalog.default


def test_an_agents_own_name_gets_a_model(catalog: Catalog) -> None:
    """For the SDK a name that is not ours means the default; it never reaches OpenAI."""
    assert catalog.get_model("b") is catalog.entries[1].model
    assert catalog.get_model("gpt-4o") is catalog.default.model
    assert catalog.get_model(None) is catalog.default.model


def test_an_agents_own_name_gets_a_model_of_the_tenant() -> None:
    """Who is handed over to may name none: the first of all may be for others."""
    restricted = entry("a", "acme")
    both = Catalog([restricted, entry("b")])
    token = caller.set(Caller("umbrella"))
    try:
        assert both.get_model(None) is both.entries[1].model
        with pytest.raises(ModelError, match="organisation"):
            Catalog([restricted]).get_model(None)
    finally:
        caller.reset(token)


def test_entries_cannot_be_changed_from_outside(catalog: Catalog) -> None:
    """The list is the caller's."""
    catalog.entries.clear()
    assert len(catalog.entries) == 2


async def test_closing_calls_each_closer_once() -> None:
    """In reverse order of opening; closing again does nothing."""
    called: list[str] = []

    async def first() -> None:
        called.append("first")

    async def second() -> None:
        called.append("second")

    catalog = Catalog([entry("a")], [first, second])
    await catalog.aclose()
    await catalog.aclose()
    assert called == ["second", "first"]


async def test_a_model_that_needs_nothing_is_always_there(catalog: Catalog) -> None:
    """The default probe succeeds."""
    await catalog.default.probe()
