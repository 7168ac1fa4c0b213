"""Budgets of tokens and money: what is refused, and what ends."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from agents import Agent, function_tool
from structlog.testing import capture_logs

from chatkeep import Chatkeep, load_settings
from chatkeep.auth.anonymous import TENANT
from chatkeep.models.calls import Tokens
from chatkeep.models.scripted import Call, Message, Pause, Script, Step, Text, echo
from chatkeep.testing.client import Answer, ChatKitClient, ProblemResponse, user_input
from support.live import Connect, StartServer, whose
from support.postgres import PostgresServer
from support.telling import Telling
from support.waiting import until

PRICES = '{"own/telling": {"input": 10, "cached": 1, "output": 100}}'
"""A call of a telling model takes 150 tokens, and costs 5,640 millionths."""


@function_tool
async def look(what: str) -> str:
    """Look something up."""
    return what


def agent(script: Script = echo, **fields: Any) -> Agent[Any]:
    """Return an agent that tells what it takes."""
    return Agent(name="a", instructions="b", model=Telling(script, **fields), tools=[look])


async def refused(client: ChatKitClient, type: str = "threads.create", **params: Any) -> Any:
    """Send what must be refused, and return the response."""
    if "input" not in params and type == "threads.create":
        params["input"] = user_input("one too many")
    response = await client.http.post("/chatkit", json={"type": type, "params": params})
    assert response.status_code == 429, response.text
    return response


async def test_a_budget_that_is_used_up_refuses_every_turn(
    start_server: StartServer, connect: Connect
) -> None:
    """Before the stream and with nothing stored: new, sent, repeated, edited, branched."""
    server = await start_server(agent(), budgets__user_day_tokens=200)
    client = connect(server)
    first = await client.say("one")
    answer = await client.say("two", first.thread_id)
    assert answer.error is None
    before = await client.items(first.thread_id)
    thread_id = first.thread_id
    item_id = next(item["id"] for item in before if item["type"] == "user_message")

    response = await refused(client)
    problem = response.json()
    assert problem["type"] == "urn:chatkeep:problem:budget-exceeded"
    assert (problem["budget"], problem["title"]) == ("user_day_tokens", "Budget Exceeded")
    assert problem["renewed_at"].endswith("T00:00:00+00:00")
    assert 1 <= int(response.headers["retry-after"]) <= 86_400
    assert response.headers["content-type"] == "application/problem+json"
    sent = user_input("one too many")
    for kind, params in (
        ("threads.add_user_message", {"thread_id": thread_id, "input": sent}),
        ("threads.retry_after_item", {"thread_id": thread_id, "item_id": item_id}),
        (
            "chatkeep.edit_message",
            {"thread_id": thread_id, "item_id": item_id, "input": sent},
        ),
        ("chatkeep.branch_thread", {"thread_id": thread_id, "item_id": item_id}),
    ):
        await refused(client, kind, **params)

    assert await client.items(thread_id) == before
    assert len((await client.call("threads.list"))["data"]) == 1
    assert (await connect(server).say("from somebody else")).error is None


async def test_money_is_limited_too(start_server: StartServer, connect: Connect) -> None:
    """In the currency of the settings, for the tenant; another tenant's limits are its own."""
    server = await start_server(agent(), models__prices=PRICES, budgets__tenant_month_cost="0.0057")
    for _ in range(2):
        await connect(server).say("hello")
    problem = (await refused(connect(server))).json()
    assert problem["budget"] == "tenant_month_cost"
    other = await start_server(
        agent(),
        models__prices=PRICES,
        budgets__tenant_month_cost="0.0057",
        budgets__tenants=f'{{"{TENANT}": {{"tenant_month_cost": "0.02"}}}}',
    )
    assert (await connect(other).say("hello")).error is None


async def test_a_conversation_has_a_budget(start_server: StartServer, connect: Connect) -> None:
    """Its own: the user can begin another one."""
    server = await start_server(agent(), budgets__thread_month_tokens=100)
    client = connect(server)
    thread_id = (await client.say("one")).thread_id
    sent = user_input("two")
    await refused(client, "threads.add_user_message", thread_id=thread_id, input=sent)
    assert (await client.say("elsewhere")).error is None


async def test_waiting_messages_have_put_something_aside(
    start_server: StartServer, connect: Connect
) -> None:
    """A second message that waits counts, and is answered; the third is told to come back soon."""
    gate = asyncio.Event()

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        yield Text("so ")
        while not gate.is_set():
            yield Pause(0.01)
        yield from echo(messages)

    server = await start_server(
        agent(script), turns__when_busy="queue", budgets__user_day_tokens=8_000
    )
    client = connect(server)
    running = client.stream("threads.create", input=user_input("one"))
    thread_id = (await anext(running))["thread"]["id"]
    waiting = client.stream(
        "threads.add_user_message", thread_id=thread_id, input=user_input("two")
    )
    await anext(waiting)
    response = await refused(client, "threads.create", input=user_input("three"))
    assert int(response.headers["retry-after"]) <= 30
    assert "put aside" in response.json()["detail"]
    gate.set()
    rest = [event async for event in waiting]
    assert Answer(thread_id, rest).error is None
    await server.idle()
    assert (await client.say("three", thread_id)).error is None


