"""What every test needs: a clean environment, a provider, and a server on a real socket."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import pytest
import pytest_asyncio
import uvicorn

from chatkeep import Chatkeep, load_settings
from chatkeep.settings import ALIASES
from chatkeep.testing.client import ChatKitClient
from chatkeep.testing.provider import ScriptedProvider


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the developer's settings, keys or files."""
    for name in list(os.environ):
        if name in ALIASES or name.startswith("CHATKEEP_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    """An OpenAI-compatible provider that echoes."""
    scripted = ScriptedProvider()
    await scripted.start()
    yield scripted
    await scripted.aclose()


class LiveServer:
    """Chatkeep behind uvicorn on a free port, in the loop of the test."""

    def __init__(self, chatkeep: Chatkeep) -> None:
        self.chatkeep = chatkeep
        self._listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(chatkeep, lifespan="off", log_config=None, access_log=False)
        self._server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    async def __aenter__(self) -> Self:
        """Start to listen."""
        await self.chatkeep.open()
        self._task = asyncio.create_task(self._server.serve([self._listener]))
        while not self._server.started:
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drain, then close."""
        await self.chatkeep.drain()
        self._server.should_exit = True
        if self._task:
            await self._task
        await self.chatkeep.aclose()
        self._listener.close()


type StartServer = Callable[..., Awaitable[LiveServer]]


@pytest_asyncio.fixture
async def start_server(provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[StartServer]:
    """Start servers with settings as keywords; each speaks to `provider` unless told otherwise."""
    async with AsyncExitStack() as stack:

        async def start(agent: Any = None, **overrides: Any) -> LiveServer:
            settings = {
                "data_dir": tmp_path / "data",
                "models.openai_base_url": provider.base_url,
                "models.titles": "words",
                "shutdown.grace": 0.2,
            }
            dotted = {name.replace("__", "."): value for name, value in overrides.items()}
            loaded = load_settings(environ={}, overrides=settings | dotted)
            server = LiveServer(Chatkeep(agent, settings=loaded))
            return await stack.enter_async_context(server)

        yield start


@pytest_asyncio.fixture
async def server(start_server: StartServer) -> LiveServer:
    """A server in front of `provider`, with a SQLite file."""
    return await start_server()


@pytest_asyncio.fixture
async def connect() -> AsyncIterator[Callable[[LiveServer], ChatKitClient]]:
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
def client(server: LiveServer, connect: Callable[[LiveServer], ChatKitClient]) -> ChatKitClient:
    """A browser at `server`."""
    return connect(server)


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    """Fail when a test leaves tasks behind."""
    yield
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    left = [task for task in asyncio.all_tasks(loop) if not task.done()]
    assert not left
