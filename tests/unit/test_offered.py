"""Lists of models and endpoints in the settings, and what they become."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chatkeep import Settings, load_settings
from chatkeep.cli import cli
from chatkeep.configured import models_config
from chatkeep.errors import SettingsError
from chatkeep.models.catalog import Catalog
from chatkeep.models.opening import open_models
from chatkeep.models.prices import Price

SECRET = "sk-very-secret-4711"

type Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Read settings from a directory of the test, given as texts."""

    def load(toml: str = "", *, dotenv: str = "", **env: str) -> Settings:
        (tmp_path / "chatkeep.toml").write_text(toml)
        (tmp_path / ".env").write_text(dotenv)
        return load_settings(environ=env, directory=tmp_path)

    return load


def refused(load: Load, *args: str, **env: str) -> str:
    """Return the message of the refusal: one line, without a secret."""
    with pytest.raises(SettingsError) as caught:
        open_models(models_config(load(*args, **env)))
    message = str(caught.value)
    assert "\n" not in message
    assert SECRET not in message
    return message


def offered(**fields: Any) -> str:
    """A model with these fields, in the environment's words."""
    return json.dumps([{"id": "a", "provider": "openai"} | fields])


FULL = """
[[models.offered]]
id = "fast"
provider = "openai"
name = "gpt-5-mini"
label = "Fast"
description = "For everyday"
context_tokens = 64000
max_tokens = 500
temperature = 0.5
effort = "low"
extra_body = { service_tier = "flex" }
first_token_timeout = 5
chunk_timeout = 6
total_timeout = 7
fallback = ["house"]
tenants = ["acme"]
titles = false
price = { input = 0.25, cached = "0.025", output = 2 }

[[models.offered]]
id = "house"
provider = "workshop"
images = false
tools = false

[models.endpoints.workshop]
base_url = "http://127.0.0.1:9/v1"
api_key = "sk-1"
headers = { X-Team = "chat" }
"""


def test_all_that_can_be_said_of_a_model(load: Load) -> None:
    """Each field arrives where it is used; money is exact."""
    config = models_config(load(FULL, OPENAI_API_KEY=SECRET))
    fast, house, tour = open_models(config).entries
    assert [fast.id, house.id, tour.id] == ["fast", "house", "tour"]
    assert (fast.label, fast.description) == ("Fast", "For everyday")
    assert (fast.context_tokens, fast.titles) == (64_000, False)
    settings = fast.settings
    assert settings.reasoning is not None
    assert (settings.temperature, settings.max_tokens, settings.reasoning.effort) == (
        0.5,
        500,
        "low",
    )
    assert settings.extra_body == {"service_tier": "flex"}
    assert fast.price == Price(Decimal("0.25"), Decimal(2), Decimal("0.025"))
    assert fast.tenants == {"acme"}
    assert (fast.images, fast.tools) == (True, True)
    assert (house.images, house.tools, house.titles, house.price) == (False, False, True, None)
    assert house.label == "First model listed"
    assert house.description == "OpenAI-compatible server at 127.0.0.1:9"
    assert (config.offered[0].first_token_timeout, config.offered[0].total_timeout) == (5, 7)


def test_the_environment_says_the_same(load: Load) -> None:
    """A JSON list and a JSON object, as strings are all that there is."""
    file = load(FULL, OPENAI_API_KEY="k").models
    dumped = file.model_dump(mode="json", include={"offered", "endpoints"})
    dumped["endpoints"]["workshop"] |= {"api_key": "sk-1", "headers": {"X-Team": "chat"}}
    said = load(
        OPENAI_API_KEY="k",
        CHATKEEP_MODELS_OFFERED=json.dumps(dumped["offered"]),
        CHATKEEP_MODELS_ENDPOINTS=json.dumps(dumped["endpoints"]),
    ).models
    assert (said.offered, said.endpoints) == (file.offered, file.endpoints)


