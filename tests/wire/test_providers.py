"""Every provider's streams, end to end: from bytes at its socket to what is shown and stored.

The files in `providers/` have the shapes that the providers' public documentation shows. Each is
played for the first and the third message of a conversation, and a plain answer between the two.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest
from agents import ModelSettings, ModelTracing
from openai import AsyncOpenAI

from chatkeep.errors import ModelError
from chatkeep.models.calls import Finish, Tokens, observer
from chatkeep.models.compatible import CompatibleModel
from chatkeep.models.guard import Deadlines
from chatkeep.models.profiles import PROFILES
from chatkeep.testing.client import Answer, ChatKitClient
from support.played import NAMES, Play, Played
from support.replay import ReplayedProvider, cases


@dataclass(frozen=True, slots=True)
class Shown:
    """What a case comes to, whatever the provider.

    Attributes:
        texts: The finished messages.
        kinds: The stored items behind the question.
        failed: Whether an error ends it, with a retry offered.
        zones: What the tool was called with.
    """

    texts: list[str]
    kinds: list[str]
    failed: bool = False
    zones: tuple[str, ...] = ()


MESSAGE = "assistant_message"
CASES = {
    "text": Shown(["Hello there. 🙂"], [MESSAGE]),
    "tool": Shown(["Let me look.", "It is noon."], [MESSAGE] * 2, zones=("UTC",)),
    "parallel": Shown(["Noon, and one."], [MESSAGE], zones=("CET", "UTC")),
    "reasoning": Shown(["Forty-two."], ["workflow", MESSAGE]),
    "refusal": Shown(["I cannot help with that."], [MESSAGE]),
    "length": Shown(["Once upon a time"], [MESSAGE]),
    "busy": Shown([], [], failed=True),
    "down": Shown([], [], failed=True),
    "error": Shown(["Half an ans"], [MESSAGE], failed=True),
    "cut": Shown(["Half an ans"], [MESSAGE], failed=True),
    "garbage": Shown([], [], failed=True),
    "search": Shown(["It is noon."], ["workflow", MESSAGE]),
    "image": Shown(["Here it is."], ["generated_image", MESSAGE]),
}
# Gemini's filter has no words of its own: the SDK's are shown.
OWN_WORDS = {("gemini", "refusal"): ["Response withheld by the provider's content filter."]}


TOKENS = {
    "openai": Tokens(input=20, cached=16, output=7, reasoning=3),
    "openrouter": Tokens(input=20, cached=16, output=7, reasoning=3),
    "gemini": Tokens(input=20, output=20, reasoning=13),
    "ollama": Tokens(input=20, output=7),
    "compatible": Tokens(input=20, cached=16, output=7),
}


def check(case: str, shown: Shown, answer: Answer) -> None:
    """Compare what was streamed with what is to be shown."""
    assert answer.texts == shown.texts, case
    assert answer.streamed == "".join(shown.texts), case
    assert bool(answer.error) == shown.failed, case
    if answer.error:
        assert answer.error["allow_retry"], case
    assert "secret" not in str(answer.events), case


async def check_turn(client: ChatKitClient, case: str, shown: Shown) -> dict[str, Any]:
    """Compare how the newest turn ended, and return what it took."""
    assert client.turn_id
    turn = await client.turn(client.turn_id)
    ended = "completed"
    if shown.failed:
        ended = "interrupted" if shown.texts else "failed"
    assert turn["state"] == ended, case
    if case == "length":
        assert turn["reason"] == "length"
    if not shown.failed:
        assert turn["usage"]["total_tokens"] > 0, case
    usage: dict[str, Any] = turn["usage"]
    return usage


async def converse(played: Played, name: str, case: str) -> None:
    """Have three turns, and compare what is stored with what was streamed."""
    shown = CASES[case]
    if words := OWN_WORDS.get((name, case)):
        shown = replace(shown, texts=words)
    client = played.client
    answers = [await client.say(f"[{case}] please")]
    await check_turn(client, case, shown)
    thread_id = answers[0].thread_id
    answers.append(await client.say("[text] please", thread_id))
    usage = await check_turn(client, "text", CASES["text"])
    took = {each: usage[f"{each}_tokens"] for each in ("input", "cached", "output", "reasoning")}
    assert Tokens(**took) == TOKENS[name], case
    answers.append(await client.say(f"[{case}] again", thread_id))
    await check_turn(client, case, shown)
    for answer, expected in zip(answers, (shown, CASES["text"], shown), strict=True):
        check(case, expected, answer)

    items = await client.items(thread_id)
    kinds = [
        kind for turn in (shown, CASES["text"], shown) for kind in ("user_message", *turn.kinds)
    ]
    assert [item["type"] for item in items] == kinds, case
    assert len({item["id"] for item in items}) == len(items), case
    done = {
        event["item"]["id"]: event["item"]
        for answer in answers
        for event in answer.of("thread.item.done")
    }
    assert {item["id"]: item for item in items} == done, case
    thoughts = [item["workflow"]["tasks"] for item in items if item["type"] == "workflow"]
    if case == "reasoning":
        assert [[task["content"] for task in tasks] for tasks in thoughts] == [
            ["Six times seven."]
        ] * 2


HEALTHY = [case for case in CASES if not CASES[case].failed]
FAILING = [case for case in CASES if CASES[case].failed]


@pytest.mark.parametrize("name", NAMES)
async def test_answers(play: Play, name: str) -> None:
    """Text, tools, thoughts, refusals, limits, at every turn of three."""
    played = await play(name)
    for case in HEALTHY:
        if case in cases(name):
            played.clock.zones.clear()
            await converse(played, name, case)
            assert sorted(played.clock.zones) == sorted(CASES[case].zones * 2), case


@pytest.mark.parametrize("name", NAMES)
async def test_failures(play: Play, name: str) -> None:
    """Refusals, errors and cuts: one error each, the partial kept, and the next turn is sound."""
    async with asyncio.TaskGroup() as group:
        for case in FAILING:
            # Servers of their own: what one does to its provider is no matter of the others.
            group.create_task(converse(await play(name), name, case))


def calls_in(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls of tools that a request tells of."""
    messages = request["messages"]
    return [call for message in messages for call in message.get("tool_calls") or ()]


