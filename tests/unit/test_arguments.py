"""The repair of a tool call's arguments."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkeep.models.arguments import repaired


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        ("  \n", {}),
        ("null", {}),
        ('{"a": 1}\n</tool_call>', {"a": 1}),
        ('{"a": 1}}', {"a": 1}),
        ('{}{"a": 1}', {"a": 1}),
        ('{"a": 1}{"a": 1}', {"a": 1}),
        ('{"a": "b"', {"a": "b"}),
        ('{"a": {"b": [1, 2]', {"a": {"b": [1, 2]}}),
        ('{"a": "}"', {"a": "}"}),
        (r'{"a": "\""', {"a": '"'}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('{"a": "b\nc"}', {"a": "b\nc"}),
        ("{'a': True, 'b': None}", {"a": True, "b": None}),
        ('"{\\"a\\": 1}"', {"a": 1}),
    ],
)
def test_what_can_be_meant_in_one_way(text: str, meant: object) -> None:
    """It is repaired."""
    found = repaired(text)
    assert found is not None
    assert json.loads(found) == meant


@pytest.mark.parametrize(
    "text",
    [
        '{"path": "/ho',
        '{"count": 1',
        '{"a": tr',
        '{"a": {',
        '{"a":',
        '{"a": 1}{"a": 2}',
        '{"a": 1]',
        "[1]",
        "5",
        '"text"',
        "look at it",
        "{'a': open('x')}",
        "[" * 50_000,
    ],
)
def test_what_is_unclear(text: str) -> None:
    """It is left to the model."""
    assert repaired(text) is None


def test_an_answer_that_was_cut_off_gets_nothing_added() -> None:
    """At the limit of tokens, a bracket that is missing may be one of many things."""
    assert repaired('{"a": "b"', cut=True) is None
    assert repaired('{"a": "b"}', cut=True) == '{"a": "b"}'


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), st.integers(0, 40))
def test_a_part_is_never_taken_for_another_whole(value: dict[str, object], cut: int) -> None:
    """What is made of a beginning has nothing in it that the whole has not."""
    text = json.dumps(value)
    assert repaired(text) == text
    found = repaired(text[: len(text) - cut]) if cut < len(text) else None
    if found is not None:
        for name, within in json.loads(found).items():
            assert name in value
            assert within == value[name] or isinstance(within, dict | list)