def test_references_lead_to_secrets(load: Load, tmp_path: Path) -> None:
    """A variable, one with a path, one of `.env`, and a file."""
    (tmp_path / "mounted").write_text("sk-mounted\n")
    (tmp_path / "plain").write_text("sk-file\n")
    toml = f"""
    [models.endpoints.x]
    base_url = "http://h"
    api_key = {{ env = "A_KEY" }}
    proxy = {{ env = "A_PROXY" }}
    headers = {{ A = {{ env = "B_KEY" }}, B = {{ file = "{tmp_path / "plain"}" }}, C = "c" }}
    """
    dotenv = f"B_KEY_FILE={tmp_path / 'mounted'}"
    models = load(toml, dotenv=dotenv, A_KEY=SECRET, A_PROXY="http://u:w@p").models
    (found,) = models_config(Settings(models=models)).endpoints.values()
    assert (found.api_key, found.proxy) == (SECRET, "http://u:w@p")
    assert found.headers == {"A": "sk-mounted", "B": "sk-file", "C": "c"}
    assert SECRET not in repr(found)
    assert SECRET not in repr(models)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('{ env = "MISSING" }', "there is nothing where env points to"),
        ('{ env = "EMPTY" }', "there is nothing where env points to"),
        (f'{{ env = "{SECRET}" }}', "there is nothing where env points to"),
        (f'{{ file = "/nowhere/{SECRET}" }}', "cannot be read"),
        ('{ evn = "A" }', "not a text"),
        ('{ env = "A", file = "b" }', "not a text"),
        ("{ env = 1 }", "not a text"),
        ("{}", "not a text"),
        ("1", "valid string"),
        ('"sk\\u0007"', "has a character in it that no key has"),
    ],
)
@pytest.mark.parametrize("field", ["api_key", "headers"])
def test_references_that_lead_nowhere(load: Load, value: str, said: str, field: str) -> None:
    """The start stops with the field; what was taken for a name may be the key itself."""
    value = value if field == "api_key" else f"{{ X-Key = {value} }}"
    toml = f'[models.endpoints.x]\nbase_url = "http://h"\n{field} = {value}'
    message = refused(load, toml, EMPTY="")
    assert said in message
    assert "models.endpoints" in message


@pytest.mark.parametrize(
    ("json_list", "place"),
    [
        ("[{", "models.offered"),
        ("5", "models.offered"),
        ('["x"]', "models.offered"),
        ('[{"provider": "openai"}]', "models.offered[0].id"),
        ('[{"id": "a"}]', "models.offered[0].provider"),
        (offered(id=""), "models.offered[0].id"),
        (offered(colour="red"), "models.offered[0].colour"),
        (offered(temperature=3), "models.offered[0].temperature"),
        (offered(max_tokens=0), "models.offered[0].max_tokens"),
        (offered(context_tokens=1), "models.offered[0].context_tokens"),
        (offered(effort="much"), "models.offered[0].effort"),
        (offered(total_timeout=0), "models.offered[0].total_timeout"),
        (offered(extra_body="x"), "models.offered[0].extra_body"),
        (offered(fallback="b"), "models.offered[0].fallback"),
        (offered(price={"input": 1}), "models.offered[0].price.output"),
        (offered(price={"input": -1, "output": 1}), "models.offered[0].price.input"),
        (offered(price={"input": "x", "output": 1}), "models.offered[0].price.input"),
        (offered(price={"input": "NaN", "output": 1}), "models.offered[0].price.input"),
    ],
)
def test_a_wrong_field_is_named(load: Load, json_list: str, place: str) -> None:
    """With its place in the list, its source, and what was expected."""
    message = refused(load, OPENAI_API_KEY=SECRET, CHATKEEP_MODELS_OFFERED=json_list)
    assert message.startswith(f"{place} (environment variable CHATKEEP_MODELS_OFFERED): ")
    assert "; expected " in message


