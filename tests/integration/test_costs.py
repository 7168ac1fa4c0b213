"""What answers take: with their turns, in the sums, and for operators; and answers cut short."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, Runner, function_tool
from chatkit.server import ChatKitServer
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from chatkeep.auth.anonymous import TENANT
from chatkeep.errors import LeaseLostError
from chatkeep.models.calls import Finish, Tokens
from chatkeep.models.scripted import Call, Message, Pause, ScriptedModel, Step, Text, echo
from chatkeep.testing.client import ChatKitClient, user_input
from chatkeep.testing.provider import ScriptedProvider
from chatkeep.testing.store_samples import MOMENT
from support.command import command
from support.live import Connect, StartServer, whose
from support.telling import TOKENS, Telling
from support.waiting import until

TOKEN = "0123456789abcdef0123456789abcdef"
PRICES = '{"own/telling": {"input": 10, "cached": 1, "output": 100}}'
"""A call of `TOKENS` costs 60 * 10 + 40 * 1 + 50 * 100 millionths."""

COST = 5_640


@function_tool
async def look(what: str) -> str:
    """Look something up."""
    return what


def looks(times: int) -> Any:
    """A script that calls a tool so many times, then speaks."""

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        done = sum(message.role == "tool" for message in messages)
        return [Text("Found.")] if done == times else [Call("look", {"what": f"{done}"})]

    return script


def agent(model: Telling | ScriptedModel) -> Agent[Any]:
    """Return an agent that brings its model, and a tool."""
    return Agent(name="a", instructions="b", model=model, tools=[look])


async def turn_of(client: ChatKitClient) -> dict[str, Any]:
    """Return the turn of the client's last stream."""
    response = await client.http.get(f"/chatkit/turns/{client.turn_id}")
    turn: dict[str, Any] = response.json()
    return turn


async def test_a_turn_says_what_it_took(start_server: StartServer, connect: Connect) -> None:
    """All steps together and by model, with the price of the settings, and what came instead."""
    model = Telling(looks(1), instead_of="large", notice="Another model **answers**.")
    client = connect(await start_server(agent(model), models__prices=PRICES))

    answer = await client.say("look")

    turn = await turn_of(client)
    took = {
        "requests": 2,
        "input_tokens": 200,
        "cached_tokens": 80,
        "reasoning_tokens": 20,
        "output_tokens": 100,
        "total_tokens": 300,
        "cost": "0.01128",
    }
    fallback = {"model": "large", "to": "telling", "why": "timeout"}
    assert turn["usage"] == {
        **took,
        "currency": "USD",
        "models": {"telling": took},
        "fallbacks": [fallback, fallback],
        "cached": 0,
    }
    assert (turn["state"], turn["reason"]) == ("completed", None)
    notices = [event["message"] for event in answer.of("notice")]
    assert notices == ["Another model **answers**."] * 2


async def test_a_model_that_tells_nothing_is_counted_too(
    start_server: StartServer, connect: Connect
) -> None:
    """Once for each step, by what the Agents SDK knows; its price is not known, so no cost."""
    client = connect(await start_server(agent(ScriptedModel("mine", looks(1)))))
    await client.say("look")
    usage = (await turn_of(client))["usage"]
    assert usage["requests"] == 2
    assert usage["output_tokens"] > 0
    assert usage["cost"] is None
    assert list(usage["models"]) == ["ScriptedModel"]


@pytest.mark.parametrize(
    ("early", "notice"),
    [
        ("length", "The answer was cut off at the model's length limit."),
        ("content_filter", "The provider's filter stopped this answer."),
    ],
)
async def test_an_answer_that_ends_early_says_why(
    start_server: StartServer, connect: Connect, early: Finish, notice: str
) -> None:
    """The turn is complete, its reason says how; the user is told, and the model afterwards."""
    model = Telling(echo, early=early)
    client = connect(await start_server(agent(model)))
    seen: list[Sequence[Message]] = []

    answer = await client.say("hello")
    model.script = lambda messages: (seen.append(messages), echo(messages))[1]
    await client.say("again", answer.thread_id)

    assert [(event["level"], event["message"]) for event in answer.of("notice")] == [
        ("warning", notice)
    ]
    assert "hello" in answer.text
    turn = await turn_of(client)
    assert (turn["state"], turn["reason"]) == ("completed", early)
    told = "cut off" if early == "length" else "filter"
    assert any(told in message.text for message in seen[0])
    kinds = [item["type"] for item in await client.items(answer.thread_id)]
    assert kinds == ["user_message", "assistant_message"] * 2


async def test_a_step_that_ends_early_is_not_the_answer_that_does(
    start_server: StartServer, connect: Connect
) -> None:
    """Where the run went on behind it, all was said."""
    model = Telling(early="length")

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        model.early = None if messages[-1].role == "tool" else "length"
        return looks(1)(messages)

    model.script = script
    client = connect(await start_server(agent(model)))
    answer = await client.say("look")
    assert (await turn_of(client))["reason"] is None
    assert answer.of("notice") == []


