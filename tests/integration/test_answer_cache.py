"""Answers that are given again: the same events, without a call of the provider."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from agents import Agent, ModelSettings, function_tool

from chatkeep.cache import open_cache
from chatkeep.models.cache import CachedModel
from chatkeep.models.calls import Caller, CallObserver, Tokens, caller, observer
from chatkeep.models.scripted import Call, Citation, Message, ScriptedModel, Step, Text, Thought
from chatkeep.ports import Cache
from chatkeep.testing.client import ChatKitClient
from chatkeep.testing.provider import ScriptedProvider
from support.live import Connect, StartServer
from support.ports import refusing_port
from support.valkey import ValkeyServer

_MEMORY = {"cache__url": "memory://"}
_ACME = Caller("acme")


def thoughtful(messages: Sequence[Message]) -> Iterable[Step]:
    """Think, then speak at some length."""
    return [Thought("Hm. Well."), Text(f"Answer to {messages[-1].text}: " + "and so on " * 50)]


def kinds_of(events: Sequence[Any]) -> set[tuple[str, str]]:
    """Return what kinds of events there are.

    That a part of a text is done is said by the Responses API only, and by the cache.
    """
    kinds = {
        (event["type"], event.get("item", event.get("update", {})).get("type", ""))
        for event in events
    }
    return {each for each in kinds if not each[1].endswith("content_part.done")}


async def test_an_answer_is_given_again(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """As a stream of pieces with thoughts, and items of its own; the provider is asked once."""
    provider.script = thoughtful
    client = connect(await start_server(**_MEMORY))

    first = await client.say("why?")
    second = await client.say("why?")
    other = await client.say("how?")

    assert len(provider.streamed) == 2
    assert second.text == first.text == second.streamed
    assert other.text != first.text
    assert kinds_of(second.events) == kinds_of(first.events)
    kept = [[item["id"] for item in await client.items(each.thread_id)] for each in (first, second)]
    assert not set(kept[0]) & set(kept[1])
    assert [item["type"] for item in await client.items(second.thread_id)] == [
        "user_message",
        "workflow",
        "assistant_message",
    ]


async def test_another_answer_is_another_one(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """Who asks for a new answer gets one, and it takes the old one's place in the cache."""
    count = 0

    def script(_: Sequence[Message]) -> Iterable[Step]:
        nonlocal count
        count += 1
        return [Text(f"number {count}")]

    provider.script = script
    client = connect(await start_server(**_MEMORY))
    first = await client.say("why?")

    await all_of(
        client.stream(
            "threads.retry_after_item", thread_id=first.thread_id, item_id=first.user_item
        )
    )

    assert (await client.texts(first.thread_id))[-1] == ("assistant_message", "number 2")
    assert (await client.say("why?")).text == "number 2"


async def all_of(stream: Any) -> list[Any]:
    """Return all events."""
    return [event async for event in stream]