@pytest.mark.parametrize(
    ("json_list", "said"),
    [
        (offered(provider="opena"), "the provider of 'a' is not known"),
        (offered(fallback=["b"]), "'a' has a fallback that is no other offered model"),
        (offered(fallback=["a"]), "'a' has a fallback that is no other offered model"),
        (json.dumps([{"id": "a", "provider": "tour"}] * 2), "the id 'a' comes twice"),
        (offered(provider="mistral"), "mistral needs a key; set MISTRAL_API_KEY"),
        (offered(provider="compatible"), "compatible needs a URL; set OPENAI_BASE_URL"),
    ],
)
def test_what_does_not_go_together_is_refused(load: Load, json_list: str, said: str) -> None:
    """Names that name nothing, and providers that lack something."""
    message = refused(load, OPENAI_API_KEY=SECRET, CHATKEEP_MODELS_OFFERED=json_list)
    assert message.startswith("models.offered: ")
    assert said in message


@pytest.mark.parametrize(
    ("mine", "others", "fine"),
    [
        ([], [], True),
        (["acme"], [], True),
        (["acme"], ["acme", "umbrella"], True),
        (["acme", "umbrella"], ["acme"], False),
        ([], ["acme"], False),
    ],
)
def test_nobodys_words_go_where_they_may_not(
    load: Load, mine: list[str], others: list[str], fine: bool
) -> None:
    """A fallback must be open to all who may choose the model."""
    first = {"id": "a", "provider": "tour", "tenants": mine, "fallback": ["b"]}
    second = {"id": "b", "provider": "scripted", "tenants": others}
    said = json.dumps([first, second])
    if fine:
        assert len(load(CHATKEEP_MODELS_OFFERED=said).models.offered) == 2
    else:
        message = refused(load, CHATKEEP_MODELS_OFFERED=said)
        assert "'a' falls back to 'b', which not all of its tenants may use" in message


@pytest.mark.parametrize("name", ["MODEL_NAME", "CHATKEEP_PROVIDER"])
def test_a_list_and_one_model_contradict(load: Load, name: str) -> None:
    """What would have no effect is not taken silently."""
    message = refused(load, FULL, OPENAI_API_KEY=SECRET, **{name: "tour"})
    assert message.startswith("models.offered: CHATKEEP_PROVIDER and MODEL_NAME")


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ("base_url = 'nowhere'", "models.endpoints.x.base_url"),
        ("profile = 'claude'", "models.endpoints.x.profile"),
        ("proxy = 'socks5://h'", "models.endpoints.x.proxy"),
        ("headers = { 'A B' = 'c' }", "models.endpoints.x.headers"),
        ("url = 'http://h'", "models.endpoints.x.url"),
        ("", "models.endpoints.x"),
    ],
)
def test_a_wrong_endpoint_is_named(load: Load, fields: str, place: str) -> None:
    """Down to its field."""
    assert refused(load, f"[models.endpoints.x]\n{fields}").startswith(place)


def test_a_provider_can_be_reached_in_another_way(load: Load) -> None:
    """A table that is named like a provider has its profile, its key, and its own address."""
    toml = '[models.endpoints.openai]\nproxy = "http://127.0.0.1:9"'
    catalog: Catalog = open_models(models_config(load(toml, OPENAI_API_KEY=SECRET)))
    assert catalog.default.id == "gpt-5-mini"
    assert (catalog.default.description, catalog.default.context_tokens) == ("OpenAI", 128_000)


def test_check_shows_tables_and_no_secrets(tmp_path: Path) -> None:
    """One line for each field that is set; endpoints are asked once for all of their models."""
    second = FULL.replace('provider = "openai"', 'provider = "workshop"')
    (tmp_path / "chatkeep.toml").write_text(second.replace("sk-1", SECRET))
    result = CliRunner().invoke(cli, ["check"])
    assert "models.offered[0].label = Fast\n" in result.output
    assert "models.offered[0].price.cached = 0.025\n" in result.output
    assert "models.offered[1].tools = False\n" in result.output
    assert "models.offered[1].label" not in result.output
    assert "models.endpoints.workshop.api_key = ********\n" in result.output
    assert "models.endpoints.workshop.headers = X-Team=********\n" in result.output
    assert "FAILED model fast, house: " in result.output
    assert SECRET not in result.output
