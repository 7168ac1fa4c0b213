"""Providers through any-llm, which is not installed here: what stands in has its interface."""

import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from agents import ModelSettings
from agents.models.interface import ModelTracing
from openai.types.chat import ChatCompletionChunk

from chatkeep.agent.observing import Observing, listening
from chatkeep.agent.usage import Usage
from chatkeep.errors import ModelError, SettingsError
from chatkeep.models.choice import ModelsConfig
from chatkeep.models.opening import open_models


class UnsupportedParameterError(Exception):
    """The library has it for options that a provider's library does not know."""


class RateLimitError(Exception):
    """The library's, with what it tells."""

    def __init__(self, retry_after: str | None = None, code: str | None = None) -> None:
        super().__init__("quoted prompt")
        self.retry_after, self.code = retry_after, code


class InsufficientFundsError(Exception):
    """The library's."""


class Provider:
    """Answers as the library does: with chunks of chat completions."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.closed = 0
        self.answer: Iterable[dict[str, Any]] | Exception = ()

    async def acompletion(self, **fields: Any) -> Any:
        """Answer a request."""
        self.asked.append(fields)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self._chunks(self.answer)

    async def _chunks(self, payloads: Iterable[dict[str, Any]]) -> AsyncIterator[Any]:
        base = {"id": "x", "created": 0, "model": "m", "object": "chat.completion.chunk"}
        try:
            for payload in payloads:
                yield ChatCompletionChunk.model_validate(base | payload)
        finally:
            self.closed += 1


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Provider:
    """Install the library, whose every provider is this one."""
    provider, module = Provider(), ModuleType("any_llm")

    def create(name: str, **options: Any) -> Provider:
        assert name == "cohere"
        if "max_retries" in options:
            raise UnsupportedParameterError
        return provider

    module.AnyLLM = type("AnyLLM", (), {"create": staticmethod(create)})  # type: ignore[attr-defined]
    module.exceptions = sys.modules[__name__]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "any_llm", module)
    return provider


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """Return what a chunk has in it."""
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


async def ask(path: Path) -> list[Any]:
    """Return the events of an answer."""
    models = open_models(ModelsConfig(path, provider="any-llm", name="cohere:command-a"))
    arguments = (None, "hello", ModelSettings(), [], None, [], ModelTracing.DISABLED)
    named = {"previous_response_id": None, "conversation_id": None, "prompt": None}
    try:
        stream = models.default.model.stream_response(*arguments, **named)
        return [event async for event in stream]
    finally:
        await models.aclose()


async def test_an_answer_goes_the_way_of_all_others(library: Provider, tmp_path: Path) -> None:
    """Thoughts, text and usage."""
    counted = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}
    library.answer = [
        chunk(role="assistant", content=""),
        chunk(content="<think>Well.</think>Hel"),
        chunk(content="lo."),
        chunk("stop"),
        {"choices": [], "usage": counted},
    ]
    usage = Usage()
    with listening(Observing(usage, lambda _: None)):
        events = await ask(tmp_path)

    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == "Hello."
    assert any(event.type == "response.reasoning_summary_text.delta" for event in events)
    (spent,) = usage.spent()
    assert (spent.model, spent.input_tokens, spent.output_tokens) == ("cohere:command-a", 20, 7)
    assert library.asked[0]["model"] == "command-a"
    assert library.asked[0]["messages"][-1]["content"] == "hello"
    assert library.closed == 1


@pytest.mark.parametrize(
    ("failure", "calls", "spent"),
    [
        (RateLimitError("0"), 3, False),
        (RateLimitError("3600"), 1, False),
        (RateLimitError(code="insufficient_quota"), 1, True),
        (InsufficientFundsError("quoted prompt"), 1, True),
    ],
)
async def test_what_the_library_says_of_a_failure_is_heard(
    library: Provider, tmp_path: Path, failure: Exception, calls: int, spent: bool
) -> None:
    """How long to wait, and whether waiting helps; nothing of what the provider wrote."""
    library.answer = failure
    with pytest.raises(ModelError) as raised:
        await ask(tmp_path)
    assert len(library.asked) == calls
    assert getattr(raised.value, "spent", False) is spent
    assert "quoted" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("cohere:command-a", "install chatkeep\\[any-llm\\]"),
        ("command-a", "such as cohere:"),
        (None, "such as cohere:"),
    ],
)
def test_what_is_missing_is_named(name: str | None, remedy: str, tmp_path: Path) -> None:
    """The library, or the provider in the model's name."""
    with pytest.raises(SettingsError, match=remedy):
        open_models(ModelsConfig(data_dir=tmp_path, provider="any-llm", name=name))
