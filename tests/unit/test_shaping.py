"""Whatever a thread has in it, a model can be asked about it."""

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
import pytest
from agents import ModelSettings, OpenAIResponsesModel
from agents.models.chatcmpl_converter import Converter
from chatkit.types import HiddenContextItem, ThreadItem, UserMessageItem
from hypothesis import given, settings
from openai import AsyncOpenAI
from pydantic import TypeAdapter, ValidationError

from chatkeep.agent.convert import ItemConverter
from chatkeep.agent.memory import KIND
from chatkeep.agent.shaping import MAX_CALL_ID, shape
from chatkeep.agent.tools import NO_TOOLS, ToolsAtHand
from chatkeep.testing.store_samples import every_item

_ITEM: TypeAdapter[Any] = TypeAdapter(ThreadItem)
_WITH_TOOLS = ToolsAtHand(names=frozenset({"select", "find"}), choices=["select", "find"])
_MOMENT = "2026-01-01T00:00:00Z"
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # and not these six characters
_KEPT = frozenset({"type", "status", "id", "thread_id", "created_at", "mime_type", "size"})

hostile = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "\n\t",
            "\0",
            "a\0b",
            "\ud83d",
            "a\udfffb",
            "\ud83d\ude00",
            "x" * 9_000,
            "{",
            "[]",
        ]
    ),
    st.text(st.characters(), max_size=20),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | hostile,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile, inner, max_size=3),
    max_leaves=6,
)
call_ids = st.one_of(st.sampled_from(["call_0", "call_1", ""]), st.text(max_size=80))


@st.composite
def changed(draw: st.DrawFn) -> ThreadItem:
    """Return an item of any type, with texts of its own."""

    def change(value: Any, key: str = "") -> Any:
        match value:
            case dict():
                return {name: change(each, name) for name, each in value.items()}
            case list():
                return [change(each, key) for each in value]
            case str() if key not in _KEPT and draw(st.booleans()):
                return draw(hostile)
            case _:
                return value

    original = draw(st.sampled_from(every_item()))
    try:
        item: ThreadItem = _ITEM.validate_python(change(original.model_dump(mode="json")))
    except ValidationError:
        return original
    return item


@st.composite
def client_calls(draw: st.DrawFn) -> ThreadItem:
    """Return a call of a client's tool."""
    item: ThreadItem = _ITEM.validate_python(
        {
            "type": "client_tool_call",
            "id": f"tc_{draw(st.integers(0, 99))}",
            "thread_id": "thr_1",
            "created_at": _MOMENT,
            "status": draw(st.sampled_from(["pending", "completed"])),
            "call_id": draw(call_ids),
            "name": draw(st.sampled_from(["select", "gone"])),
            "arguments": draw(st.dictionaries(hostile, values, max_size=3)),
            "output": draw(values),
        }
    )
    return item


@st.composite
def server_calls(draw: st.DrawFn) -> ThreadItem:
    """Return what remembers calls, or what a later version or somebody else has made of it."""
    call = st.fixed_dictionaries(
        {
            "call_id": call_ids,
            "name": st.sampled_from(["find", "gone"]),
            "arguments": st.sampled_from(['{"a": 1}', "", "[1]", '{"a":', "[" * 5_000]) | hostile,
            "output": st.none() | hostile,
        }
    )
    content = draw(
        st.one_of(
            st.fixed_dictionaries({"kind": st.just(KIND), "calls": st.lists(call, max_size=3)}),
            st.fixed_dictionaries({"kind": st.just(KIND), "calls": values}),
            values,
        )
    )
    item_id = f"shcx_{draw(st.integers(0, 99))}"
    return HiddenContextItem(id=item_id, thread_id="t", created_at=_MOMENT, content=content)


items = st.lists(st.one_of(changed(), client_calls(), server_calls()), max_size=8)


def converted(stored: Sequence[ThreadItem], tools: ToolsAtHand) -> list[Any]:
    """Return the model input for items."""

    async def convert() -> list[Any]:
        converter = ItemConverter()
        parts = [await converter.convert(item, images=True, tools=tools) for item in stored]
        return shape(part for each in parts for part in each)

    return asyncio.run(convert())


