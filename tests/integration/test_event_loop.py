"""Nothing works on the event loop for more than a moment, so no stream waits for another user."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from agents import Agent, function_tool

from chatkeep import Chatkeep, load_settings
from chatkeep.models.scripted import Call, Message, Pause, Step, Text
from chatkeep.testing.client import ChatKitClient, user_input
from chatkeep.testing.provider import ScriptedProvider
from support.files import upload
from support.watchdog import WatchedServer, slowness

LIMIT = 0.005
"""Seconds of CPU of a callback."""

_ROUNDS = 5
_WORDS = "Some words of an answer that is neither short nor long. " * 4


class Visit:
    """A user of the watched server, with a long conversation and a long list of them."""

    def __init__(self, server: WatchedServer) -> None:
        self.server = server
        self.client: ChatKitClient
        self.long = ""
        self._cookies: Any = None
        self._imported = 0

    @asynccontextmanager
    async def coming(self) -> AsyncIterator[None]:
        """Come, again as the same user: connections do not wait from one time to the next."""
        async with ChatKitClient(self.server.url) as self.client:
            self.client.http.cookies = self._cookies
            yield
            self._cookies = self.client.http.cookies

    def document(self, items: int) -> bytes:
        """Return a conversation of so many items, as an export has it."""
        self._imported += 1
        name = f"{self._imported:04}"
        made = "2026-11-22T17:00:00Z"
        common = {"thread_id": f"thr_{name}", "created_at": made}
        user = {"type": "user_message", "attachments": [], "inference_options": {}}
        texts = {"user_message": "input_text", "assistant_message": "output_text"}
        found = []
        for number in range(items):
            base: dict[str, Any] = {"type": "assistant_message"} if number % 2 else user
            content = [{"type": texts[base["type"]], "text": f"{number}: {_WORDS}"}]
            found.append({"id": f"msg_{name}_{number}", **common, **base, "content": content})
        thread = {"id": f"thr_{name}", "title": f"Number {name}", "created_at": made}
        each = {
            "thread": thread,
            "archived": False,
            "items": found,
            "feedback": {},
            "attachments": [],
        }
        return json.dumps({"chatkeep_export": 1, "threads": [each]}).encode()

    async def restore(self, items: int) -> str:
        """Import a conversation of so many items; return its id."""
        headers = {"content-type": "application/json"}
        answer = await self.client.http.post(
            "/chatkit/import", content=self.document(items), headers=headers
        )
        assert answer.json()["imported"] == 1, answer.text
        return f"thr_{self._imported:04}"

    async def get(self, path: str, **params: str) -> None:
        """Ask for something."""
        answer = await self.client.http.get(path, params=params)
        assert answer.status_code == 200, answer.text


async def first_turn(visit: Visit) -> None:
    """A new conversation."""
    await visit.client.say("hello")


async def long_answer(visit: Visit) -> None:
    """An answer that the provider sends as fast as it can."""
    assert len((await visit.client.say("long")).text) > 4_000


async def long_thread(visit: Visit) -> None:
    """A message behind many others."""
    await visit.client.say("hello", visit.long)


async def tools(visit: Visit) -> None:
    """An answer with a tool."""
    assert (await visit.client.say("tool")).text == "It is noon."


async def attachments(visit: Visit) -> None:
    """A message with an image and a text."""
    text = await upload(visit.client, _WORDS.encode() * 200, name="a.txt", mime_type="text/plain")
    await visit.client.say("look", attachments=[await upload(visit.client), text])


async def many_at_once(visit: Visit) -> None:
    """Ten conversations at once."""
    await asyncio.gather(*[visit.client.say("hello") for _ in range(10)])


async def stop(visit: Visit) -> None:
    """An answer that is stopped."""
    events = visit.client.stream("threads.create", input=user_input("slow"))
    await anext(events)
    assert visit.client.turn_id
    await visit.client.cancel(visit.client.turn_id)
    await events.aclose()


async def pages(visit: Visit) -> None:
    """Lists, as long as they may be."""
    await visit.client.call("threads.list", limit=100)
    await visit.client.call("items.list", thread_id=visit.long, limit=100)
    await visit.client.call("threads.get_by_id", thread_id=visit.long)


async def search(visit: Visit) -> None:
    """A search that finds much."""
    await visit.get("/chatkit/search", q="words answer")


async def export(visit: Visit) -> None:
    """A long conversation as a document, in both formats."""
    await visit.get(f"/chatkit/threads/{visit.long}/export")
    await visit.get(f"/chatkit/threads/{visit.long}/export", format="markdown")


async def restore(visit: Visit) -> None:
    """A long conversation from a document."""
    await visit.restore(300)


KINDS: list[Callable[[Visit], Awaitable[None]]] = [
    first_turn,
    long_answer,
    long_thread,
    tools,
    attachments,
    many_at_once,
    stop,
    pages,
    search,
    export,
    restore,
]


def script(messages: Sequence[Message]) -> Iterable[Step]:
    """Answer as the newest message asks."""
    match messages[-1]:
        case Message(role="tool", text=text):
            yield Text(f"It is {text}.")
        case Message(text="tool"):
            yield Call("clock")
        case Message(text="long"):
            yield from [Text("one more word ")] * 300
        case Message(text="slow"):
            for _ in range(1_000):
                yield Text("word ")
                yield Pause(0.01)
        case _:
            yield Text(_WORDS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def visit(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Visit]:
    """A server that has seen everything once."""
    directory = tmp_path_factory.mktemp("watched")
    provider = ScriptedProvider()
    provider.script = script
    await provider.start()

    @function_tool
    def clock() -> str:
        """Tell the time."""
        return "noon"

    def make() -> Chatkeep:
        overrides = {
            "data_dir": directory,
            "models.openai_base_url": provider.base_url,
            "models.titles": "words",
            "overload.lag": 0,
            "overload.starting": 1000,
        }
        settings = load_settings(environ={}, overrides=overrides)
        return Chatkeep(Agent(name="a", instructions="b", tools=[clock]), settings=settings)

    with WatchedServer(make) as server:
        visit = Visit(server)
        async with visit.coming():
            visit.long = await visit.restore(1_000)
        for kind in KINDS:
            async with visit.coming():
                await kind(visit)
        yield visit
    await provider.aclose()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_nothing_holds_the_loop(
    visit: Visit, kind: Callable[[Visit], Awaitable[None]]
) -> None:
    """What takes long does so every time; what happens to fall into a callback does not."""
    longest = []
    for _ in range(_ROUNDS):
        visit.server.watchdog.reset()
        async with visit.coming():
            await kind(visit)
        longest.append(visit.server.watchdog.longest / slowness())
        if longest[-1] < LIMIT:
            return
    where = "\n".join(visit.server.watchdog.stack)
    pytest.fail(f"{[f'{seconds * 1000:.1f} ms' for seconds in longest]}, the last one at\n{where}")
