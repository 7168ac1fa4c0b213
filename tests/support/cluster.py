"""Instances of `chatkeep serve` on one database, and the provider that they ask."""

import asyncio
import random
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, Self

from support.paced import PacedProvider
from support.postgres import PostgresServer
from support.process import ServerProcess
from support.visitor import Visitor
from support.waiting import until

type Rows = Callable[[str], Awaitable[list[tuple[Any, ...]]]]
"""Asks the database itself, beside the servers."""

GRACE = 1
"""Seconds that instances that are told to stop give to their answers, where tests tell them."""

_POSTGRES_NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
# 2440587.5 is the Julian day of 1970-01-01. Newer SQLite has unixepoch('subsec').
_SQLITE_NOW = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


class Cluster:
    """Some instances, as an async context manager.

    Args:
        directory: Theirs; they share a key for cookies, and a log.
        url: The database.
        rows: Asks it.
        instances: How many.
        environment: More settings.

    Attributes:
        provider: What they ask.
        servers: The instances.
        overdue: The longest time that a running turn was seen without a live lease, in seconds.
    """

    def __init__(
        self, directory: Path, url: str, rows: Rows, instances: int = 2, **environment: str
    ) -> None:
        self._directory = directory
        self._url = url
        self._environment = environment
        self._instances = instances
        self._stack = AsyncExitStack()
        self._now = _SQLITE_NOW if url.startswith("sqlite") else _POSTGRES_NOW
        self.rows = rows
        self.provider = PacedProvider()
        self.servers: list[ServerProcess] = []
        self.overdue = 0.0

    async def __aenter__(self) -> Self:
        """Start everything."""
        await self.provider.start()
        self._stack.push_async_callback(self.provider.aclose)
        environment = {
            "DATABASE_URL": self._url,
            "OPENAI_BASE_URL": self.provider.base_url,
            "CHATKEEP_MODELS_TITLES": "words",
            "CHATKEEP_LOG_LEVEL": "warning",
            **self._environment,
        }
        self.servers = [ServerProcess(environment, self._directory) for _ in range(self._instances)]
        for server in self.servers:
            self._stack.push_async_callback(server.kill)
        await self.start(*self.servers)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take everything away."""
        await self._stack.aclose()

    async def start(self, *servers: ServerProcess) -> None:
        """Start instances, at once."""
        await asyncio.gather(*[server.start() for server in servers])

    @property
    def urls(self) -> list[str]:
        """Where the instances are."""
        return [server.url for server in self.servers]

    async def visitor(self, seed: int = 0) -> Visitor:
        """Return another user, who stays as long as the instances."""
        return await self._stack.enter_async_context(Visitor(self.urls, seed))

    async def number(self, query: str) -> int:
        """Return the one number that the database answers with."""
        ((found,),) = await self.rows(query)
        return int(found or 0)

    async def settled(self) -> None:
        """Return when no turn is open."""

        async def open_turns() -> int:
            await self.look()
            return await self.number("SELECT count(*) FROM turns WHERE ended_at IS NULL")

        async def none() -> bool:
            return await open_turns() == 0

        await until(none)

    async def look(self) -> None:
        """Measure for how long a turn has been without a live lease."""
        query = f"SELECT max({self._now} - lease_until) FROM turns WHERE state = 'running'"
        self.overdue = max(self.overdue, await self.number(query) / 1000)

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(0.5)

    async def kill(self, chance: random.Random) -> None:
        """Kill an instance, whatever it does just now, and start it again."""
        server = chance.choice(self.servers)
        assert await server.end(signal.SIGKILL) == -signal.SIGKILL
        await server.start()


def postgres_rows(server: PostgresServer, database: str) -> Rows:
    """Return what asks a database of a PostgreSQL server."""

    async def rows(query: str) -> list[tuple[Any, ...]]:
        connection = await server.connect(database)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return rows


def sqlite_rows(path: Path) -> Rows:
    """Return what asks a database in a file."""

    async def rows(query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            return connection.execute(query).fetchall()

    return rows
