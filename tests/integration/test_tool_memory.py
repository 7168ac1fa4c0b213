"""Calls of the server's tools are remembered: by the model in the next turns, by nobody else."""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from agents import Agent, function_tool
from chatkit.types import HiddenContextItem

from chatkeep.agent.memory import KIND
from chatkeep.models.scripted import Call, Fail, Message, ScriptedModel, Step, Text
from chatkeep.testing.client import ChatKitClient, user_input
from chatkeep.testing.provider import ScriptedProvider
from support.live import Connect, LiveServer, StartServer, whose
from support.waiting import until

type Answer = Callable[[Sequence[Message]], Iterable[Step]]


@function_tool
async def weather(city: str) -> str:
    """Tell the weather."""
    return f"Zephyrs over {city}"


def asks_the_tool(behind: Answer) -> Answer:
    """A script that says something, calls the tool for a question about weather, and goes on."""

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        if "weather" in messages[-1].text and messages[-1].role == "user":
            return [Text("Let me look."), Call("weather", {"city": "Rome"})]
        return behind(messages)

    return script


def with_tool() -> Agent[Any]:
    """Return an agent that has the tool."""
    return Agent(name="a", instructions="b", tools=[weather])


def in_short(message: dict[str, Any]) -> tuple[str, Any]:
    """Return the role of a message and what it is about."""
    calls = message.get("tool_calls")
    return message["role"], calls[0]["function"]["name"] if calls else message["content"]


async def hidden_items(server: LiveServer) -> list[HiddenContextItem]:
    """Return the hidden items of the only thread of the only user."""
    store, context = server.chatkeep.store, await whose(server)
    threads = await store.load_threads(1, None, "desc", context)
    page = await store.load_thread_items(threads.data[0].id, None, 100, "asc", context)
    return [item for item in page.data if isinstance(item, HiddenContextItem)]


