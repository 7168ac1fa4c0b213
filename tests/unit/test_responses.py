"""The reader of Responses API streams."""

import json
from typing import Any

import pytest

from chatkeep.errors import (
    ModelError,
    ModelInterruptedError,
    ModelRateLimitError,
    ModelUnavailableError,
)
from chatkeep.models.calls import Tokens
from chatkeep.models.guard import Limits
from chatkeep.models.metering import Meter
from chatkeep.models.responses import ResponseReader
from chatkeep.models.sse import Event

USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 15,
}
MESSAGE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Yes", "annotations": []}],
}
REASONING = {"id": "r", "type": "reasoning", "summary": []}


def call(**fields: Any) -> dict[str, Any]:
    """An item that calls a tool."""
    made = {"id": "f", "type": "function_call", "name": "look", "arguments": "{}", "call_id": "c"}
    return {**made, "status": "completed", **fields}


def response(status: str, *output: Any, **fields: Any) -> dict[str, Any]:
    """A response as the API has it."""
    return {"id": "x", "object": "response", "status": status, "output": [*output], **fields}


def delta(text: Any, kind: str = "output_text") -> dict[str, Any]:
    """A piece of text."""
    return {"type": f"response.{kind}.delta", "item_id": "m", "delta": text}


def done(status: str, *output: Any, **fields: Any) -> dict[str, Any]:
    """The last event."""
    return {"type": f"response.{status}", "response": response(status, *output, **fields)}


class Read:
    """A stream, read to its end."""

    def __init__(self, *payloads: Any, limits: Limits | None = None) -> None:
        self.meter = Meter("id")
        reader = ResponseReader(self.meter, limits or Limits())
        self.events: list[Any] = []
        for payload in payloads:
            self.events += reader.feed(Event(json.dumps(payload)))
        reader.end()
        self.output = self.events[-1].response.output


def test_an_answer() -> None:
    """Pieces, and the whole at the end, with what it took."""
    read = Read(delta("Y"), delta("es"), done("completed", MESSAGE, usage=USAGE))
    assert "".join(event.delta for event in read.events[:2]) == "Yes"
    assert read.output[0].content[0].text == "Yes"
    assert read.meter.tokens == Tokens(input=10, cached=4, output=5, reasoning=3)
    assert read.meter.started


@pytest.mark.parametrize(
    ("payloads", "kind"),
    [
        ([], ModelUnavailableError),
        ([{"detail": "Not Found"}], ModelUnavailableError),
        ([[]], ModelUnavailableError),
        (
            [{"type": "response.created", "response": response("in_progress")}],
            ModelInterruptedError,
        ),
        ([delta("a")], ModelInterruptedError),
        ([delta("a"), 5], ModelInterruptedError),
        ([done("failed", error={"code": "rate_limit_exceeded"})], ModelRateLimitError),
        (
            [done("failed", error={"code": "server_error", "message": "secret"})],
            ModelUnavailableError,
        ),
        ([done("failed")], ModelUnavailableError),
        ([delta("a"), done("failed", error={"code": "server_error"})], ModelInterruptedError),
        ([{"type": "error", "code": "rate_limit_exceeded", "message": "m"}], ModelRateLimitError),
        ([{"type": "error", "error": {"type": "rate_limit_error"}}], ModelRateLimitError),
        ([{"error": {"code": 429}}], ModelRateLimitError),
        ([delta("a"), done("incomplete", MESSAGE)], ModelInterruptedError),
    ],
    ids=repr,
)
def test_answers_that_are_none(payloads: list[Any], kind: type[ModelError]) -> None:
    """Each is an error of its kind, without the provider's words."""
    with pytest.raises(ModelError) as caught:
        Read(*payloads)
    assert type(caught.value) is kind
    assert "secret" not in str(caught.value)


def test_an_answer_that_ended_early() -> None:
    """What was said is kept; a call that was cut off is not made."""
    cut = call(status="incomplete", arguments='{"a')
    why = {"incomplete_details": {"reason": "max_output_tokens"}}
    read = Read(delta("Yes"), done("incomplete", MESSAGE, cut, **why))
    assert [item.type for item in read.output] == ["message"]
    assert read.events[-1].type == "response.completed"


@pytest.mark.parametrize(
    ("reason", "words"), [("max_output_tokens", "used up"), ("content_filter", "withheld")]
)
def test_an_answer_that_ended_without_a_word(reason: str, words: str) -> None:
    """An error that says so."""
    with pytest.raises(ModelError, match=words):
        Read(done("incomplete", REASONING, incomplete_details={"reason": reason}))


def test_calls_get_names_of_their_own() -> None:
    """The same one in every event; a provider's good one is kept."""
    good = "call_AbCdEfGhIjKlMnOp"
    added = {"type": "response.output_item.added", "output_index": 0, "item": call(arguments="")}
    whole = done("completed", call(arguments='{"a": "b"'), call(id="g", call_id=good))
    read = Read(added, whole)
    first = read.events[0].item.call_id
    assert first not in ("c", "")
    assert [item.call_id for item in read.output] == [first, good]
    assert json.loads(read.output[0].arguments) == {"a": "b"}


def test_an_answer_that_did_not_stream() -> None:
    """Its items are shown all the same."""
    read = Read(response("completed", MESSAGE, usage=USAGE))
    assert [event.type for event in read.events] == [
        "response.output_item.done",
        "response.completed",
    ]


def test_halves_of_an_emoji() -> None:
    """Joined over pieces, and harmless wherever else they are."""
    odd = {**MESSAGE, "content": [{"type": "output_text", "text": "a\ud83d", "annotations": []}]}
    read = Read(delta("a\ud83d"), delta("\ude00"), done("completed", odd))
    assert [event.delta for event in read.events[:2]] == ["a", "\U0001f600"]
    assert read.output[0].content[0].text == "a\ufffd"


def test_pieces_that_are_no_text() -> None:
    """They say nothing."""
    assert Read(delta(None), done("completed", MESSAGE)).events[0].delta == ""


def test_an_answer_has_a_largest_size() -> None:
    """Thoughts count, too."""
    with pytest.raises(ModelInterruptedError, match="longer"):
        Read(*[delta("x" * 20, "reasoning_text")] * 6, limits=Limits(characters=100))