async def test_what_a_provider_wants_back_with_its_calls(play: Play) -> None:
    """Gemini gets its signature, OpenRouter its details, each with the call that it came with."""
    gemini = await play("gemini")
    await gemini.client.say("[tool] please")
    (call,) = calls_in(gemini.provider.requests[1])
    assert call["extra_content"] == {"google": {"thought_signature": "c2lnbmF0dXJl0"}}
    assert gemini.provider.requests[1]["messages"][-1]["tool_call_id"] == call["id"] != ""

    router = await play("openrouter")
    await router.client.say("[tool] please")
    (said,) = [m for m in router.provider.requests[1]["messages"] if m.get("tool_calls")]
    assert [detail["data"] for detail in said["reasoning_details"]] == ["ZW5j"]
    assert router.provider.headers[0]["x-title"] == "Chatkeep"


async def test_calls_of_one_name_get_ids_of_their_own(play: Play) -> None:
    """A server that calls every call `call_0` gets them back by names that differ."""
    played = await play("compatible")
    for case in ("parallel", "tool"):
        await played.client.say(f"[{case}] please")
    ids = [call["id"] for request in played.provider.requests for call in calls_in(request)]
    assert len(set(ids)) == 3
    for request in played.provider.requests:
        outputs = [m["tool_call_id"] for m in request["messages"] if m["role"] == "tool"]
        assert outputs == [call["id"] for call in calls_in(request)]
    (bad,) = [c for c in calls_in(played.provider.requests[1]) if "UTC" in str(c["function"])]
    assert bad["function"]["arguments"] == '{"zone": "UTC"}'


class Noted:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.tokens: list[tuple[str, Tokens]] = []
        self.early: list[Finish] = []

    def used(self, model_id: str, tokens: Tokens) -> None:
        """Keep it."""
        self.tokens.append((model_id, tokens))

    def ended_early(self, why: Finish) -> None:
        """Keep it."""
        self.early.append(why)

    def replayed(self, model_id: str) -> None:
        """Never told."""
        raise NotImplementedError(model_id)

    def fell_back(self, model_id: str, to: str, why: str) -> None:
        """Never told."""
        raise NotImplementedError(model_id, to, why)

    async def notify(self, level: str, message: str) -> None:
        """Never told."""
        raise NotImplementedError(level, message)


@pytest.mark.parametrize("name", NAMES)
async def test_usage(name: str) -> None:
    """Told once for each call that was answered, also when it broke off; not of an error."""
    provider = ReplayedProvider(name)
    await provider.start()
    client = AsyncOpenAI(base_url=provider.base_url, api_key="k", max_retries=0)
    profile = PROFILES[name]

    async def prepare() -> tuple[AsyncOpenAI, str]:
        return client, "m"

    model = CompatibleModel(
        prepare,
        Deadlines(),
        responses_api=profile.responses_api,
        profile=profile,
        model_id="ours",
    )
    told: dict[str, Noted] = {}
    for case in ("text", "length", "cut", "error", "busy", "down", "garbage"):
        told[case] = Noted()
        token = observer.set(told[case])
        said: Any = [{"role": "user", "content": f"[{case}] please"}]
        arguments: list[Any] = ["", said, ModelSettings(), [], None, [], ModelTracing.DISABLED]
        with suppress(ModelError):
            async for _ in model.stream_response(
                *arguments, previous_response_id=None, conversation_id=None, prompt=None
            ):
                pass
        observer.reset(token)
    await client.close()
    await provider.aclose()

    assert told["text"].tokens == told["length"].tokens == [("ours", TOKENS[name])]
    for case in ("cut", "error"):
        ((_, tokens),) = told[case].tokens
        assert tokens.estimated
        assert tokens.input > 0 < tokens.output
    for case in ("busy", "down", "garbage"):
        assert told[case].tokens == [], case
    assert {case: noted.early for case, noted in told.items() if noted.early} == {
        "length": ["length"]
    }


@pytest.mark.parametrize("name", NAMES)
async def test_whole_answers(name: str) -> None:
    """Asked for one that is not streamed, by whichever means it comes: text, call and usage."""
    provider = ReplayedProvider(name)
    await provider.start()
    client = AsyncOpenAI(base_url=provider.base_url, api_key="k", max_retries=0)
    profile = PROFILES[name]

    async def prepare() -> tuple[AsyncOpenAI, str]:
        return client, "m"

    model = CompatibleModel(
        prepare, Deadlines(), responses_api=profile.responses_api, profile=profile
    )
    said: Any = [{"role": "user", "content": "[tool] please"}]
    arguments: list[Any] = ["", said, ModelSettings(), [], None, [], ModelTracing.DISABLED]
    answer = await model.get_response(
        *arguments, previous_response_id=None, conversation_id=None, prompt=None
    )
    await client.close()
    await provider.aclose()

    items: list[Any] = [item for item in answer.output if item.type != "reasoning"]
    assert [item.type for item in items] == ["message", "function_call"]
    assert items[0].content[0].text == "Let me look."
    assert items[1].arguments == '{"zone":"UTC"}'
    assert len(items[1].call_id) > 16
    assert answer.usage.input_tokens == 20