@given(items, st.sampled_from([NO_TOOLS, _WITH_TOOLS]))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_what_is_stored_can_be_sent(stored: Sequence[ThreadItem], tools: ToolsAtHand) -> None:
    """Both converters of the SDK take it, and it keeps the rules of the strictest provider."""
    found = converted(stored, tools)

    messages: list[Any] = Converter.items_to_messages(found)
    model = OpenAIResponsesModel(model="m", openai_client=AsyncOpenAI(api_key="none"))
    request = model._build_response_create_kwargs(None, found, ModelSettings(), [], None, [])
    for sent in (messages, request["input"]):
        body = json.dumps(sent, ensure_ascii=False).encode()
        assert not _NUL.search(body)
    assert messages or not stored or all(item.type != "user_message" for item in stored)
    check_turns(found)
    check_calls(found, tools)
    assert all(str(message.get("content") or message.get("tool_calls")) for message in messages)


def check_turns(found: Sequence[dict[str, Any]]) -> None:
    """The user begins, no message is empty, and no two behind each other are of one role."""
    assert not found or found[0].get("role") == "user"
    for before, each in zip([{}, *found], found, strict=False):
        if each["type"] == "message":
            assert each["role"] != before.get("role")
            content = each["content"]
            texts = [content] if isinstance(content, str) else [p.get("text", "i") for p in content]
            assert texts
            assert all(text.strip() for text in texts)


def check_calls(found: Sequence[dict[str, Any]], tools: ToolsAtHand) -> None:
    """Each call has its output behind it, its arguments are an object, and its id is its own."""
    calls = [n for n, each in enumerate(found) if each["type"] == "function_call"]
    ids = [found[n]["call_id"] for n in calls]
    assert len(set(ids)) == len(ids)
    assert all(0 < len(each) <= MAX_CALL_ID for each in ids)
    assert tools is not NO_TOOLS or not calls
    assert sum(each["type"] == "function_call_output" for each in found) == len(calls)
    for n in calls:
        assert found[n + 1]["type"] == "function_call_output"
        assert found[n + 1]["call_id"] == found[n]["call_id"]
        assert found[n + 1]["output"].strip()
        assert isinstance(json.loads(found[n]["arguments"]), dict)


def user(text: str, **fields: Any) -> UserMessageItem:
    """Return a message of the user."""
    item: UserMessageItem = _ITEM.validate_python(
        {
            "type": "user_message",
            "id": "msg_1",
            "thread_id": "thr_1",
            "created_at": _MOMENT,
            "content": [{"type": "input_text", "text": text}],
            "inference_options": {},
        }
        | fields
    )
    return item


def assistant(text: str) -> ThreadItem:
    """Return a message of the assistant."""
    item: ThreadItem = _ITEM.validate_python(
        {
            "type": "assistant_message",
            "id": "msg_2",
            "thread_id": "thr_1",
            "created_at": _MOMENT,
            "content": [{"type": "output_text", "text": text}],
        }
    )
    return item


def test_messages_of_one_role_are_one() -> None:
    """What is told beside a message does not make two turns of it."""
    found = converted([user("one"), user("two"), assistant("three"), assistant("four")], NO_TOOLS)

    assert [(each["role"], each["content"]) for each in found] == [
        ("user", "one\n\ntwo"),
        ("assistant", "three\n\nfour"),
    ]


def test_an_empty_message_is_told_of() -> None:
    """The newest message is always there, or the model would be asked nothing."""
    assert converted([user(" ")], NO_TOOLS)[0]["content"] == "[The user sent an empty message.]"


def test_a_thread_that_the_assistant_begins() -> None:
    """Some models' templates fail when the first message is not the user's."""
    roles = [each["role"] for each in converted([assistant("Welcome!"), user("hi")], NO_TOOLS)]

    assert roles == ["user", "assistant", "user"]


@pytest.mark.parametrize("ids", [["call_0", "call_0"], ["x" * 100, "y"], ["", "z"]])
def test_ids_of_calls_are_made_unique(ids: list[str]) -> None:
    """Providers begin to count anew with every answer; an id that can be kept is kept."""
    calls: list[ThreadItem] = [
        _ITEM.validate_python(
            {
                "type": "client_tool_call",
                "id": f"tc_{number}",
                "thread_id": "thr_1",
                "created_at": _MOMENT,
                "status": "completed",
                "call_id": call_id,
                "name": "select",
                "arguments": {},
                "output": number,
            }
        )
        for number, call_id in enumerate(ids)
    ]

    found = converted([user("go"), *calls], _WITH_TOOLS)

    check_calls(found, _WITH_TOOLS)
    assert [each["output"] for each in found if "output" in each] == ["0", "1"]
    assert found[1]["call_id"] == ids[0] or not 0 < len(ids[0]) <= MAX_CALL_ID