async def test_calls_of_tools_are_not_kept(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """A tool has its effect each time that it is asked for."""
    called = 0

    @function_tool
    def count() -> str:
        """Count."""
        nonlocal called
        called += 1
        return "counted"

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        return [Text("Done.")] if messages[-1].role == "tool" else [Call("count")]

    provider.script = script
    agent = Agent(name="a", instructions="b", tools=[count])
    client = connect(await start_server(agent, **_MEMORY))

    answers = [await client.say("count") for _ in range(2)]

    assert called == 2
    assert [each.text for each in answers] == ["Done."] * 2


async def test_without_the_setting_nothing_is_kept(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """Every question is asked."""
    await client.say("why?")
    await client.say("why?")

    assert len(provider.streamed) == 2


async def test_instances_share_answers(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider, valkey: ValkeyServer
) -> None:
    """Through Redis or Valkey."""
    provider.script = thoughtful
    url = valkey.url(9)
    one, two = [connect(await start_server(cache__url=url)) for _ in range(2)]

    first = await one.say("shared?")
    second = await two.say("shared?")

    assert first.text == second.text
    assert len(provider.streamed) == 1


async def test_another_model_behind_an_id_is_asked(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider, valkey: ValkeyServer
) -> None:
    """Operators may put another model behind the id that clients choose: its answers are others."""
    for name in ("small", "large"):
        settings: dict[str, Any] = {
            "models__openai_base_url": None,
            "models__offered": [{"id": "m", "provider": "here", "name": name}],
            "models__endpoints": {"here": {"base_url": provider.base_url}},
            "cache__url": valkey.url(8),
        }
        await connect(await start_server(**settings)).say("which?")

    assert [sent["model"] for sent in provider.streamed] == ["small", "large"]


async def test_a_broken_cache_fails_no_turn(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """The provider is asked, as without one."""
    with refusing_port() as port:
        client = connect(await start_server(cache__url=f"redis://127.0.0.1:{port}"))

        answers = [await client.say("why?") for _ in range(2)]

    assert [each.error for each in answers] == [None, None]
    assert len(provider.streamed) == 2


class Notes(CallObserver):
    """Keeps what a model tells."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def used(self, model_id: str, tokens: Tokens) -> None:
        """Keep it."""
        self.told.append(f"used {model_id} {tokens.output}")

    def replayed(self, model_id: str) -> None:
        """Keep it."""
        self.told.append(f"replayed {model_id}")

    def ended_early(self, why: Any) -> None:
        """Keep it."""
        self.told.append(why)

    def fell_back(self, model_id: str, to: str, why: str) -> None:
        """Keep it."""
        self.told.append(f"{model_id} {to} {why}")

    async def notify(self, level: Any, message: str) -> None:
        """Keep it."""
        self.told.append(f"{level} {message}")


class Asking:
    """A cached model and those who ask it."""

    def __init__(self, cache: Cache | None = None) -> None:
        self.cache = cache or open_cache("memory://", max_bytes=1_000_000)
        self.asked = 0
        self.steps: list[Step] = [Text("An answer.")]
        self.tells: str | None = None

    def _script(self, _: Sequence[Message]) -> Iterable[Step]:
        self.asked += 1
        told = observer.get()
        if told is not None:
            told.used("m", Tokens(output=self.asked))
            if self.tells == "length":
                told.ended_early("length")
            if self.tells == "other":
                told.fell_back("m", "n", "gone")
        return self.steps

    async def ask(
        self, who: Caller | None = _ACME, model_id: str = "m", source: str = "", **changed: Any
    ) -> list[Any]:
        """Return the events of an answer."""
        named: dict[str, Any] = {
            "system_instructions": "Be kind.",
            "input": [{"role": "user", "content": "why?"}],
            "model_settings": ModelSettings(),
            "tools": [],
            "output_schema": None,
            "handoffs": [],
            "tracing": None,
            "previous_response_id": None,
            "conversation_id": None,
            "prompt": None,
        }
        model = CachedModel(
            ScriptedModel("m", self._script), model_id, self.cache, 60, source=source
        )
        token = caller.set(who)
        try:
            return [event async for event in model.stream_response(**named | changed)]
        finally:
            caller.reset(token)


@function_tool
def tool(value: str) -> str:
    """Do something."""
    return value


@pytest.mark.parametrize(
    "changed",
    [
        {"who": Caller("umbrella")},
        {"model_id": "n"},
        {"source": "elsewhere m"},
        {"system_instructions": "Be brief."},
        {"input": [{"role": "user", "content": "why? "}]},
        {"model_settings": ModelSettings(temperature=0.5)},
        {"tools": [tool]},
    ],
    ids=lambda changed: next(iter(changed)),
)
async def test_whatever_differs_is_another_question(changed: dict[str, Any]) -> None:
    """Not least the tenant: nobody gets what another organisation was told."""
    asking = Asking()
    await asking.ask()

    await asking.ask(**changed)
    assert asking.asked == 2
    await asking.ask()
    await asking.ask(**changed)
    assert asking.asked == 2


async def test_calls_for_nobody_are_not_kept() -> None:
    """Nor those that go on from what the provider has stored."""
    asking = Asking()
    for _ in range(2):
        await asking.ask(who=None)
        await asking.ask(previous_response_id="resp_1")

    assert asking.asked == 4


@pytest.mark.parametrize("told", ["length", "other"])
async def test_answers_that_were_cut_or_somebody_elses_are_not_kept(told: str) -> None:
    """An answer that ended early, or that a fallback gave, is not the model's own."""
    asking, notes = Asking(), Notes()
    asking.tells = told
    token = observer.set(notes)
    try:
        await asking.ask()
        await asking.ask()
    finally:
        observer.reset(token)

    assert asking.asked == 2
    assert not any("replayed" in each for each in notes.told)
    assert len(notes.told) == 4


async def test_who_observes_is_told() -> None:
    """Of what the first answer cost, and that the second one came from the cache."""
    asking, notes = Asking(), Notes()
    token = observer.set(notes)
    try:
        await asking.ask()
        assert observer.get() is notes
        await asking.ask()
    finally:
        observer.reset(token)

    assert notes.told == ["used m 1", "replayed m"]


async def test_an_answer_that_was_left_is_not_kept() -> None:
    """Who stops reading has not got all of it."""
    asking = Asking()
    asking.steps = [Text("word " * 100, gap=0.001)]
    left = asyncio.create_task(asking.ask())
    while not asking.asked:
        await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])

    await asking.ask()

    assert asking.asked == 2


async def test_sources_and_thoughts_come_again() -> None:
    """With ids and numbers of their own, and without a cost."""
    asking = Asking()
    asking.steps = [Thought("Hm."), Text("As it says."), Citation("plan.pdf")]

    first, second = await asking.ask(), await asking.ask()

    assert asking.asked == 1
    ends = [events[-1].response for events in (first, second)]
    assert ends[1].output_text == ends[0].output_text == "As it says."
    assert ends[1].usage is None
    assert not {item.id for item in ends[0].output} & {item.id for item in ends[1].output}
    noted = [e for e in second if e.type == "response.output_text.annotation.added"]
    assert [e.annotation.filename for e in noted] == ["plan.pdf"]
    thought = [e.delta for e in second if e.type == "response.reasoning_summary_text.delta"]
    assert "".join(thought) == "Hm."
    numbers = [event.sequence_number for event in second]
    assert numbers == sorted(set(numbers))


async def test_a_long_answer_comes_in_pieces() -> None:
    """None of them is long, and together they are the text."""
    asking = Asking()
    text = "word \n" * 50 + "x" * 200
    asking.steps = [Text(text)]
    await asking.ask()

    events = await asking.ask()

    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(pieces) == text
    assert len(pieces) > 5
    assert max(map(len, pieces)) < 60


async def test_what_is_no_answer_is_asked_for_again() -> None:
    """Somebody else wrote it, or another version."""
    asking = Asking()

    class Spoilt(type(asking.cache)):  # type: ignore[misc]
        """A cache that has nonsense."""

        async def get(self, key: str) -> bytes | None:
            return b"{}" if await super().get(key) else None

    asking.cache = Spoilt(1_000_000)
    await asking.ask()
    await asking.ask()

    assert asking.asked == 2