async def test_three_turns_with_a_tool(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """Text, call, output, text: each later turn has them in that order, with ids that agree."""
    provider.script = asks_the_tool(lambda messages: [Text(f"Answer {len(messages)}.")])
    client = connect(await start_server(with_tool()))

    first = await client.say("the weather?")
    await client.say("more", first.thread_id)
    await client.say("the weather again?", first.thread_id)
    await client.say("thanks", first.thread_id)

    sent = provider.streamed[-1]["messages"]
    assert [in_short(message) for message in sent[1:]] == [
        ("user", "the weather?"),
        ("assistant", "Let me look."),
        ("assistant", "weather"),
        ("tool", "Zephyrs over Rome"),
        ("assistant", "Answer 4."),
        ("user", "more"),
        ("assistant", "Answer 7."),
        ("user", "the weather again?"),
        ("assistant", "Let me look."),
        ("assistant", "weather"),
        ("tool", "Zephyrs over Rome"),
        ("assistant", "Answer 11."),
        ("user", "thanks"),
    ]
    calls = [each["tool_calls"][0] for each in sent if each.get("tool_calls")]
    assert [json.loads(each["function"]["arguments"]) for each in calls] == [{"city": "Rome"}] * 2
    told = [each["tool_call_id"] for each in sent if each["role"] == "tool"]
    assert [each["id"] for each in calls] == told
    assert len(set(told)) == 2


async def test_no_client_gets_to_see_them(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """Streams, lists, exports, shares, branches and searches know nothing of the output."""
    provider.script = asks_the_tool(lambda _: [Text("Fine.")])
    server = await start_server(with_tool())
    client = connect(server)

    first = await client.say("the weather?")
    second = await client.say("and now?", first.thread_id)
    branched = client.stream(
        "chatkeep.branch_thread", thread_id=first.thread_id, item_id=second.user_item
    )
    shown: list[Any] = [first.events, second.events, [event async for event in branched]]
    shown.append(await client.items(first.thread_id))
    shown.append(await client.call("threads.get_by_id", thread_id=first.thread_id))
    thread = f"/chatkit/threads/{first.thread_id}"
    share = (await client.http.post(f"{thread}/shares", json={})).json()["url"]
    paths = [f"{thread}/export", f"{thread}/export?format=markdown", "/chatkit/export"]
    shown += [(await client.http.get(path)).text for path in (*paths, share, f"{share}.json")]
    found = await client.http.get("/chatkit/search", params={"q": "zephyrs"})

    (kept,) = [item for item in await hidden_items(server) if item.content["kind"] == KIND]
    assert kept.content["calls"][0]["output"] == "Zephyrs over Rome"
    assert found.json()["data"] == []
    for each in shown:
        assert "Fine." in str(each) or "the weather" in str(each)
        assert "Zephyrs" not in str(each)
        assert KIND not in str(each)


async def test_a_branch_remembers(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """Its copies have ids of their own, and calls and outputs that belong together."""
    provider.script = asks_the_tool(lambda _: [Text("Fine.")])
    client = connect(await start_server(with_tool()))
    first = await client.say("the weather?")
    second = await client.say("and now?", first.thread_id)

    branched = client.stream(
        "chatkeep.branch_thread", thread_id=first.thread_id, item_id=second.user_item
    )
    assert [event async for event in branched]

    sent = provider.streamed[-1]["messages"]
    (call,) = [each["tool_calls"][0] for each in sent if each.get("tool_calls")]
    assert [each["tool_call_id"] for each in sent if each["role"] == "tool"] == [call["id"]]


async def test_a_turn_that_failed_behind_a_call_remembers_it(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """The tool took effect, whatever the provider did then."""
    provider.script = asks_the_tool(lambda _: [Fail(500)])
    client = connect(await start_server(with_tool()))

    failed = await client.say("the weather?")
    assert failed.error
    provider.script = ScriptedProvider().script
    await client.say("so?", failed.thread_id)

    sent = [in_short(message) for message in provider.streamed[-1]["messages"][1:]]
    assert sent == [
        ("user", "the weather?"),
        ("assistant", "Let me look."),
        ("assistant", "weather"),
        ("tool", "Zephyrs over Rome"),
        ("user", "so?"),
    ]


async def stopped_behind(client: ChatKitClient, server: LiveServer, when: Any) -> str:
    """Ask for the weather, stop the turn when something has happened, return the thread."""
    stream = client.numbered("threads.create", input=user_input("the weather?"))
    thread_id: str = (await anext(stream))["thread"]["id"]
    reading = asyncio.create_task(_all(stream))
    await until(when)
    assert stream.turn_id
    await client.cancel(stream.turn_id)
    await reading
    await server.idle()
    return thread_id


async def _all(stream: Any) -> list[Any]:
    return [event async for event in stream]


async def test_a_turn_stopped_behind_a_call_remembers_it(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """Also when nothing had been said behind it."""
    asked = asyncio.Event()

    def hang(_: Sequence[Message]) -> Iterable[Step]:
        asked.set()
        return [Text("word " * 20_000, gap=0.02)]

    provider.script = asks_the_tool(hang)
    server = await start_server(with_tool())
    client = connect(server)

    thread_id = await stopped_behind(client, server, asked.is_set)
    provider.script = ScriptedProvider().script
    await client.say("so?", thread_id)

    sent = [in_short(message) for message in provider.streamed[-1]["messages"]]
    assert ("tool", "Zephyrs over Rome") in sent
    assert "The user stopped" in sent[-1][1]


async def test_a_call_that_a_stop_cut_off_is_told_as_unknown(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """There is no output to go with it, so it is told in words; a call alone would be refused."""
    begun = asyncio.Event()

    @function_tool(name_override="weather")
    async def slow(city: str) -> str:
        """Take for ever."""
        begun.set()
        await asyncio.Event().wait()
        return city

    provider.script = asks_the_tool(lambda _: [Text("Fine.")])
    server = await start_server(Agent(name="a", instructions="b", tools=[slow]))
    client = connect(server)

    thread_id = await stopped_behind(client, server, begun.is_set)
    provider.script = ScriptedProvider().script
    await client.say("so?", thread_id)

    sent = provider.streamed[-1]["messages"]
    assert not any(each.get("tool_calls") or each["role"] == "tool" for each in sent)
    assert "The tool weather was called. Whether this took effect is unknown." in str(sent)


async def test_a_turn_that_is_taken_over_behind_a_call_remembers_it(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """What a tool returned is stored before the model has answered, though no event says so."""
    provider.script = asks_the_tool(lambda _: [Text("word " * 20_000, gap=0.02)])
    old, new = await start_server(with_tool()), await start_server(with_tool())
    client = connect(old)
    stream = client.numbered("threads.create", input=user_input("the weather?"))
    thread_id = (await anext(stream))["thread"]["id"]
    await until(lambda: hidden_items(old))
    assert stream.turn_id
    running = old.chatkeep.engine.find(stream.turn_id)
    assert running
    assert running.task

    old.chatkeep.engine.draining.set()
    running.task.cancel()  # the instance is gone without a word
    await until(lambda: not old.chatkeep.engine.running)
    await old.chatkeep.store.release_turn(stream.turn_id, 1, await whose(old))
    await new.chatkeep._recovery.take_all()
    await new.idle()
    provider.script = ScriptedProvider().script
    other = connect(new)
    other.http.cookies = client.http.cookies
    await other.say("so?", thread_id)

    sent = [in_short(message) for message in provider.streamed[-1]["messages"]]
    assert ("tool", "Zephyrs over Rome") in sent
    assert "unknown" not in str(sent)


async def test_an_agent_without_the_tool_is_told_in_words(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """Providers refuse calls in the input of a request that has no tools."""
    provider.script = asks_the_tool(lambda _: [Text("Fine.")])
    client = connect(await start_server(with_tool()))
    first = await client.say("the weather?")

    other = connect(await start_server(Agent(name="a", instructions="b")))
    other.http.cookies = client.http.cookies
    await other.say("so?", first.thread_id)

    sent = provider.streamed[-1]
    assert "tools" not in sent
    assert {each["role"] for each in sent["messages"]} == {"system", "user", "assistant"}
    assert "Zephyrs over Rome" in str(sent["messages"])


async def test_parallel_calls_are_kept_together(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """One item for a step, whatever ids the model gives, with the outputs where they belong."""

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        if messages[-1].role == "tool":
            return [Text("Fine.")]
        return [Call("weather", {"city": "Rome"}), Call("weather", {"city": "Oslo"})]

    agent = with_tool()
    agent.model = ScriptedModel("own", script)
    server = await start_server(agent)
    client = connect(server)

    await client.say("both?")

    (item,) = await hidden_items(server)
    assert [(call["arguments"], call["output"]) for call in item.content["calls"]] == [
        ('{"city": "Rome"}', "Zephyrs over Rome"),
        ('{"city": "Oslo"}', "Zephyrs over Oslo"),
    ]
    assert provider.streamed == []
