"""Thread items → model input: nothing raises, nothing is lost that the model needs."""

from typing import Any

import pytest
from chatkit.types import HiddenContextItem, ThreadItem, UserMessageItem
from pydantic import TypeAdapter

from chatkeep.agent.convert import MAX_CONTEXT_CHARS, ItemConverter
from chatkeep.testing.store_samples import every_item

_ITEM: TypeAdapter[Any] = TypeAdapter(ThreadItem)


def user_message(**fields: Any) -> UserMessageItem:
    """Return a user message with some fields of a test's own."""
    base = {
        "type": "user_message",
        "id": "msg_1",
        "thread_id": "thr_1",
        "created_at": "2026-01-01T00:00:00Z",
        "content": [{"type": "input_text", "text": "hello"}],
        "inference_options": {},
    }
    item: UserMessageItem = _ITEM.validate_python(base | fields)
    return item


@pytest.mark.parametrize("item", every_item(), ids=lambda item: item.type)
async def test_every_type_of_item_becomes_plain_text(item: ThreadItem) -> None:
    """Each type converts; a message's content is a string, which every provider takes."""
    converted: list[Any] = await ItemConverter().convert(item)

    assert all(
        isinstance(part["content"], str)
        for part in converted
        if part.get("type") == "message"
        and item.type in ("user_message", "assistant_message", "hidden_context_item", "widget")
    )


async def test_tags_and_attachments_are_named() -> None:
    """An @-mention and a file are told to the model with what the client said of them."""
    item = user_message(
        content=[
            {"type": "input_text", "text": "ask "},
            {"type": "input_tag", "id": "t1", "text": "Ann", "data": {"role": "boss"}},
        ],
        attachments=[
            {"type": "file", "id": "a", "name": "plan.pdf", "mime_type": "application/pdf"}
        ],
    )
    text = str(await ItemConverter().convert(item))

    assert "ask @Ann" in text
    assert "boss" in text
    assert "plan.pdf" in text


async def test_a_quotation_stays_in_later_turns() -> None:
    """What the user referred to is part of the message for ever, not only while it is newest."""
    converted: list[Any] = await ItemConverter().convert(user_message(quoted_text="this bit"))

    assert len(converted) == 1
    assert "this bit" in converted[0]["content"]


async def test_long_context_is_cut() -> None:
    """A widget or hidden item cannot fill the model's context."""
    item = HiddenContextItem(
        id="h", thread_id="t", created_at="2026-01-01T00:00:00Z", content={"x": "y" * 50_000}
    )
    converted: list[Any] = await ItemConverter().convert(item)

    assert len(converted[0]["content"]) < MAX_CONTEXT_CHARS + 500


async def test_an_item_that_cannot_be_converted_is_left_out() -> None:
    """Broken content costs that item, not the turn."""
    item = user_message()
    item.content = [None]  # type: ignore[list-item]

    assert await ItemConverter().convert(item) == []
