"""Several models behind sockets of their own: choice, retries, the breaker, fallbacks."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
from agents import Agent, function_tool

from chatkeep.models.breaker import Breaker
from chatkeep.models.scripted import Call, Fail, Message, Pause, Step, Text, Thought
from chatkeep.testing.client import Answer, ChatKitClient, ProblemResponse
from chatkeep.testing.provider import ScriptedProvider
from support.live import Connect, LiveServer, StartServer, whose
from support.waiting import until

type Offer = Callable[..., Awaitable[LiveServer]]


@pytest_asyncio.fixture
async def other() -> AsyncIterator[ScriptedProvider]:
    """A second provider."""
    scripted = ScriptedProvider(lambda _: [Text("The other answers.")])
    await scripted.start()
    yield scripted
    await scripted.aclose()


@pytest.fixture
def offer(start_server: StartServer, provider: ScriptedProvider, other: ScriptedProvider) -> Offer:
    """Start a server with the models `one` and `two`, of a provider each; `two` stands in."""

    async def start(
        agent: Agent[Any] | None = None,
        one: dict[str, Any] | None = None,
        two: dict[str, Any] | None = None,
        **settings: Any,
    ) -> LiveServer:
        first = {"id": "one", "provider": "a", "name": "m1", "fallback": ["two"]} | (one or {})
        second = {"id": "two", "provider": "b", "name": "m2", "label": "Two"} | (two or {})
        settings = {
            "models__openai_base_url": None,
            "models__offered": [first, second],
            "models__endpoints": {
                "a": {"base_url": provider.base_url},
                "b": {"base_url": other.base_url},
            },
        } | settings
        return await start_server(agent, **settings)

    return start


def in_turn(*answers: Iterable[Step]) -> Callable[[Sequence[Message]], Iterable[Step]]:
    """A script that answers the first call with the first of these, and so on; the last stays."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def breakers(server: LiveServer) -> list[Breaker]:
    """Of the endpoints, in the order of their models."""
    return [endpoint.breaker for endpoint in server.chatkeep.catalog._endpoints]


async def texts(client: ChatKitClient, answer: Answer) -> list[str]:
    """The stored messages of the assistant."""
    stored = await client.texts(answer.thread_id)
    return [text for kind, text in stored if kind == "assistant_message"]


# --- retries ------------------------------------------------------------------------------------


