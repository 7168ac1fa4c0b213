"""A server in the loop of the test, on a real socket."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Self

import uvicorn

from chatkeep import Chatkeep
from chatkeep.context import RequestContext
from chatkeep.testing.client import ChatKitClient
from support.waiting import until


class _Server(uvicorn.Server):
    """Ends when it is told to; uvicorn looks ten times a second whether it was."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.told = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for the end."""
        await self.on_tick(0)
        await self.told.wait()


class LiveServer:
    """Chatkeep behind uvicorn on a free port, in the loop of the test."""

    def __init__(self, chatkeep: Chatkeep) -> None:
        self.chatkeep = chatkeep
        self._listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(chatkeep, lifespan="off", log_config=None, access_log=False)
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    async def __aenter__(self) -> Self:
        """Start to listen."""
        await self.chatkeep.open()
        self._task = asyncio.create_task(self._server.serve([self._listener]))
        await until(lambda: self._server.started)
        return self

    async def idle(self) -> None:
        """Wait until no turn runs: one that was left takes a moment to save what it has."""
        await until(lambda: not self.chatkeep.engine._running)

    async def __aexit__(self, *_: object) -> None:
        """Drain, then close."""
        await self.chatkeep.drain()
        self._server.told.set()
        if self._task:
            await self._task
        await self.chatkeep.aclose()
        self._listener.close()


type StartServer = Callable[..., Awaitable[LiveServer]]


type Connect = Callable[[LiveServer], ChatKitClient]


async def whose(server: LiveServer) -> RequestContext:
    """Return the context of the only user."""
    (principal,) = await server.chatkeep.store.load_users(None, None, 10)
    return RequestContext(principal, request_id="")