class Hosted(ChatKitServer[Any]):
    """A server of somebody else's that asks one of our models."""

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answer with a run of its own."""
        del input_user_message, context
        model = Telling(early="length", notice="by the way")
        run = Runner.run_streamed(Agent(name="a", model=model), "hello")
        async for _ in run.stream_events():
            pass
        content = [AssistantMessageContent(text=str(run.final_output))]
        yield ThreadItemDoneEvent(
            item=AssistantMessageItem(
                id="msg_answer", thread_id=thread.id, created_at=MOMENT, content=content
            )
        )


async def test_models_that_a_hosted_server_asks_are_counted(
    start_server: StartServer, connect: Connect
) -> None:
    """And what they tell is told."""
    client = connect(await start_server(server=Hosted, models__prices=PRICES))
    answer = await client.say("hello")
    turn = await turn_of(client)
    assert turn["usage"]["cost"] == "0.00564"
    assert turn["reason"] == "length"
    assert [event["message"] for event in answer.of("notice")] == [
        "by the way",
        "The answer was cut off at the model's length limit.",
    ]


async def test_operators_see_the_sums(
    start_server: StartServer,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of tenants, users and models, by a command and over HTTP."""
    server = await start_server(agent(Telling()), models__prices=PRICES, admin__token=TOKEN)
    for _ in range(2):
        client = connect(server)
        await client.say("hello")
    await client.say("hello")
    users = [user.user for user in await server.chatkeep.store.load_users(None, None, 9)]

    async def listed(status: int = 200, token: str = TOKEN, **query: str) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        response = await client.http.get("/admin/usage", params=query, headers=headers)
        assert response.status_code == status, response.text
        return response.json().get("data")

    whole = {
        "tenant": TENANT,
        "user": None,
        "model": "telling",
        "requests": 3,
        "input_tokens": 300,
        "cached_tokens": 120,
        "output_tokens": 150,
        "reasoning_tokens": 30,
        "unpriced": 0,
        "total_tokens": 450,
        "cost": "0.01692",
        "currency": "USD",
    }
    assert await listed() == [whole]
    assert await listed(model="telling", days="1") == [whole]
    assert await listed(model="other") == []
    by_user = await listed(tenant=TENANT)
    assert by_user[0] == whole
    assert sorted(row["user"] for row in by_user[1:]) == users
    assert await listed(tenant=TENANT, user=users[0]) == [by_user[1]]
    for wrong in ({"user": "ann"}, {"days": "0"}, {"days": "x"}, {"days": "9999999999"}):
        await listed(400, **wrong)
    await listed(401, token="no")

    monkeypatch.setenv("CHATKEEP_DATA_DIR", str(tmp_path / "data"))
    shown = await asyncio.to_thread(command, "usage", "--tenant", TENANT, "--json")
    assert [json.loads(line) for line in shown.stdout.splitlines()] == by_user
    table = await asyncio.to_thread(command, "usage", "--days", "2")
    heading, row = table.stdout.splitlines()
    assert heading.split()[:4] == ["tenant", "user", "model", "requests"]
    assert row.split() == f"{TENANT} (all) telling 3 300 120 150 0.01692 USD".split()
    none = await asyncio.to_thread(command, "usage", "--tenant", "nobody")
    assert none.stdout.strip() == "Nothing was spent."
    wrong_use = await asyncio.to_thread(command, "usage", "--user", "ann")
    assert wrong_use.exit_code == 2


async def test_what_an_instance_had_used_is_counted_when_it_is_gone(
    start_server: StartServer, connect: Connect
) -> None:
    """Whoever takes its turn over ends it with what was used until then, once."""

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        if messages[-1].role == "tool":
            return [Text("so "), Pause(3600)]
        return [Call("look", {"what": "x"})]

    old = await start_server(agent(Telling(script)), models__prices=PRICES)
    client = connect(old)
    events = client.stream("threads.create", input=user_input("look"))
    await anext(events)
    turn_id, store = str(client.turn_id), old.chatkeep.store
    context = await whose(old)

    async def kept() -> bool:
        turn = await store.load_turn(turn_id, context)
        return turn.usage is not None and turn.touched

    await until(kept)
    new = await start_server(agent(Telling(script)), models__prices=PRICES)

    async def ended() -> bool:
        # The old instance is alive, and may renew its lease in between.
        with suppress(LeaseLostError):
            await store.release_turn(turn_id, 1, context)
        await new.chatkeep._recovery.take_all()
        return (await store.load_turn(turn_id, context)).ended_at is not None

    await until(ended)
    await old.idle()
    turn = await store.load_turn(turn_id, context)
    assert (turn.state, turn.tokens, turn.cost) == ("interrupted", 150, COST)
    (found,) = await store.load_spending(1, TENANT, context.principal.user, 9)
    assert (found.spent.requests, found.spent.cost) == (1, COST)


async def test_titles_are_counted_with_the_answer(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """By the model that the user chose; nothing of them is told as of the answer."""
    client = connect(await start_server(models__titles="model"))
    answer = await client.say("hello")
    usage = (await turn_of(client))["usage"]
    assert answer.error is None
    assert 1 <= usage["requests"] <= len(provider.requests)


def test_tokens_are_as_they_are() -> None:
    """The figures above are of these."""
    assert Tokens(input=100, cached=40, output=50, reasoning=10) == TOKENS