async def test_an_answer_ends_when_its_budget_does(
    start_server: StartServer, connect: Connect
) -> None:
    """Between two calls of the model: with a notice, what it has, and a word to the model."""
    said: list[Sequence[Message]] = []

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        said.append(messages)
        if messages[-1].text == "go on":
            return [Text("Gladly.")]
        return [Text(f"Step {len(said)}. "), Call("look", {"what": f"{len(said)}"})]

    model = agent(script, tokens=Tokens(input=3_000, output=1_000))
    server = await start_server(model, budgets__user_day_tokens=9_000)
    client = connect(server)
    answer = await client.say("look")

    assert answer.error is None
    (notice,) = answer.of("notice")
    assert notice["level"] == "warning"
    assert notice["message"].startswith("This answer ends here. There is a budget for you.")
    assert len(said) == 3
    response = await client.http.get(f"/chatkit/turns/{client.turn_id}")
    turn = response.json()
    assert (turn["state"], turn["reason"]) == ("completed", "budget")
    assert turn["usage"]["total_tokens"] == 12_000
    texts = [
        item["content"][0]["text"]
        for item in await client.items(answer.thread_id)
        if item["type"] == "assistant_message"
    ]
    assert [text.strip() for text in texts] == ["Step 1.", "Step 2.", "Step 3."]
    store, context = server.chatkeep.store, await whose(server)
    (kept,) = await store.load_spending(1, TENANT, context.principal.user, 9)
    assert kept.spent.requests == 3

    again = await start_server(model, budgets__user_day_tokens=100_000)
    other = connect(again)
    other.http.cookies.update(client.http.cookies)
    await other.say("go on", answer.thread_id)
    assert any("budget was used up" in message.text for message in said[-1])


async def test_an_answer_within_its_budget_puts_more_aside(
    start_server: StartServer, connect: Connect
) -> None:
    """As it goes on, and gives back at its end what it did not take."""
    gate = asyncio.Event()

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        if sum(message.role == "tool" for message in messages) < 2:
            return [Call("look", {"what": "x"})]
        return waits()

    def waits() -> Iterable[Step]:
        yield Text("so ")
        while not gate.is_set():
            yield Pause(0.01)

    model = agent(script, tokens=Tokens(input=3_000, output=1_000))
    server = await start_server(model, budgets__user_month_tokens=100_000)
    client = connect(server)
    events = client.stream("threads.create", input=user_input("look"))
    await anext(events)
    store, context = server.chatkeep.store, await whose(server)

    async def put_aside() -> bool:
        turn = await store.load_turn(str(client.turn_id), context)
        return turn.tokens == 8_000 + 4_000 + 4_096

    await until(put_aside)
    gate.set()
    async for _ in events:
        pass
    await server.idle()
    assert (await store.load_turn(str(client.turn_id), context)).tokens == 12_000


async def test_nothing_is_put_aside_without_budgets(
    start_server: StartServer, connect: Connect
) -> None:
    """A turn looks nothing up for what nobody asks."""
    server = await start_server(agent())
    client = connect(server)
    await client.say("one")
    spending = [row["day"] for row in await server.chatkeep.store.read_records("spending", None, 9)]
    assert len(spending) == 2
    assert 0 not in spending


async def test_fifty_at_once_exceed_a_budget_by_one_turn_at_most(
    start_server: StartServer,
    connect: Connect,
    postgres: PostgresServer,
    own_database: str,
) -> None:
    """Of a tenant's users, at two instances on PostgreSQL."""
    url = {"database__url": postgres.url(own_database), "budgets__tenant_day_tokens": 1_000}
    servers = [await start_server(agent(), **url) for _ in range(2)]
    users = [connect(server) for server in servers for _ in range(25)]

    answers = await asyncio.gather(*[user.say("me") for user in users], return_exceptions=True)
    begun = [each for each in answers if isinstance(each, Answer)]
    problems = [each for each in answers if isinstance(each, ProblemResponse)]
    assert len(begun) + len(problems) == 50
    assert {problem.status for problem in problems} == {429}
    assert begun
    assert all(answer.error is None for answer in begun)

    for _ in range(9):
        try:
            await users[0].say("and me")
        except ProblemResponse as problem:
            assert problem.status == 429  # noqa: PT017 - and it came
            break
    else:
        pytest.fail("the budget was never used up")
    (found,) = await servers[0].chatkeep.store.load_spending(1, TENANT, "", 9)
    assert 1_000 <= tokens(found.spent) < 1_000 + 150


def tokens(spent: Any) -> int:
    """Return all tokens of a sum."""
    return int(spent.input_tokens + spent.output_tokens)


async def test_a_start_warns_of_money_that_cannot_be_counted(start_server: StartServer) -> None:
    """The models' names are told; a budget of tokens needs no price."""
    with capture_logs() as logs:
        await start_server(budgets__user_day_tokens=1)
        await start_server(models__prices='{"compatible/*": {"input": 1, "output": 1}}')
    assert not [log for log in logs if "without a price" in log["event"]]
    with capture_logs() as logs:
        await start_server(budgets__user_day_cost=1)
    (warned,) = [log for log in logs if "without a price" in log["event"]]
    assert warned["models"] == ["compatible"]


def test_limits_of_a_tenant_are_on_top_of_the_usual_ones() -> None:
    """What it does not name is as usual; money is exact."""
    settings = load_settings(
        environ={},
        overrides={
            "database.url": "memory://",
            "models.provider": "scripted",
            "budgets.user_day_tokens": 5,
            "budgets.user_day_cost": "0.1",
            "budgets.tenants": {"acme": {"user_day_tokens": 0}},
        },
    )
    accounting = Chatkeep(settings=settings)._accounting
    assert [(each.name, each.limit) for each in accounting._limits.of("other")] == [
        ("user_day_tokens", 5),
        ("user_day_cost", 100_000),
    ]
    assert [(each.name, each.limit) for each in accounting._limits.of("acme")] == [
        ("user_day_tokens", 0),
        ("user_day_cost", 100_000),
    ]
