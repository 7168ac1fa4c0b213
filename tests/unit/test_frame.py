"""Payloads that differ in their text only: what is read of them is what a parser reads."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkeep.models.frame import Frame
from chatkeep.models.normalising import Normaliser


def payload(text: Any, **more: Any) -> dict[str, Any]:
    """Return one as a provider would send it; `more` is in the delta."""
    choice = {"index": 0, "delta": {"content": text, **more}, "finish_reason": None}
    return {"id": "x", "object": "chat.completion.chunk", "choices": [choice]}


def taught(*payloads: dict[str, Any], separators: tuple[str, str] = (", ", ": ")) -> Frame:
    """Return a frame that has seen payloads."""
    frame = Frame()
    for each in payloads:
        frame.learn(json.dumps(each, separators=separators), each)
    return frame


@settings(deadline=None)
@given(
    first=st.text(),
    text=st.text(),
    ascii_only=st.booleans(),
    separators=st.sampled_from([(", ", ": "), (",", ":")]),
)
def test_another_text_is_found(
    first: str, text: str, ascii_only: bool, separators: tuple[str, str]
) -> None:
    """Whatever is in it; and the normaliser makes the same of it."""
    begun, following = payload(first, role="assistant"), payload(text, role="assistant")
    frame = taught(begun, separators=separators)
    data = json.dumps(following, separators=separators, ensure_ascii=ascii_only)
    found = frame.text_of(data)
    if '"content"' not in first:
        assert found == text
    assert found in (text, None)

    parsed, told = Normaliser(), Normaliser()
    parsed.feed(begun)
    told.feed(begun)
    assert told.feed_text(text) == parsed.feed(following)
    assert (told.characters, told.started) == (parsed.characters, parsed.started)


@pytest.mark.parametrize(
    "another",
    [
        payload("a", tool_calls=[{"index": 0}]),
        payload("a", reasoning_content="why"),
        payload("a", refusal="no"),
        payload(None),
        payload(["a"]),
        {**payload("a"), "usage": {"prompt_tokens": 1}},
        {**payload("a"), "choices": []},
        {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]},
        {"choices": [{"delta": {"content": "a"}}, {"delta": {"content": "b"}}]},
        {"error": "no"},
    ],
)
def test_what_says_more_is_parsed(another: dict[str, Any]) -> None:
    """It neither becomes a frame nor fits one."""
    assert taught(another).text_of(json.dumps(another)) is None
    assert taught(payload("b")).text_of(json.dumps(another)) is None


def test_a_text_that_ends_early_does_not_fit() -> None:
    """A payload between whose quotes there is more than a text."""
    data = json.dumps(payload("one"))
    assert taught(payload("one")).text_of(data) == "one"
    for text in ('a", "refusal": "b', 'a", "tool_calls": [], "x": "', "a\\", 'a\\u12"'):
        assert taught(payload("one")).text_of(data.replace("one", text)) is None


def test_payloads_that_are_all_different_are_not_learnt_for_ever() -> None:
    """Some providers put something random into each."""
    frame = taught(*({**payload("a"), "id": f"{n}"} for n in range(20)))
    assert frame.text_of(json.dumps({**payload("b"), "id": "7"})) == "b"
    assert frame.text_of(json.dumps({**payload("b"), "id": "19"})) is None
