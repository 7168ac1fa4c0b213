"""Models that stand in for each other, called as the Agents SDK calls them."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from agents import ModelResponse, ModelSettings
from agents.models.interface import ModelTracing
from openai.types.responses import ResponseCompletedEvent

from chatkeep.errors import ModelInterruptedError, ModelRequestError
from chatkeep.models.calls import Finish, Tokens, observer
from chatkeep.models.catalog import Catalog, ModelEntry
from chatkeep.models.choice import ModelsConfig
from chatkeep.models.guard import Deadlines
from chatkeep.models.offers import EndpointConfig, Offer
from chatkeep.models.opening import open_models
from chatkeep.models.scripted import Fail, Message, Pause, Script, Step, Text
from chatkeep.testing.provider import ScriptedProvider
from support.ports import refusing_port
from support.waiting import until

PATIENT = Deadlines(first_token=60, between=60, total=60)
CUT: list[Step] = [Text("Half an"), Fail()]

type Chain = Callable[..., ModelEntry]


class Heard:
    """An observer that notes what it is told."""

    def __init__(self) -> None:
        self.fallbacks: list[tuple[str, str, str]] = []
        self.notices: list[tuple[str, str]] = []
        self.users: list[str] = []

    def used(self, model_id: str, tokens: Tokens) -> None:
        """Note whose tokens."""
        del tokens
        self.users.append(model_id)

    def replayed(self, model_id: str) -> None:
        """Never: there is no cache here."""
        raise AssertionError(model_id)

    def ended_early(self, why: Finish) -> None:
        """Never: no limit is reached here."""
        raise AssertionError(why)

    def fell_back(self, model_id: str, to: str, why: str) -> None:
        """Note it."""
        self.fallbacks.append((model_id, to, why))

    async def notify(self, level: Literal["info", "warning", "danger"], message: str) -> None:
        """Note it."""
        self.notices.append((level, message))


@pytest.fixture
def heard() -> Iterator[Heard]:
    """The observer of the test's calls, and of no other's."""
    noted = Heard()
    token = observer.set(noted)
    yield noted
    observer.reset(token)


@pytest_asyncio.fixture
async def providers() -> AsyncIterator[list[ScriptedProvider]]:
    """Three providers, for the models `a`, `b` and `c`."""
    async with AsyncExitStack() as stack:
        started = [ScriptedProvider() for _ in range(3)]
        for each in started:
            await each.start()
            stack.push_async_callback(each.aclose)
        yield started


@pytest_asyncio.fixture
async def chain(providers: list[ScriptedProvider]) -> AsyncIterator[Chain]:
    """Open `a`, for which `b` and `c` stand in, each with its script."""
    async with AsyncExitStack() as stack:

        def make(
            *scripts: Sequence[Step] | Script,
            on_break: Literal["stop", "restart", "continue"] = "stop",
            **fields: dict[str, Any],
        ) -> ModelEntry:
            for each, script in zip(providers, scripts, strict=False):
                each.script = script if callable(script) else _always(script)
            names = "abc"[: len(scripts)]
            offers = [
                Offer(name, name, name=name, label=name.upper(), **fields.get(name, {}))
                for name in names
            ]
            offers[0] = Offer(
                "a", "a", name="a", label="A", fallback=tuple(names[1:]), **fields.get("a", {})
            )
            endpoints = {
                name: EndpointConfig("compatible", base_url=each.base_url)
                for name, each in zip(names, providers, strict=False)
            }
            catalog = _open(offers, endpoints, on_break=on_break)
            stack.push_async_callback(catalog.aclose)
            return catalog.default

        yield make


def _always(steps: Sequence[Step]) -> Script:
    return lambda _: steps


def _open(offers: Sequence[Offer], endpoints: dict[str, EndpointConfig], **fields: Any) -> Catalog:
    return open_models(
        ModelsConfig(
            data_dir=Path(),
            offered=tuple(offers),
            endpoints=endpoints,
            tour=False,
            deadlines=PATIENT,
            **fields,
        )
    )


def arguments(input: Any = "hello") -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the SDK's runner passes to a model."""
    positional = (None, input, ModelSettings(), [], None, [], ModelTracing.DISABLED)
    return positional, {"previous_response_id": None, "conversation_id": None, "prompt": None}


