"""`kill -9` while twenty clients write: what was acknowledged is there when it starts again."""

import asyncio
import os
import random
import signal
import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from chatkeep.testing.client import ChatKitClient
from chatkeep.testing.provider import ScriptedProvider
from support.ledger import Ledger, Writer
from support.postgres import PostgresServer
from support.process import ServerProcess
from support.waiting import PATIENCE

USERS = 5
WRITERS = 20

type Rows = Callable[[str], Awaitable[list[tuple[Any, ...]]]]
"""Asks the database itself, beside the server."""


@pytest.fixture
def seed() -> int:
    """What decides when the server dies; `CHAOS_SEED` repeats a run."""
    return int(os.environ.get("CHAOS_SEED", random.randrange(2**32)))


async def test_a_killed_server_keeps_what_it_acknowledged_in_sqlite(
    provider: ScriptedProvider, tmp_path: Path, seed: int
) -> None:
    """Five kills at random moments: nothing is lost or doubled, and the file is sound."""
    path = tmp_path / "chat.db"

    async def rows(query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(query).fetchall()

    await kill_and_check(provider, tmp_path, f"sqlite:///{path}", rows, seed=seed, rounds=2)
    assert await rows("PRAGMA integrity_check") == [("ok",)]
    assert await rows("PRAGMA foreign_key_check") == []


async def test_a_killed_server_keeps_what_it_acknowledged_in_postgres(
    provider: ScriptedProvider,
    postgres: PostgresServer,
    own_database: str,
    tmp_path: Path,
    seed: int,
) -> None:
    """The same against a database of its own process."""

    async def rows(query: str) -> list[tuple[Any, ...]]:
        connection = await postgres.connect(own_database)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    url = postgres.url(own_database)
    await kill_and_check(provider, tmp_path, url, rows, seed=seed, rounds=2)


async def kill_and_check(
    provider: ScriptedProvider, directory: Path, url: str, rows: Rows, *, seed: int, rounds: int
) -> None:
    """Let clients write, kill the server, start it again and look, several times."""
    print(f"CHAOS_SEED={seed}")  # noqa: T201 - shown when it fails
    chance = random.Random(seed)
    environment = {
        "DATABASE_URL": url,
        "OPENAI_BASE_URL": provider.base_url,
        "CHATKEEP_MODELS_TITLES": "words",
        "CHATKEEP_TURNS_LEASE": "3",
        "CHATKEEP_LOG_LEVEL": "error",
    }
    server = ServerProcess(environment, directory)
    await server.start()
    try:
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(ChatKitClient(server.url)) for _ in range(WRITERS)
            ]
            await sign_in(clients)
            ledger = Ledger()
            writers = [
                Writer(f"writer {n}", client, ledger, chance.randrange(2**32))
                for n, client in enumerate(clients)
            ]
            for _ in range(rounds):
                seen = dict(ledger.texts)
                await killed_while_writing(server, writers, ledger, chance)
                await server.start()
                await check(ledger, rows)
                await check_texts(ledger, set(ledger.texts) - set(seen), clients[:USERS])
    finally:
        await server.kill()


async def sign_in(clients: list[ChatKitClient]) -> None:
    """Make users of the first clients, and let the others be further windows of theirs."""
    for client in clients[:USERS]:
        await client.say("hello")
    for n, client in enumerate(clients):
        client.http.cookies.update(clients[n % USERS].http.cookies)


async def killed_while_writing(
    server: ServerProcess, writers: list[Writer], ledger: Ledger, chance: random.Random
) -> None:
    """Kill the server somewhere in the middle; counted in writes, so on any machine."""
    writing = [asyncio.create_task(writer.write()) for writer in writers]
    async with asyncio.timeout(PATIENCE):
        await ledger.more(chance.randint(20, 120))
    await asyncio.sleep(chance.uniform(0, 0.05))
    assert await server.end(signal.SIGKILL) == -signal.SIGKILL
    await asyncio.gather(*writing)


async def check(ledger: Ledger, rows: Rows) -> None:
    """Compare the database with what was acknowledged."""
    stored: dict[str, list[str]] = defaultdict(list)
    for thread_id, item_id in await rows("SELECT thread_id, id FROM items ORDER BY thread_id, seq"):
        stored[thread_id].append(item_id)
    ids = [item_id for items in stored.values() for item_id in items]
    assert len(ids) == len(set(ids))
    for thread_id, items in ledger.items.items():
        assert [each for each in stored[thread_id] if each in set(items)] == items
    titles = dict(await rows("SELECT id, title FROM threads"))
    assert set(titles) == {thread_id for thread_id, items in stored.items() if items}
    for thread_id, allowed in ledger.titles.items():
        assert titles[thread_id] in allowed
    found = await rows("SELECT thread_id, item_id, kind FROM feedback")
    kinds = {(thread_id, item_id): kind for thread_id, item_id, kind in found}
    for key, judgements in ledger.feedback.items():
        assert kinds[key] in judgements


async def check_texts(ledger: Ledger, new: set[str], users: list[ChatKitClient]) -> None:
    """Read the new messages as their users do: each is there, once, with its text."""
    threads = {thread_id for thread_id, items in ledger.items.items() if new.intersection(items)}
    read: dict[str, str] = {}
    for client in users:
        own = await thread_ids(client)
        for thread_id in threads.intersection(own):
            for item in await client.items(thread_id):
                if item["type"] == "user_message":
                    assert item["id"] not in read
                    read[item["id"]] = item["content"][0]["text"]
        threads -= own
    assert not threads
    assert len(set(read.values())) == len(read)
    assert {item_id: read.get(item_id) for item_id in new} == {
        item_id: ledger.texts[item_id] for item_id in new
    }


async def thread_ids(client: ChatKitClient) -> set[str]:
    """Return the ids of all threads of a client's user."""
    found: list[str] = []
    page: dict[str, Any] = {"has_more": True, "after": None}
    while page["has_more"]:
        page = await client.call("threads.list", limit=100, after=page["after"])
        found += [thread["id"] for thread in page["data"]]
    assert len(found) == len(set(found))
    return set(found)
