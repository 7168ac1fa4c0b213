"""The server as a process: signals, kills, and what is left."""

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import pytest_asyncio

from chatkeep.models.scripted import Message, Pause, Step, Text
from chatkeep.testing.client import Answer, ChatKitClient, user_input
from chatkeep.testing.provider import ScriptedProvider
from support.process import ServerProcess
from support.waiting import PATIENCE, until


@pytest_asyncio.fixture
async def process(provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """A server in front of the scripted provider."""
    environment = {
        "OPENAI_BASE_URL": provider.base_url,
        "CHATKEEP_MODELS_TITLES": "words",
        "CHATKEEP_SHUTDOWN_GRACE": "0.5",
        "CHATKEEP_TURNS_LEASE": "3",
    }
    running = ServerProcess(environment, tmp_path)
    await running.start()
    yield running
    await running.kill()


async def ended(client: ChatKitClient, thread_id: str) -> bool:
    """Whether no turn of the thread runs."""
    return await client.open_turn(thread_id) is None


async def test_a_killed_server_has_lost_nothing_that_was_acknowledged(
    process: ServerProcess,
) -> None:
    """After `kill -9` every message whose event the client saw is there, once."""
    async with ChatKitClient(process.url) as client:
        answer = await client.say("one")
        await client.say("two", answer.thread_id)
        before = await client.texts(answer.thread_id)
        events = client.stream(
            "threads.add_user_message",
            thread_id=answer.thread_id,
            input=user_input("three !slow and more words to wait for"),
        )
        await anext(events)
        assert await process.end(signal.SIGKILL) == -signal.SIGKILL
        await events.aclose()
        cookies = client.http.cookies

    await process.start()
    async with ChatKitClient(process.url) as client:
        client.http.cookies.update(cookies)
        after = await client.texts(answer.thread_id)
        await until(lambda: ended(client, answer.thread_id))
        again = await client.say("four", answer.thread_id)

    assert after[:4] == before
    assert [text for kind, text in after if kind == "user_message"][2].startswith("three")
    assert "message 4 of this conversation" in again.text


async def test_answers_outlive_a_kill(
    process: ServerProcess, provider: ScriptedProvider, tmp_path: Path
) -> None:
    """What was shown in part is kept, and can be retried; what was not is answered after all."""
    alive = False

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        if "shown" in messages[-1].text:
            yield Text("one two ")
        while not alive:
            yield Pause(0.01)
        yield Text("three four")

    provider.script = script
    async with ChatKitClient(process.url) as client:
        shown = client.numbered("threads.create", input=user_input("shown"))
        begun = [await anext(shown)]
        while "delta" not in begun[-1].get("update", ()):
            begun.append(await anext(shown))
        silent = client.numbered("threads.create", input=user_input("silent"))
        await anext(silent)
        await until(lambda: len(provider.streamed) == 2)
        await until(lambda: stored(tmp_path, shown.number))
        await process.end(signal.SIGKILL)
        cookies = client.http.cookies
        assert shown.turn_id
        assert silent.turn_id

    alive = True
    await process.start()
    async with ChatKitClient(process.url) as client:
        client.http.cookies.update(cookies)
        async with asyncio.timeout(PATIENCE):
            rest = [event async for event in client.events(shown.turn_id, shown.number)]
            late = [event async for event in client.events(silent.turn_id, silent.number)]
        ended = await client.turn(shown.turn_id)
        thread_id, message_id = begun[0]["thread"]["id"], begun[1]["item"]["id"]
        kept = await client.texts(thread_id)
        retry = {"thread_id": thread_id, "item_id": message_id}
        again = [event async for event in client.stream("threads.retry_after_item", **retry)]

        assert (ended["state"], ended["reason"]) == ("interrupted", "crash")
        assert rest[-1]["type"] == "error"
        assert rest[-1]["allow_retry"]
        assert kept[1][1] == Answer("", begun + rest).streamed
        assert again[-1]["type"] == "thread.item.done"
        assert await client.texts(thread_id) == [
            ("user_message", "shown"),
            ("assistant_message", "one two three four"),
        ]
        assert Answer("", late).text == "three four"
        assert (await client.turn(silent.turn_id))["state"] == "completed"


def stored(directory: Path, number: int) -> bool:
    """Whether a turn's events up to a number are in the database."""
    with closing(sqlite3.connect(directory / ".chatkeep" / "chatkeep.db")) as database:
        rows = database.execute("SELECT 1 FROM turns WHERE last_event >= ?", (number,))
        return rows.fetchone() is not None


async def test_sigterm_lets_the_stream_end_with_an_event(
    process: ServerProcess, provider: ScriptedProvider
) -> None:
    """A stream that outlives the grace ends with an error event, its text is kept, exit is 0."""
    provider.script = lambda _: [Text("word " * 20_000, gap=0.01)]
    async with ChatKitClient(process.url) as client:
        stream = client.stream("threads.create", input=user_input("long"))
        events = [await anext(stream)]
        while events[-1]["type"] != "thread.item.updated":
            events.append(await anext(stream))
        ending = asyncio.create_task(process.end(signal.SIGTERM))
        events += [event async for event in stream]
        cookies = client.http.cookies
        assert await ending == 0

    assert events[-1]["type"] == "error"
    assert "restarting" in events[-1]["message"]
    await process.start()
    async with ChatKitClient(process.url) as client:
        client.http.cookies.update(cookies)
        texts = await client.texts(events[0]["thread"]["id"])
    streamed = "".join(e.get("update", {}).get("delta", "") for e in events)
    assert texts[1][1] == streamed