async def events_of(
    entry: ModelEntry, input: Any = "hello", seen: list[Any] | None = None
) -> list[Any]:
    """Return the events of a streamed answer; `seen` gets them as they come."""
    seen = [] if seen is None else seen
    positional, named = arguments(input)
    async for event in entry.model.stream_response(*positional, **named):
        seen.append(event)
    return seen


async def whole(entry: ModelEntry) -> ModelResponse:
    """Return an answer that is not streamed."""
    positional, named = arguments()
    return await entry.model.get_response(*positional, **named)


def text_of(events: Sequence[Any]) -> str:
    """Return the streamed text."""
    return "".join(e.delta for e in events if e.type == "response.output_text.delta")


async def test_the_observer_is_told_of_each_fallback(chain: Chain, heard: Heard) -> None:
    """Who failed, who was asked instead, and why in a word; the user reads nothing."""
    entry = chain([Fail(500)], [Fail(401)], [Text("Here.")])
    assert text_of(await events_of(entry)) == "Here."
    assert heard.fallbacks == [("a", "b", "unavailable"), ("b", "c", "credentials")]
    assert heard.notices == []
    assert heard.users[-1] == "c"


async def test_whole_answers_fall_back_too(chain: Chain, heard: Heard) -> None:
    """Titles and summaries are asked for without streaming."""
    entry = chain([Fail(429)], [Text("A title")])
    assert (await whole(entry)).output[0].content[0].text == "A title"  # type: ignore[union-attr]
    assert heard.fallbacks == [("a", "b", "rate_limit")]


@pytest.mark.parametrize("streamed", [True, False])
async def test_all_failing_is_the_failure_of_the_first(chain: Chain, streamed: bool) -> None:
    """Its hint is what the operator should look at."""
    entry = chain([Fail(404)], [Fail(500)])
    with pytest.raises(ModelRequestError) as caught:
        await (events_of(entry) if streamed else whole(entry))
    assert "models.endpoints.a" in (caught.value.hint or "")


async def test_nothing_listens_at_the_first(providers: list[ScriptedProvider]) -> None:
    """A refused connection is a reason like any other."""
    with refusing_port() as port:
        endpoints = {
            "a": EndpointConfig("compatible", base_url=f"http://127.0.0.1:{port}/v1"),
            "b": EndpointConfig("compatible", base_url=providers[1].base_url),
        }
        offers = [Offer("a", "a", name="a", fallback=("b",)), Offer("b", "b", name="b")]
        catalog = _open(offers, endpoints)
        for _ in range(100):
            assert text_of(await events_of(catalog.default)).startswith("You said")
        await catalog.aclose()
    assert len(providers[1].streamed) == 100


IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"}
PICTURE = [{"role": "user", "content": [{"type": "input_text", "text": "What is it?"}, IMAGE]}]


async def test_refused_images_go_to_who_takes_them(
    chain: Chain, providers: list[ScriptedProvider], heard: Heard
) -> None:
    """A model that is known to take none is passed over."""
    entry = chain([Fail(400)], [Text("No.")], [Text("A cat.")], b={"images": False})
    assert text_of(await events_of(entry, PICTURE)) == "A cat."
    assert providers[1].requests == []
    assert heard.fallbacks == [("a", "c", "refused")]


async def test_a_refusal_without_images_is_the_answer(
    chain: Chain, providers: list[ScriptedProvider]
) -> None:
    """Also when the model that refused got no images: a note stood in their place."""
    for asked, own in (("hello", {}), (PICTURE, {"images": False})):
        entry = chain([Fail(400)], [Text("No.")], a=own)
        with pytest.raises(ModelRequestError):
            await events_of(entry, asked)
    assert providers[1].requests == []


