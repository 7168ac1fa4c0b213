"""Turns outlive the instance that works on them: deploys, and instances that vanish."""

import asyncio
from collections.abc import Iterable, Sequence

from agents import Agent, function_tool

from chatkeep.models.scripted import Call, Message, Pause, Step, Text
from chatkeep.testing.client import Answer, ChatKitClient, Event, NumberedStream, user_input
from chatkeep.testing.provider import ScriptedProvider
from support.live import Connect, LiveServer, StartServer, whose
from support.waiting import PATIENCE, until


class Provider:
    """Answers `shown` in part, and `silent` not at all, until it is let go."""

    def __init__(self) -> None:
        self.open = False

    def script(self, messages: Sequence[Message]) -> Iterable[Step]:
        """Say it."""
        if "shown" in messages[-1].text:
            yield Text("one two")
        while not self.open:
            yield Pause(0.01)
        yield Text(" three")


def like(client: ChatKitClient, other: ChatKitClient) -> ChatKitClient:
    """Return a client that is the same browser as another one."""
    client.http.cookies.update(other.http.cookies)
    return client


async def until_text(stream: NumberedStream) -> list[Event]:
    """Return the events of a stream until the first text."""
    events: list[Event] = []
    async for event in stream:
        events.append(event)
        if "delta" in event.get("update", ()):
            break
    return events


async def test_a_deploy_hands_turns_over_or_ends_them(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """What was shown in part ends; what was not goes on elsewhere; each reader is told which."""
    provider.script = (script := Provider()).script
    old = await start_server()
    client = connect(old)
    await client.call("threads.list")
    shown = client.numbered("threads.create", input=user_input("shown"))
    begun = await until_text(shown)
    silent = client.numbered("threads.create", input=user_input("silent"))
    created = await anext(silent)
    plain = client.stream("threads.create", input=user_input("shown, too"))
    await anext(plain)
    await until(lambda: len(provider.streamed) == 3)

    new = await start_server()
    drain = asyncio.create_task(old.chatkeep.drain())
    ends, rest, told = await asyncio.gather(all_of(shown), all_of(silent), all_of(plain))
    await drain

    assert [event["type"] for event in ends[-2:]] == ["thread.item.done", "error"]
    assert shown.ended == "end"
    assert ends[-2]["item"]["content"][0]["text"].startswith(Answer("", begun).streamed)
    assert silent.ended == "reconnect"
    assert told[-1]["type"] == "error"
    assert "restarting" in told[-1]["message"]

    script.open = True
    other = like(connect(new), client)
    assert shown.turn_id
    assert silent.turn_id
    resumed = other.events(silent.turn_id, silent.number)
    await new.chatkeep._recovery.take_all()
    rest += await all_of(resumed)
    answer = Answer("", rest)
    assert answer.streamed == answer.text == " three"
    assert (await other.turn(silent.turn_id))["state"] == "completed"
    interrupted = await other.turn(shown.turn_id)
    assert (interrupted["state"], interrupted["reason"]) == ("interrupted", "shutdown")
    assert len(await other.items(created["thread"]["id"])) == 2


async def all_of(stream: object) -> list[Event]:
    """Return the rest of a stream."""
    async with asyncio.timeout(PATIENCE):
        return [event async for event in stream]  # type: ignore[attr-defined]


async def vanish(server: LiveServer, turn_id: str) -> None:
    """Have an instance stop in the middle of a turn without a word, and its lease run out."""
    engine = server.chatkeep.engine
    engine.draining.set()
    running = engine.find(turn_id)
    assert running
    assert running.task
    running.task.cancel()
    await until(lambda: not engine.running)
    await server.chatkeep.store.release_turn(turn_id, 1, await whose(server))


async def test_a_tool_is_never_called_twice(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """When nobody knows whether it took effect, user and model are told so."""
    called: list[str] = []

    @function_tool
    async def send_mail(to: str) -> str:
        """Send a mail."""
        called.append(to)
        await asyncio.Event().wait()
        return "never"

    provider.script = lambda _: [Call("send_mail", {"to": "ann"})]
    agent = Agent(name="a", instructions="b", tools=[send_mail])
    old, new = await start_server(agent), await start_server(agent)
    client = connect(old)
    await client.call("threads.list")
    stream = client.numbered("threads.create", input=user_input("mail ann"))
    thread_id = (await anext(stream))["thread"]["id"]
    await until(lambda: called)
    assert stream.turn_id

    await vanish(old, stream.turn_id)
    await new.chatkeep._recovery.take_all()
    other = like(connect(new), client)
    rest = await all_of(other.events(stream.turn_id, stream.number))

    assert rest[-1]["type"] == "error"
    assert "unknown: send_mail" in rest[-1]["message"]
    assert (await other.turn(stream.turn_id))["state"] == "interrupted"
    provider.script = ScriptedProvider().script
    await other.say("did you?", thread_id)
    assert called == ["ann"]
    assert "took effect is unknown: send_mail" in str(provider.streamed[-1]["messages"])


async def test_a_tool_that_has_ended_is_not_called_again(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """The turn is interrupted behind it, and nothing is said to be unknown."""
    called: list[str] = []
    script = Provider()

    @function_tool
    async def send_mail(to: str) -> str:
        """Send a mail."""
        called.append(to)
        return "sent"

    def say(messages: Sequence[Message]) -> Iterable[Step]:
        if messages[-1].role == "tool":
            return script.script(messages)
        return [Call("send_mail", {"to": "ann"})]

    provider.script = say
    agent = Agent(name="a", instructions="b", tools=[send_mail])
    old, new = await start_server(agent), await start_server(agent)
    client = connect(old)
    await client.call("threads.list")
    stream = client.numbered("threads.create", input=user_input("mail ann"))
    await anext(stream)
    await until(lambda: len(provider.streamed) == 2)
    assert stream.turn_id

    await vanish(old, stream.turn_id)
    await new.chatkeep._recovery.take_all()
    rest = await all_of(like(connect(new), client).events(stream.turn_id, stream.number))

    assert rest[-1]["type"] == "error"
    assert "unknown" not in rest[-1]["message"]
    assert called == ["ann"]
