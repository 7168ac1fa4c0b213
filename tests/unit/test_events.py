"""Model stream → ChatKit events: ids, order, what is kept."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from agents import Agent, RawResponsesStreamEvent, RunItemStreamEvent
from agents.items import ToolCallItem
from chatkit.agents import ClientToolCall
from chatkit.types import ThreadStreamEvent
from openai.types.responses import ResponseFunctionToolCall

from chatkeep.agent.events import EventConverter

FAKE = "__fake_id__"


class Raw:
    """An event of the Responses API with the fields that a test names."""

    def __init__(self, type: str, **fields: Any) -> None:
        self.type = type
        self.__dict__.update(fields)


@pytest.fixture
def converter() -> EventConverter:
    """A converter whose ids count up: message-1, workflow-2."""
    numbers = itertools.count(1)
    return EventConverter("thr_1", lambda kind: f"{kind}-{next(numbers)}")


def feed(converter: EventConverter, *raws: Raw) -> list[ThreadStreamEvent]:
    """Return everything that comes out for these events."""
    wrapped = [RawResponsesStreamEvent(data=raw) for raw in raws]  # type: ignore[arg-type]
    return [out for event in wrapped for out in converter.convert(event)]


def message(text: str, item_id: str = FAKE) -> Iterator[Raw]:
    """The events of one streamed message, a delta a word."""
    place = {"item_id": item_id, "content_index": 0}
    yield Raw("response.output_item.added", item=Raw("message", id=item_id, content=[]))
    yield Raw("response.content_part.added", part=Raw("output_text"), **place)
    for word in text.split(" "):
        yield Raw("response.output_text.delta", delta=word, **place)
    yield Raw("response.output_text.done", text="not used", **place)
    yield Raw("response.output_item.done", item=Raw("message", id=item_id, content=[]))


def dump(events: list[ThreadStreamEvent]) -> list[dict[str, Any]]:
    """Return events as the client sees them."""
    return [event.model_dump(exclude_none=True) for event in events]


def ids(events: list[ThreadStreamEvent]) -> list[str]:
    """Return the item id of each event."""
    return [e.get("item_id") or e["item"]["id"] for e in dump(events)]


def test_every_event_of_a_message_has_the_same_id_of_ours(converter: EventConverter) -> None:
    """The provider's id reaches neither added nor updates nor done."""
    assert set(ids(feed(converter, *message("a b c")))) == {"message-1"}


def test_two_messages_under_one_provider_id_are_two_items(converter: EventConverter) -> None:
    """Chat Completions gives every message one id; each still gets its own."""
    first = feed(converter, *message("one"))
    second = feed(converter, *message("two"))

    assert (set(ids(first)), set(ids(second))) == ({"message-1"}, {"message-2"})


def test_the_stored_text_is_what_was_streamed(converter: EventConverter) -> None:
    """The done item joins the deltas, whatever the provider says at the end."""
    done = dump(feed(converter, *message("a b c")))[-1]

    assert done["type"] == "thread.item.done"
    assert done["item"]["content"][0]["text"] == "abc"
    assert done["item"]["created_at"].tzinfo is not None


def test_an_empty_message_is_taken_back(converter: EventConverter) -> None:
    """A message without text, as some providers send before a tool call, leaves nothing."""
    events = dump(feed(converter, *message("")))

    assert events[0]["type"] == "thread.item.added"
    assert events[-1]["type"] == "thread.item.removed"


def test_a_message_without_deltas_arrives_whole(converter: EventConverter) -> None:
    """A provider that sends only the finished message is understood."""
    part = Raw("output_text", text="whole")
    done = Raw("response.output_item.done", item=Raw("message", id="m", content=[part]))

    assert dump(feed(converter, done))[-1]["item"]["content"][0]["text"] == "whole"


def test_deltas_without_an_opening_open_the_message(converter: EventConverter) -> None:
    """A provider that forgets the opening events is understood."""
    delta = Raw("response.output_text.delta", item_id="m", content_index=0, delta="hi")

    assert [e["type"] for e in dump(feed(converter, delta))] == [
        "thread.item.added",
        "thread.item.updated",
        "thread.item.updated",
    ]