async def test_too_long_a_conversation_goes_to_who_has_room(
    chain: Chain, providers: list[ScriptedProvider]
) -> None:
    """A context that is not larger would refuse it as well."""
    sizes = {"a": {"context_tokens": 8_000}, "b": {"context_tokens": 8_000}}
    sizes["c"] = {"context_tokens": 9_000}
    entry = chain(
        [Fail(400, code="context_length_exceeded")], [Text("No.")], [Text("Yes.")], **sizes
    )
    assert text_of(await events_of(entry)) == "Yes."
    assert providers[1].requests == []


async def test_going_on_joins_both_parts_in_the_run(
    chain: Chain, providers: list[ScriptedProvider], heard: Heard
) -> None:
    """The run's response has the part and what follows, so that later calls see both."""
    entry = chain(CUT, [Text("answer"), Fail()], [Text("to all.")], on_break="continue")
    events = await events_of(entry)
    completed = [event for event in events if isinstance(event, ResponseCompletedEvent)]
    texts = [item.content[0].text for item in completed[0].response.output]  # type: ignore[union-attr]
    assert texts == ["Half an", "answer", "to all."]
    assert text_of(events) == "Half ananswerto all."
    said = [m["content"] for m in providers[2].streamed[0]["messages"] if m["role"] == "assistant"]
    assert said == ["Half an", "answer"]
    assert heard.notices == [
        ("warning", "**A** broke off in the middle of its answer. **B** goes on."),
        ("warning", "**B** broke off in the middle of its answer. **C** goes on."),
    ]
    assert heard.fallbacks == [("a", "b", "cut"), ("b", "c", "cut")]


async def test_beginning_anew_withdraws_first(chain: Chain, heard: Heard) -> None:
    """The event comes between the two answers, and only the second one is the run's."""
    events = await events_of(chain(CUT, [Text("All.")], on_break="restart"))
    kinds = [event.type for event in events]
    begins = kinds.index("chatkeep.withdrawn")
    assert text_of(events[:begins]) == "Half an"
    assert text_of(events[begins:]) == "All."
    assert [item.content[0].text for item in events[-1].response.output] == ["All."]
    assert heard.notices == [
        ("warning", "**A** broke off in the middle of its answer. **B** answers anew.")
    ]


@pytest.mark.parametrize("on_break", ["restart", "continue"])
async def test_a_break_that_nobody_mends_is_a_break(
    chain: Chain, heard: Heard, on_break: Literal["restart", "continue"]
) -> None:
    """Whatever failed before or after it: the answer that was shown was cut off."""
    entry = chain([Fail(429)], CUT, [Fail(500)], on_break=on_break)
    events: list[Any] = []
    with pytest.raises(ModelInterruptedError):
        await events_of(entry, seen=events)
    assert text_of(events) == "Half an"
    assert "chatkeep.withdrawn" not in {event.type for event in events}
    assert heard.notices == []


async def test_leaving_closes_who_answers(chain: Chain, providers: list[ScriptedProvider]) -> None:
    """A reader that leaves in the middle leaves no connection behind, and asks nobody else."""
    entry = chain([Text("one two"), Pause(600)], [Text("No.")], on_break="restart")
    positional, named = arguments()
    stream: Any = entry.model.stream_response(*positional, **named)
    async with aclosing(stream) as events:
        async for event in events:
            if event.type == "response.output_text.delta":
                break
    await until(lambda: providers[0].closed_early)
    assert providers[1].requests == []


async def test_a_fallback_is_of_one_call_only(
    chain: Chain, providers: list[ScriptedProvider]
) -> None:
    """The next call asks the chosen model again."""
    failing = [True]

    def script(_: Sequence[Message]) -> Sequence[Step]:
        return [Fail(500)] if failing else [Text("Me.")]

    entry = chain(script, [Text("Not me.")])
    assert text_of(await events_of(entry)) == "Not me."
    failing.clear()
    assert text_of(await events_of(entry)) == "Me."
    assert len(providers[1].streamed) == 1
