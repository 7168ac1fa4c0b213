"""A server that has as many answers under way as it may: what it refuses, and what goes on."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from chatkeep.models.scripted import Message, Pause, Step, Text
from chatkeep.testing.client import Answer, ChatKitClient, user_input
from chatkeep.testing.provider import ScriptedProvider
from chatkeep.turns import lag
from support.live import Connect, StartServer
from support.waiting import until


class Held:
    """Answers that wait in their middle until they may go on."""

    def __init__(self) -> None:
        self.go_on = False

    def script(self, _: Sequence[Message]) -> Iterable[Step]:
        """Say it."""
        yield Text("one ")
        while not self.go_on:
            yield Pause(0.01)
        yield Text("two")


async def fill(client: ChatKitClient, turns: int) -> list[tuple[str, str]]:
    """Begin so many turns; return the thread and the turn of each."""
    begun = []
    for number in range(turns):
        events = client.stream(
            "threads.create", idempotency_key=f"key {number}", input=user_input("count")
        )
        first = await anext(events)
        assert client.turn_id
        begun.append((first["thread"]["id"], client.turn_id))
        await events.aclose()
    return begun


async def refused(client: ChatKitClient, type: str = "threads.create", **params: Any) -> Any:
    """Send a message that is refused; return the answer."""
    body = {"type": type, "params": {"input": user_input("more"), **params}}
    response = await client.http.post("/chatkit", json=body)
    assert response.status_code == 503
    return response


async def texts(client: ChatKitClient, turn_id: str) -> str:
    """Read a turn to its end; return its text."""
    return Answer("", [event async for event in client.events(turn_id)]).streamed


async def test_a_full_server_refuses_before_it_stores(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """503 with a problem and `Retry-After`, also for a queue; nothing of it is kept."""
    provider.script = (held := Held()).script
    server = await start_server(overload__turns=2, turns__when_busy="queue")
    client = connect(server)
    (thread_id, turn_id), _ = await fill(client, 2)

    response = await refused(client)
    await refused(client, "threads.add_user_message", thread_id=thread_id)

    assert response.headers["content-type"] == "application/problem+json"
    assert 3 <= int(response.headers["retry-after"]) <= 8
    assert response.json()["type"] == "urn:chatkeep:problem:overloaded"
    assert len((await client.call("threads.list"))["data"]) == 2
    assert [kind for kind, _ in await client.texts(thread_id)] == ["user_message"]
    assert (await client.http.get("/health")).json()["load"] == "high"
    assert (await client.http.get("/readyz")).status_code == 200
    held.go_on = True
    assert await texts(client, turn_id) == "one two"
    await server.idle()
    assert (await client.say("again", thread_id)).text == "one two"


async def test_what_was_taken_goes_on_in_a_full_server(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """Streams are resumed and followed, requests are repeated, turns stopped, threads listed."""
    provider.script = (held := Held()).script
    client = connect(await start_server(overload__turns=2))
    (thread_id, turn_id), (_, other_turn) = await fill(client, 2)
    await refused(client)

    resumed = asyncio.create_task(texts(client, turn_id))
    repeated = client.stream("threads.create", idempotency_key="key 0", input=user_input("count"))
    assert (await anext(repeated))["type"] == "thread.created"
    async with client.follow(thread_id) as followed:
        assert (await anext(followed))["type"] == "thread.created"
    assert len((await client.call("threads.list"))["data"]) == 2
    assert (await client.cancel(other_turn))["state"] == "cancelled"
    held.go_on = True
    assert await resumed == "one two"


async def test_a_turn_that_was_taken_over_counts(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """What another instance has left has its place before anything new."""
    held = Held()

    def silent(_: Sequence[Message]) -> Iterable[Step]:
        while not held.go_on:
            yield Pause(0.01)
        yield Text("Here.")

    provider.script = silent
    leaving, staying = [await start_server(overload__turns=1) for _ in range(2)]
    ((_, turn_id),) = await fill(connect(leaving), 1)
    client = connect(staying)

    await leaving.chatkeep.drain()
    await until(lambda: staying.chatkeep.engine.find(turn_id) is not None)

    await refused(client)
    held.go_on = True
    await staying.idle()
    assert (await client.say("now")).text == "Here."


async def test_a_loop_that_stays_late_refuses_turns(
    start_server: StartServer,
    connect: Connect,
    provider: ScriptedProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As long as it is late; what runs goes on."""
    monkeypatch.setattr(lag, "PERIOD", 3600)  # only this test looks
    provider.script = (held := Held()).script
    server = await start_server(overload__lag=0.025)
    client = connect(server)
    (_, turn_id), *_ = await fill(client, 8)

    for _ in range(20):
        server.chatkeep.admission.lag.note(1.0)
    await refused(client)
    held.go_on = True
    assert await texts(client, turn_id) == "one two"
    await server.idle()
    assert (await client.say("again")).text == "one two"
