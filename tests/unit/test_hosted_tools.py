"""The provider's own tools, generated images and citations, as the client sees them."""

import itertools
from typing import Any

import pytest
from agents import RawResponsesStreamEvent
from chatkit.types import ThreadStreamEvent

from chatkeep.agent.events import EventConverter


class Raw:
    """An event or item of the Responses API with the fields that a test names."""

    def __init__(self, type: str, **fields: Any) -> None:
        self.type = type
        self.__dict__.update(fields)


@pytest.fixture
def converter() -> EventConverter:
    """A converter whose ids count up."""
    numbers = itertools.count(1)
    return EventConverter("thr_1", lambda kind: f"{kind}-{next(numbers)}")


def feed(converter: EventConverter, *raws: Raw) -> list[dict[str, Any]]:
    """Return everything that comes out for these events, as the client sees it."""
    wrapped = [RawResponsesStreamEvent(data=raw) for raw in raws]  # type: ignore[arg-type]
    return dump([out for event in wrapped for out in converter.convert(event)])


def dump(events: list[ThreadStreamEvent]) -> list[dict[str, Any]]:
    """Return events as the client sees them."""
    return [event.model_dump(exclude_none=True) for event in events]


def added(item: Raw) -> Raw:
    """The event that an item begins with."""
    return Raw("response.output_item.added", item=item)


def done(item: Raw) -> Raw:
    """The event that an item ends with."""
    return Raw("response.output_item.done", item=item)


PAGES = [Raw("url", url="https://a"), Raw("url", url="javascript:x"), Raw("url", url=None)]
ITEMS = [
    (
        Raw("web_search_call", action=Raw("search", query="noon", queries=["noon"], sources=PAGES)),
        {"type": "web_search", "title_query": "noon", "queries": ["noon"]},
    ),
    (
        Raw("web_search_call", action=Raw("open_page", url="https://a")),
        {"type": "web_search", "queries": []},
    ),
    (Raw("web_search_call"), {"type": "web_search", "sources": []}),
    (
        Raw("file_search_call", results=[Raw("", filename="a.md"), Raw("", filename="a.md")]),
        {"type": "file"},
    ),
    (Raw("file_search_call", results=None), {"type": "file", "sources": []}),
    (
        Raw("code_interpreter_call", code="1 + 1"),
        {"type": "custom", "content": "```python\n1 + 1\n```"},
    ),
    (Raw("code_interpreter_call", code=None), {"type": "custom", "title": "Ran code"}),
]


@pytest.mark.parametrize(("item", "shown"), ITEMS, ids=[str(n) for n in range(len(ITEMS))])
def test_a_tool_at_work_and_done(
    converter: EventConverter, item: Raw, shown: dict[str, Any]
) -> None:
    """A task of the thoughts: loading, then complete with what is known of it."""
    item.id = "t"
    opened, begun, ended = feed(converter, added(item), done(item))
    assert opened["item"]["workflow"]["type"] == "reasoning"
    assert begun["update"]["task"]["status_indicator"] == "loading"
    task = ended["update"]["task"]
    assert task["status_indicator"] == "complete"
    assert task.items() >= shown.items()
    assert [source.get("url", "https://a") for source in task.get("sources", ())] in (
        [],
        ["https://a"],
    )
    (closed,) = dump([*converter.close()])
    assert closed["item"]["workflow"]["tasks"] == [task]


def test_a_tool_whose_end_is_not_heard_of(converter: EventConverter) -> None:
    """When the answer begins, its task is complete all the same."""
    feed(converter, added(Raw("web_search_call", id="t")))
    (closed,) = dump([*converter.end_thoughts()])
    assert closed["item"]["workflow"]["tasks"][0]["status_indicator"] == "complete"
    assert feed(converter, done(Raw("web_search_call", id="t"))) == []


def partial(data: str) -> Raw:
    """A preview of an image."""
    kind = "response.image_generation_call.partial_image"
    return Raw(kind, item_id="i", partial_image_b64=data, output_format="webp")


def test_an_image(converter: EventConverter) -> None:
    """Previews, then the image, under an id of ours."""
    events = feed(
        converter,
        added(Raw("image_generation_call", id="i")),
        partial("aGFsZg=="),
        done(Raw("image_generation_call", id="i", result="aW1hZ2U=", output_format="evil")),
    )
    opened, preview, whole = events
    assert opened["item"]["type"] == "generated_image"
    assert preview["update"]["image"]["url"] == "data:image/webp;base64,aGFsZg=="
    assert whole["item"]["image"]["url"] == "data:image/png;base64,aW1hZ2U="
    assert opened["item"]["id"] == preview["item_id"] == whole["item"]["id"] == "message-1"


@pytest.mark.parametrize("ends", [True, False])
def test_an_image_that_does_not_come(converter: EventConverter, ends: bool) -> None:
    """Its place is taken away, at its end or at that of the answer."""
    feed(converter, added(Raw("image_generation_call", id="i")))
    end = [done(Raw("image_generation_call", id="i", result=None))] if ends else []
    events = [*feed(converter, *end), *dump([*converter.close()])]
    assert [event["type"] for event in events] == ["thread.item.removed"]


def test_citations_of_chat_completions(converter: EventConverter) -> None:
    """They have no event of their own, and are shown when the text is done; others not twice."""
    place = {"item_id": "m", "content_index": 0}
    page = {"type": "url_citation", "url": "https://a", "title": "A", "end_index": 3}
    text = Raw("response.output_text.delta", delta="Yes", **place)
    cited = Raw("response.content_part.done", part=Raw("output_text", annotations=[page]), **place)
    events = feed(converter, added(Raw("message", id="m")), text, cited, cited)
    shown = [event for event in events if "annotation" in str(event.get("update", {}).get("type"))]
    assert [event["update"]["annotation"]["source"]["url"] for event in shown] == ["https://a"]
    (closed,) = dump([*converter.close()])
    assert len(closed["item"]["content"][0]["annotations"]) == 1
