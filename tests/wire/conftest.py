"""Servers whose providers are played."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from chatkeep.models.profiles import PROFILES
from support.live import Connect, StartServer
from support.played import Clock, Play, Played
from support.replay import ReplayedProvider


@pytest_asyncio.fixture
async def play(
    start_server: StartServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Play]:
    """Start a server for a provider by its name."""
    async with AsyncExitStack() as stack:

        async def start(name: str) -> Played:
            provider, clock = ReplayedProvider(name), Clock()
            await provider.start()
            stack.push_async_callback(provider.aclose)
            settings: dict[str, Any] = {"models__provider": name, "database__url": "memory://"}
            if name == "ollama":
                settings["models__ollama_host"] = provider.base_url.removesuffix("/v1")
                settings["models__name"] = "qwen3"
            elif PROFILES[name].base_url and name != "openai":
                own = replace(PROFILES[name], base_url=provider.base_url)
                monkeypatch.setitem(PROFILES, name, own)
            else:
                settings["models__openai_base_url"] = provider.base_url
                settings["models__name"] = "m"
            if PROFILES[name].key_name:
                settings[f"models__{name}_api_key"] = "sk-secret"
            server = await start_server(clock.agent, **settings)
            return Played(provider, connect(server), clock)

        yield start
