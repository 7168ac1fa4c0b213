"""Instances for a whole module: they take longer to start than most cases last."""

import os
import random
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from support.cluster import GRACE, Cluster, postgres_rows, sqlite_rows
from support.postgres import PostgresServer
from support.sizes import seconds
from support.valkey import ValkeyServer

_numbers = count()


@pytest.fixture
def chance() -> random.Random:
    """What decides when things happen; `CHAOS_SEED` repeats that much of a run."""
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(2**32)))
    print(f"CHAOS_SEED={seed}")  # noqa: T201 - shown when the test fails
    return random.Random(seed)


async def _postgres(
    server: PostgresServer, directory: Path, **environment: str
) -> AsyncIterator[Cluster]:
    name = f"chaos_{next(_numbers)}"
    await server.execute(f"CREATE DATABASE {name} TEMPLATE template")
    rows = postgres_rows(server, name)
    async with Cluster(directory, server.url(name), rows, 2, **environment) as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Cluster]:
    """Two instances on one PostgreSQL database."""
    async for cluster in _postgres(postgres, tmp_path_factory.mktemp("pair")):
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hasty(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Cluster]:
    """The same, who take turns over soon: on a slow machine also from one who lives."""
    environment = {"CHATKEEP_TURNS_LEASE": str(seconds("lease"))}
    async for cluster in _postgres(postgres, tmp_path_factory.mktemp("hasty"), **environment):
        yield cluster


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey server."""
    server = ValkeyServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relayed(
    postgres: PostgresServer, valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Cluster]:
    """Two instances that wake each other through Valkey, and stop soon."""
    environment = {"REDIS_URL": valkey.url(), "CHATKEEP_SHUTDOWN_GRACE": str(GRACE)}
    directory = tmp_path_factory.mktemp("relayed")
    async for cluster in _postgres(postgres, directory, **environment):
        yield cluster


@pytest_asyncio.fixture(loop_scope="module")
async def single(tmp_path: Path) -> AsyncIterator[Cluster]:
    """One instance on a SQLite file."""
    path = tmp_path / "chat.db"
    lease = str(seconds("lease"))
    url, rows = f"sqlite:///{path}", sqlite_rows(path)
    async with Cluster(tmp_path, url, rows, 1, CHATKEEP_TURNS_LEASE=lease) as cluster:
        yield cluster
