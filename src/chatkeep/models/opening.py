"""From the configuration to the catalog."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

import httpx2
import openai
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from chatkeep.errors import SettingsError
from chatkeep.loopback import is_loopback
from chatkeep.models.catalog import Catalog, ModelEntry
from chatkeep.models.choice import ModelsConfig, choose_provider, ollama_url
from chatkeep.models.compatible import CompatibleModel, Prepare
from chatkeep.models.embedded import DESCRIPTION, INSTRUCTIONS, SETTINGS, EmbeddedServer
from chatkeep.models.errors import FOREIGN_ERRORS, translate
from chatkeep.models.profiles import PROFILES, Profile
from chatkeep.models.scripted import ScriptedModel, echo
from chatkeep.models.tour import Tour, documentation
from chatkeep.models.weights import find_weights

type Closer = Callable[[], Awaitable[None]]

_OUR_IDS = frozenset({"tour", "embedded", "scripted"})
_CONNECT_SECONDS = 5.0
_PROBE_SECONDS = 10.0
_READING_SECONDS = 120.0


def open_models(config: ModelsConfig) -> Catalog:
    """Return the models to choose from.

    Raises:
        SettingsError: The configuration does not name one provider, or it lacks something.
    """
    provider = choose_provider(config)
    guide = Tour(documentation())
    tour = ModelEntry(
        id="tour",
        label="Tour",
        description="A built-in guide: quotes Chatkeep's documentation, no language model",
        model=ScriptedModel("tour", guide),
        disclaimer="You are talking to the **built-in tour**, which quotes Chatkeep's "
        "documentation. Ask it how to connect a real model.",
    )
    if provider == "tour":
        return Catalog([tour], [guide.aclose])
    entry, closers = _open_provider(provider, config)
    if config.context_tokens is not None:
        entry = replace(entry, context_tokens=config.context_tokens)
    return Catalog([entry, tour] if config.tour else [entry], [*closers, guide.aclose])


def _open_provider(provider: str, config: ModelsConfig) -> tuple[ModelEntry, list[Closer]]:
    if provider == "scripted":
        model = ScriptedModel("scripted", echo)
        entry = ModelEntry(
            id="scripted",
            label="Scripted",
            description="Says what it was told",
            model=model,
            disclaimer="You are talking to a **script**, not to a language model.",
        )
        return entry, []
    if provider == "embedded":
        return _open_embedded(config)
    return _open_url(provider, PROFILES[provider], config)


def _open_url(
    provider: str, profile: Profile, config: ModelsConfig
) -> tuple[ModelEntry, list[Closer]]:
    if provider == "ollama":
        base_url = ollama_url(config.ollama_host)
    elif provider in ("openai", "compatible") and config.base_url:
        base_url = config.base_url
    else:
        base_url = str(profile.base_url)
    key_name = "OPENAI_API_KEY" if provider == "compatible" else profile.key_name
    # Servers without keys ignore the header; the client insists on sending one.
    client = _client(base_url, config.keys.get(key_name or "", "none"))
    named = config.name or profile.default_model
    key_names = [key_name] if key_name and key_name in config.keys else []
    hint = _hint(profile.label, base_url, ["MODEL_NAME", *key_names])
    prepare = _named(client, named)
    model = CompatibleModel(
        prepare, config.deadlines, responses_api=profile.responses_api, hint=hint
    )
    entry = ModelEntry(
        # A provider's model may be called like one of ours.
        id=f"{provider}/{named}" if named in _OUR_IDS else named or provider,
        label=named or "First model listed",
        description=profile.label if profile.base_url else f"{profile.label} at {_place(base_url)}",
        model=model,
        context_tokens=profile.context_tokens,
        titles=True,
        probe=partial(_probe, client, hint),
        price=config.prices.find(named or "*", provider),
    )
    return entry, [client.close]


def _place(base_url: str) -> str:
    """Return host and port, without the password that a URL may hold."""
    return urlsplit(base_url).netloc.rpartition("@")[2]


def _hint(label: str, base_url: str, names: list[str]) -> str:
    """Return what an operator should look at when the provider fails."""
    return f"Check the {label} at {_place(base_url)} and the settings {', '.join(names)}."


async def _probe(client: AsyncOpenAI, hint: str) -> None:
    """Ask for the list of models, which every provider gives to whom it would answer."""
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await client.models.list()
    except openai.NotFoundError:
        return  # no list here, but somebody is
    except FOREIGN_ERRORS as error:
        translated = translate(error, started=False)
        translated.hint = hint
        raise translated from error


def _open_embedded(config: ModelsConfig) -> tuple[ModelEntry, list[Closer]]:
    weights = find_weights(config.gguf, config.data_dir)
    if weights is None:
        raise SettingsError("models.provider: the weights of the embedded model are missing")
    server = EmbeddedServer(weights)
    clients: dict[str, AsyncOpenAI] = {}

    async def prepare() -> tuple[AsyncOpenAI, str]:
        endpoint = await server.ready()
        client = clients.get(endpoint.base_url)
        if client is None:
            gone = list(clients.values())  # clients of a process that was replaced
            clients.clear()
            client = clients[endpoint.base_url] = _client(endpoint.base_url, endpoint.api_key)
            for old in gone:
                await old.close()
        return client, server.model

    async def close_clients() -> None:
        while clients:
            await clients.popitem()[1].close()

    # One core reads about 80 tokens a second, so a full context takes its time.
    deadlines = replace(
        config.deadlines, first_token=max(config.deadlines.first_token, _READING_SECONDS)
    )
    entry = ModelEntry(
        id="embedded",
        label=weights.name.partition(".")[0],
        description=DESCRIPTION,
        model=CompatibleModel(prepare, deadlines),
        settings=SETTINGS,
        context_tokens=server.context_tokens,
        instructions=INSTRUCTIONS,
        disclaimer="You are talking to a **small local model that is often wrong**. "
        "Choose *Tour* to learn how to connect a real one.",
        probe=server.start,
    )
    return entry, [close_clients, server.aclose]


def _client(base_url: str, key: str) -> AsyncOpenAI:
    # Retries are ours to decide, and deadlines are set on the whole stream, not on a read.
    timeout = httpx2.Timeout(None, connect=_CONNECT_SECONDS)
    # A proxy of the environment has no way to this machine.
    local = is_loopback(urlsplit(base_url).hostname or "")
    try:
        http_client = DefaultAsyncHttpxClient(timeout=timeout, trust_env=not local)
    except (ImportError, ValueError) as error:
        raise SettingsError(
            "The proxy that ALL_PROXY or HTTPS_PROXY names cannot be used (only http:// and "
            "https:// ones can); correct it, or set NO_PROXY=*"
        ) from error
    return AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0, http_client=http_client)


def _named(client: AsyncOpenAI, name: str | None) -> Prepare:
    """Return the client and the model's name, asking the server for its first one if need be."""
    resolved = name

    async def prepare() -> tuple[AsyncOpenAI, str]:
        nonlocal resolved
        if resolved is None:
            try:
                listed = await client.models.list()
                first = listed.data[0].id if listed.data else None
            except (openai.NotFoundError, AttributeError, LookupError, TypeError, ValueError):
                first = None  # no list, or another page in its place
            # A server with one model need not have a list, nor care for the name.
            resolved = first if isinstance(first, str) else "default"
        return client, resolved

    return prepare