async def test_too_many_requests_are_waited_out(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """429, 429, 200: one answer, three calls, and never before the time that was asked for."""
    times: list[float] = []
    busy = [Fail(429, headers={"Retry-After": "0.2"})]
    script = in_turn(busy, busy, [Text("Here you are.")])

    def noting(messages: Sequence[Message]) -> Iterable[Step]:
        times.append(time.monotonic())
        return script(messages)

    provider.script = noting
    answer = await client.say("hello")

    assert answer.error is None
    assert await texts(client, answer) == ["Here you are."]
    assert len(provider.requests) == 3
    assert all(later - earlier > 0.19 for earlier, later in pairwise(times))


async def test_too_many_requests_for_ever_are_one_error(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """Three calls, one error event that can be retried; the message is kept."""
    provider.script = lambda _: [Fail(429)]
    answer = await client.say("hello")

    assert len(provider.requests) == 3
    assert [event["allow_retry"] for event in answer.of("error")] == [True]
    assert await client.texts(answer.thread_id) == [("user_message", "hello")]


@pytest.mark.parametrize("headers", [{"Retry-After": "3600"}, {"retry-after-ms": "60000"}])
async def test_nobody_waits_for_an_hour(
    client: ChatKitClient, provider: ScriptedProvider, headers: dict[str, str]
) -> None:
    """A provider that asks for more time than we have is not asked again."""
    provider.script = lambda _: [Fail(429, headers=headers)]
    assert (await client.say("hello")).error
    assert len(provider.requests) == 1


async def test_a_cut_before_the_first_word_is_asked_again(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """A connection that breaks before anything came leaves no trace."""
    provider.script = in_turn([Pause(0), Fail(502)], [Pause(0), Fail(503)], [Text("Now.")])
    answer = await client.say("hello")
    assert answer.error is None
    assert answer.streamed == "Now."


async def test_what_has_begun_is_not_asked_for_again(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """Text would come twice: the part stays, interrupted."""
    provider.script = lambda _: [Text("Half an"), Fail()]
    answer = await client.say("hello")
    assert answer.error
    assert len(provider.requests) == 1
    assert await texts(client, answer) == ["Half an"]


async def test_one_try_is_one_call(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """`models.tries` may forbid retries."""
    provider.script = lambda _: [Fail(503)]
    assert (await connect(await start_server(models__tries=1)).say("hello")).error
    assert len(provider.requests) == 1


# --- the breaker --------------------------------------------------------------------------------


async def test_a_dead_provider_is_left_alone_until_it_is_back(
    server: LiveServer, client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """Five failures, and no call more for all turns that follow; then one call is enough."""
    provider.script = lambda _: [Fail(503)]
    (breaker,) = breakers(server)
    answer = await client.say("hello")
    for _ in range(12):
        answer = await client.say("again", answer.thread_id)
        assert answer.error
    assert len(provider.requests) == 5
    assert breaker.state == "open"
    assert (await client.http.get("/health")).json()["models"] == "unavailable"
    assert (await client.http.get("/readyz")).json() == {
        "status": "ok",
        "dependencies": {"database": "ok", "files": "ok"},
    }

    breaker._clock = lambda: time.monotonic() + 11
    provider.script = lambda _: [Text("Back.")]
    answer = await client.say("and now?", answer.thread_id)
    assert answer.text == "Back."
    assert breaker.state == "closed"
    assert (await client.http.get("/health")).json()["models"] == "ok"


async def test_refusals_do_not_open_it(
    server: LiveServer, client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """429 and other 4xx come from somebody who works."""
    statuses = iter([429, 400, 401, 404, 429, 400, 422, 403])
    provider.script = lambda _: [Fail(next(statuses))]
    for _ in range(4):
        assert (await client.say("hello")).error
    assert breakers(server)[0].state == "closed"


# --- fallback -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 404, 429, 500])
async def test_another_model_answers_silently(
    offer: Offer, connect: Connect, provider: ScriptedProvider, other: ScriptedProvider, status: int
) -> None:
    """Before the first token the user notices nothing."""
    provider.script = lambda _: [Fail(status)]
    client = connect(await offer())
    answer = await client.say("hello")

    kinds = {event["type"] for event in answer.events}
    assert kinds.isdisjoint({"error", "notice", "thread.item.removed"})
    assert await texts(client, answer) == ["The other answers."]
    assert [request["model"] for request in other.streamed] == ["m2"]
    assert other.streamed[0]["messages"] == provider.streamed[0]["messages"]


async def test_a_refused_question_is_not_taken_elsewhere(
    offer: Offer, connect: Connect, provider: ScriptedProvider, other: ScriptedProvider
) -> None:
    """400 is the answer: what one provider refuses is not shown to the next."""
    provider.script = lambda _: [Fail(400)]
    assert (await connect(await offer()).say("hello")).error
    assert other.requests == []


async def test_a_silent_model_is_replaced_and_its_socket_closed(
    offer: Offer, connect: Connect, provider: ScriptedProvider
) -> None:
    """No token in time: another model answers, and the first one's connection is closed."""
    provider.script = lambda _: [Pause(600)]
    client = connect(await offer(one={"first_token_timeout": 0.2}))
    assert (await client.say("hello")).text == "The other answers."
    await until(lambda: provider.closed_early)


async def test_when_all_fail_the_chosen_one_says_why(
    offer: Offer, connect: Connect, provider: ScriptedProvider, other: ScriptedProvider
) -> None:
    """The failure of the model that the user chose is the one to read."""
    provider.script = lambda _: [Fail(429)]
    other.script = lambda _: [Fail(500)]
    error = (await connect(await offer()).say("hello")).error
    assert error
    assert "too many requests" in error["message"]


async def test_a_broken_answer_stays_by_default(
    offer: Offer, connect: Connect, provider: ScriptedProvider, other: ScriptedProvider
) -> None:
    """`stop`: the part is kept, interrupted, and can be retried."""
    provider.script = lambda _: [Text("Half an"), Fail()]
    client = connect(await offer())
    answer = await client.say("hello")
    assert answer.error
    assert answer.error["allow_retry"]
    assert await texts(client, answer) == ["Half an"]
    assert other.requests == []


async def test_a_broken_answer_is_taken_back_and_begun_anew(
    offer: Offer, connect: Connect, provider: ScriptedProvider
) -> None:
    """`restart`: thoughts and text of the first model vanish, also from what is stored."""
    provider.script = lambda _: [Thought("Let me see."), Text("Half an"), Fail()]
    client = connect(await offer(models__on_break="restart"))
    answer = await client.say("hello")
    again = await client.say("and?", answer.thread_id)

    assert answer.error is None
    assert again.error is None
    added = [event["item"]["id"] for event in answer.of("thread.item.added")]
    removed = [event["item_id"] for event in answer.of("thread.item.removed")]
    assert [notice["message"] for notice in answer.of("notice")] == [
        "**m1** broke off in the middle of its answer. **Two** answers anew."
    ]
    assert removed == added[:2]
    stored = await client.items(answer.thread_id)
    assert [item["type"] for item in stored] == ["user_message", "assistant_message"] * 2
    assert await texts(client, answer) == ["The other answers."] * 2


async def test_a_broken_answer_goes_on_with_another_model(
    offer: Offer, connect: Connect, provider: ScriptedProvider, other: ScriptedProvider
) -> None:
    """`continue`: the part is a message, what follows another one; the next turn sees both."""
    provider.script = lambda _: [Text("Once upon a"), Fail()]
    client = connect(await offer(models__on_break="continue"))
    answer = await client.say("tell me a story")

    assert answer.error is None
    assert await texts(client, answer) == ["Once upon a", "The other answers."]
    assert answer.texts == ["Once upon a", "The other answers."]
    assert [notice["message"] for notice in answer.of("notice")] == [
        "**m1** broke off in the middle of its answer. **Two** goes on."
    ]
    assert [m["role"] for m in other.streamed[0]["messages"]][-2:] == ["assistant", "user"]
    assert other.streamed[0]["messages"][-2]["content"] == "Once upon a"

    provider.script = lambda _: [Text("Yes.")]
    await client.say("again", answer.thread_id)
    said = [m["content"] for m in provider.streamed[-1]["messages"] if m["role"] == "assistant"]
    assert said == ["Once upon a\n\nThe other answers."]


@pytest.mark.parametrize("on_break", ["restart", "continue"])
async def test_a_part_stays_when_nobody_can_go_on(
    offer: Offer,
    connect: Connect,
    provider: ScriptedProvider,
    other: ScriptedProvider,
    on_break: str,
) -> None:
    """What was shown is not taken away before there is something else."""
    provider.script = lambda _: [Text("Half an"), Fail()]
    other.script = lambda _: [Fail(503)]
    client = connect(await offer(models__on_break=on_break))
    answer = await client.say("hello")
    assert answer.error
    assert "cut off" in answer.error["message"]
    assert answer.of("thread.item.removed") == []
    assert await texts(client, answer) == ["Half an"]


@pytest.mark.parametrize("on_break", ["restart", "continue"])
async def test_a_tool_runs_once_whatever_breaks_behind_it(
    offer: Offer,
    connect: Connect,
    provider: ScriptedProvider,
    other: ScriptedProvider,
    on_break: str,
) -> None:
    """One call of a model is replaced, with the tool's result in its input; the run is not."""
    sent: list[str] = []

    @function_tool
    def send(to: str) -> str:
        """Send a letter."""
        sent.append(to)
        return "sent"

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        if messages[-1].role == "tool":
            return [Text("I have"), Fail()]
        return [Text("I will."), Call("send", {"to": "Rome"})]

    provider.script = script
    agent = Agent[Any](name="a", instructions="b", tools=[send])
    client = connect(await offer(agent, models__on_break=on_break))
    answer = await client.say("write to Rome")

    assert answer.error is None
    assert sent == ["Rome"]
    assert "sent" in [m["content"] for m in other.streamed[0]["messages"] if m["role"] == "tool"]
    kept = ["I have"] if on_break == "continue" else []
    assert await texts(client, answer) == ["I will.", *kept, "The other answers."]


async def test_stopping_closes_the_model_that_stands_in(
    offer: Offer, connect: Connect, provider: ScriptedProvider, other: ScriptedProvider
) -> None:
    """Stop reaches whoever answers."""
    provider.script = lambda _: [Fail(500)]
    other.script = lambda _: [Text("word " * 50), Pause(600)]
    server = await offer()
    client = connect(server)
    asking = asyncio.create_task(client.say("hello"))
    await until(lambda: other.streamed and client.turn_id)
    await client.http.post(f"/chatkit/turns/{client.turn_id}/cancel")
    await asking
    await until(lambda: other.closed_early)
    assert other.closed_early == 1


# --- choice -------------------------------------------------------------------------------------


async def test_each_model_is_called_as_its_entry_says(
    offer: Offer, connect: Connect, provider: ScriptedProvider, other: ScriptedProvider
) -> None:
    """Settings of one model do not reach the one that stands in for it."""
    provider.script = lambda _: [Fail(500)]
    one = {"temperature": 0.25, "max_tokens": 77, "extra_body": {"top_k": 3}}
    two = {"effort": "low", "extra_body": {"mirostat": 2}}
    client = connect(await offer(one=one, two=two))
    await client.say("hello")

    first, second = provider.streamed[0], other.streamed[0]
    assert (first["temperature"], first["max_tokens"], first["top_k"]) == (0.25, 77, 3)
    assert (second["reasoning_effort"], second["mirostat"]) == ("low", 2)
    assert {"temperature", "max_tokens", "top_k"}.isdisjoint(second)
    assert {"reasoning_effort", "mirostat"}.isdisjoint(first)


async def test_only_what_is_offered_can_be_chosen(offer: Offer, connect: Connect) -> None:
    """A model for another tenant is refused, and the refusal lists what this one has."""
    server = await offer(one={"tenants": ["acme"], "fallback": []})
    client = connect(server)
    with pytest.raises(ProblemResponse) as refused:
        await client.say("hello", inference_options={"model": "one"})
    assert refused.value.status == 400
    assert refused.value.body["detail"].endswith("choose from two, tour")

    assert (await client.say("hello")).text == "The other answers."
    listed = (await client.http.get("/chatkit/models")).json()["models"]
    assert [(model["id"], model["label"], model["default"]) for model in listed] == [
        ("two", "Two", True),
        ("tour", "Tour", False),
    ]


async def test_nothing_to_choose_is_an_error_of_its_own(offer: Offer, connect: Connect) -> None:
    """A tenant without a model is told so; its message is kept."""
    nobody = {"tenants": ["acme"]}
    client = connect(await offer(one=nobody, two=nobody, models__tour=False))
    answer = await client.say("hello")
    assert answer.error
    assert "No model is offered" in answer.error["message"]
    assert len(await client.texts(answer.thread_id)) == 1


async def test_a_stored_choice_that_is_gone_gives_way(
    offer: Offer, connect: Connect, provider: ScriptedProvider, other: ScriptedProvider
) -> None:
    """A retry of a message whose model is not offered any more is answered by the default."""
    server = await offer()
    client = connect(server)
    answer = await client.say("hello", inference_options={"model": "two"})
    assert len(other.streamed) == 1
    later = await offer(one={"fallback": []}, two={"tenants": ["acme"]})
    again = connect(later)
    again.http.cookies = client.http.cookies
    stream = again.stream(
        "threads.retry_after_item", thread_id=answer.thread_id, item_id=answer.user_item
    )
    assert [event["type"] async for event in stream][-1] == "thread.item.done"
    assert (len(provider.streamed), len(other.streamed)) == (1, 1)
    assert (await whose(later)).principal == (await whose(server)).principal
