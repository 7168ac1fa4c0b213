"""Two processes on one PostgreSQL database."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chatkeep.stores import open_store
from chatkeep.testing.client import ChatKitClient, ProblemResponse
from chatkeep.testing.provider import ScriptedProvider
from chatkeep.testing.store_pages import item_ids
from chatkeep.testing.store_samples import asking, thread
from support.postgres import PostgresServer
from support.process import ServerProcess

ANN = asking()
WRITERS, APPENDS = 10, 50

APPEND = f"""
import asyncio, sys
from pathlib import Path
from chatkeep.stores import open_store
from chatkeep.testing.store_samples import asking, message

async def main(url, name):
    store = open_store(url, data_dir=Path())
    await store.open()
    print("ready", flush=True)
    sys.stdin.readline()

    async def append(writer):
        for n in range({APPENDS}):
            await store.add_thread_item("thr_1", message(f"{{name}}{{writer}}-{{n}}"), asking())

    await asyncio.gather(*[append(writer) for writer in range({WRITERS})])
    await store.aclose()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_racing_writers_of_two_processes_make_one_order(
    postgres: PostgresServer, own_database: str
) -> None:
    """A thousand appends to one thread: each once, no gap, each writer's in its order."""
    url = postgres.url(own_database)
    store = open_store(url, data_dir=Path())
    await store.open()
    await store.save_thread(thread(), ANN)
    racers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", APPEND, url, name),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for name in "ab"
    ]
    try:
        for racer in racers:
            assert racer.stdout
            assert await racer.stdout.readline() == b"ready\n"
        await asyncio.gather(*[racer.communicate(b"\n") for racer in racers])
    finally:
        for racer in racers:
            if racer.returncode is None:
                racer.kill()
                await racer.wait()
    assert [racer.returncode for racer in racers] == [0, 0]

    ids = await item_ids(store, limit=300)
    assert ids == (await item_ids(store, "desc", limit=70))[::-1]
    await store.aclose()
    assert len(ids) == len(set(ids)) == 2 * WRITERS * APPENDS
    for writer in (f"{name}{n}-" for name in "ab" for n in range(WRITERS)):
        own = [item_id for item_id in ids if item_id.startswith(writer)]
        assert own == [f"{writer}{n}" for n in range(APPENDS)]
    connection = await postgres.connect(own_database)
    positions = await connection.fetch("SELECT seq FROM items ORDER BY seq")
    await connection.close()
    assert [row["seq"] for row in positions] == list(range(1, len(ids) + 1))


@pytest_asyncio.fixture
async def pair(
    provider: ScriptedProvider, postgres: PostgresServer, own_database: str, tmp_path: Path
) -> AsyncIterator[list[ServerProcess]]:
    """Two servers on one database, with one key for cookies."""
    environment = {
        "DATABASE_URL": postgres.url(own_database),
        "OPENAI_BASE_URL": provider.base_url,
        "CHATKEEP_MODELS_TITLES": "words",
    }
    servers = [ServerProcess(environment, tmp_path) for _ in range(2)]
    try:
        await asyncio.gather(*[server.start() for server in servers])
        yield servers
    finally:
        for server in servers:
            await server.kill()


async def test_what_one_server_saved_the_other_shows_at_once(pair: list[ServerProcess]) -> None:
    """A browser that is sent from one to the other notices nothing."""
    async with ChatKitClient(pair[0].url) as one, ChatKitClient(pair[1].url) as other:
        answer = await one.say("first")
        other.http.cookies.update(one.http.cookies)
        thread_id = answer.thread_id
        listed = await other.call("threads.list", limit=10)
        assert [each["id"] for each in listed["data"]] == [thread_id]
        assert await other.texts(thread_id) == await one.texts(thread_id)

        second = await other.say("second", thread_id)
        assert "message 2 of this conversation" in second.text
        assert await one.texts(thread_id) == [
            ("user_message", "first"),
            ("assistant_message", answer.text),
            ("user_message", "second"),
            ("assistant_message", second.text),
        ]

        await one.call("threads.update", thread_id=thread_id, title="renamed")
        shown = await other.call("threads.get_by_id", thread_id=thread_id)
        assert shown["title"] == "renamed"

        for n in range(5):
            here, there = (one, other) if n % 2 else (other, one)
            made = await here.say(f"thread {n}")
            listed = await there.call("threads.list", limit=1, order="desc")
            assert [each["id"] for each in listed["data"]] == [made.thread_id]

        await other.call("threads.delete", thread_id=thread_id)
        with pytest.raises(ProblemResponse) as caught:
            await one.call("threads.get_by_id", thread_id=thread_id)
        assert caught.value.status == 404