def test_a_refusal_is_shown_as_text(converter: EventConverter) -> None:
    """A refusal is an answer too."""
    added = Raw("response.output_item.added", item=Raw("message", id="m", content=[]))
    delta = Raw("response.refusal.delta", item_id="m", content_index=0, delta="I cannot.")
    done = Raw("response.output_item.done", item=Raw("message", id="m", content=[]))

    text = dump(feed(converter, added, delta, done))[-1]["item"]["content"][0]["text"]
    assert text == "I cannot."


def test_an_interrupted_message_keeps_its_text(converter: EventConverter) -> None:
    """Closing finishes what is open with what it has."""
    feed(converter, *list(message("half an"))[:4])

    closed = dump(list(converter.close()))
    assert closed[0]["item"]["content"][0]["text"] == "halfan"
    assert list(converter.close()) == []


@pytest.mark.parametrize("kind", ["reasoning_summary_text", "reasoning_text"])
def test_reasoning_of_either_name_is_shown(converter: EventConverter, kind: str) -> None:
    """Both ways of streaming thoughts give one workflow that ends before the answer."""
    added = Raw("response.output_item.added", item=Raw("reasoning", id=FAKE))
    place = {"item_id": FAKE, "summary_index": 0, "content_index": 0}
    deltas = [Raw(f"response.{kind}.delta", delta=word, **place) for word in ("let ", "me see")]

    events = dump(feed(converter, added, *deltas, *message("answer")))

    done = [e for e in events if e["type"] == "thread.item.done"]
    assert [e["item"]["type"] for e in done] == ["workflow", "assistant_message"]
    assert done[0]["item"]["workflow"]["tasks"][0]["content"] == "let me see"
    assert done[0]["item"]["workflow"]["summary"]["duration"] >= 0


def test_reasoning_without_a_thought_leaves_nothing(converter: EventConverter) -> None:
    """An encrypted or empty reasoning item is no empty box in the chat."""
    added = Raw("response.output_item.added", item=Raw("reasoning", id=FAKE))

    events = dump(feed(converter, added, *message("answer")))
    assert [e["type"] for e in events][:2] == ["thread.item.added", "thread.item.removed"]


def test_citations_become_annotations_at_their_place(converter: EventConverter) -> None:
    """URL and file citations are kept with the text; kinds without a source are dropped."""
    place = {"item_id": FAKE, "content_index": 0}
    citations: list[dict[str, Any]] = [
        {"type": "url_citation", "url": "https://a.example", "title": "A", "end_index": 3},
        {"type": "file_citation", "filename": "b.md", "index": 2},
        {"type": "file_path", "file_id": "x"},
    ]
    stream = list(message("text"))
    stream[3:3] = [
        Raw("response.output_text.annotation.added", annotation=c, **place) for c in citations
    ]

    content = dump(feed(converter, *stream))[-1]["item"]["content"][0]

    assert [
        a["source"].get("url", a["source"].get("filename")) for a in content["annotations"]
    ] == [
        "https://a.example",
        "b.md",
    ]
    assert [a["index"] for a in content["annotations"]] == [3, 2]


def test_a_client_tool_call_carries_its_own_call_id(converter: EventConverter) -> None:
    """Of several calls in a turn, the client's is found by name and arguments."""
    for name, call_id in (("pick", "call_1"), ("other", "call_2")):
        raw = ResponseFunctionToolCall(
            type="function_call", call_id=call_id, name=name, arguments='{"a": 1}'
        )
        item = ToolCallItem(agent=Agent(name="a"), raw_item=raw)
        list(converter.convert(RunItemStreamEvent(name="tool_called", item=item)))

    finished = dump(list(converter.finish(ClientToolCall(name="pick", arguments={"a": 1}))))

    assert finished[-1]["item"]["call_id"] == "call_1"
    assert finished[-1]["item"]["id"].startswith("tool_call-")


def test_events_do_not_change_after_they_were_made(converter: EventConverter) -> None:
    """An event that waits for its reader still says what it said when it was made."""
    added = Raw("response.output_item.added", item=Raw("reasoning", id=FAKE))
    place = {"item_id": FAKE, "summary_index": 0}
    deltas = [
        Raw("response.reasoning_summary_text.delta", delta=word * 200, **place) for word in "ab"
    ]
    events = feed(converter, added, *deltas, *message("answer"))

    opened, first, second = dump(events)[:3]
    assert opened["item"]["workflow"]["tasks"] == []
    assert first["update"]["task"]["content"] == "a" * 200
    assert second["update"]["task"]["content"] == "a" * 200 + "b" * 200
