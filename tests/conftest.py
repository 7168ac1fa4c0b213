"""What every test needs: a clean environment, a provider, and servers on real sockets."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import httpcore2
import pytest
import pytest_asyncio

from chatkeep import Chatkeep, load_settings
from chatkeep.models import retrying
from chatkeep.settings import ALIASES
from chatkeep.stores import apply_migrations
from chatkeep.testing.client import ChatKitClient
from chatkeep.testing.provider import ScriptedProvider
from support.instant import instant
from support.live import Connect, LiveServer, StartServer
from support.postgres import PostgresServer, postgres_binaries
from support.valkey import ValkeyServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests run in several processes, which must know them by the same names."""
    if changing := [item.nodeid for item in items if re.search(r"\b0x[0-9a-f]{6,}", item.nodeid)]:
        raise pytest.UsageError(f"give these parameters ids that stay the same: {changing}")


@pytest.fixture(autouse=True, scope="session")
def certificates_are_read_once() -> Iterator[None]:
    """Every client reads the authorities' certificates, which takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpcore2, "default_ssl_context", cache(httpcore2.default_ssl_context))
        yield


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the developer's settings, keys or files."""
    for name in list(os.environ):
        if name in ALIASES or name.startswith("CHATKEEP_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that fails is asked again at once."""
    monkeypatch.setattr(retrying, "_FIRST_WAIT", 0.01)


@pytest_asyncio.fixture
async def instant_time() -> AsyncIterator[asyncio.AbstractEventLoop]:
    """The loop of the test, whose timers go off in order and without a wait."""
    loop = asyncio.get_running_loop()
    with instant(loop):
        yield loop


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    """An OpenAI-compatible provider that echoes."""
    scripted = ScriptedProvider()
    await scripted.start()
    yield scripted
    await scripted.aclose()


@pytest_asyncio.fixture
async def start_server(provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[StartServer]:
    """Start servers with settings as keywords; each speaks to `provider` unless told otherwise."""
    async with AsyncExitStack() as stack:

        async def start(
            agent: Any = None,
            *,
            server: Any = None,
            context: Any = None,
            tool_choices: Any = None,
            **overrides: Any,
        ) -> LiveServer:
            settings = {
                "data_dir": tmp_path / "data",
                "models.openai_base_url": provider.base_url,
                "models.titles": "words",
                "shutdown.grace": 0.2,
                # Nothing is refused because the machine is slow.
                "overload.lag": 0,
                "overload.starting": 1000,
            }
            dotted = {name.replace("__", "."): value for name, value in overrides.items()}
            loaded = load_settings(environ={}, overrides=settings | dotted)
            chatkeep = Chatkeep(
                agent, server=server, context=context, tool_choices=tool_choices, settings=loaded
            )
            return await stack.enter_async_context(LiveServer(chatkeep))

        yield start


@pytest_asyncio.fixture
async def server(start_server: StartServer) -> LiveServer:
    """A server in front of `provider`, with a SQLite file."""
    return await start_server()


@pytest_asyncio.fixture
async def connect() -> AsyncIterator[Connect]:
    """Make clients; each is a browser of its own."""
    async with AsyncExitStack() as stack:
        clients: list[ChatKitClient] = []

        def make(to: LiveServer) -> ChatKitClient:
            clients.append(ChatKitClient(to.url))
            return clients[-1]

        yield make
        for client in clients:
            await stack.enter_async_context(client)


@pytest.fixture
def client(server: LiveServer, connect: Connect) -> ChatKitClient:
    """A browser at `server`."""
    return connect(server)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the session, with an empty database `shared` of our schema."""
    server = PostgresServer(postgres_binaries())
    try:
        server.create()
        server.run("CREATE DATABASE template")
        asyncio.run(apply_migrations(server.url("template"), data_dir=Path()))
        server.run("CREATE DATABASE shared TEMPLATE template")
        yield server
    finally:
        server.remove()


_numbers = count()


@pytest.fixture
def own_database(postgres: PostgresServer) -> str:
    """The name of a database of the test's own, with the schema and no rows."""
    name = f"own_{next(_numbers)}"
    postgres.run(f"CREATE DATABASE {name} TEMPLATE template")
    return name


@pytest.fixture
def empty_postgres(postgres: PostgresServer) -> str:
    """The name of a database of the test's own, without a schema."""
    name = f"empty_{next(_numbers)}"
    postgres.run(f"CREATE DATABASE {name}")
    return name


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey server for the session. Channels are shared: take a prefix of your own."""
    server = ValkeyServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()
