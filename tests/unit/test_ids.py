"""Identifiers: unique, not to be guessed, and sorted by birth."""

import re
import time
from typing import get_args

import pytest
from chatkit.store import StoreItemType

from chatkeep.ids import new_id, new_item_id


def test_an_id_is_a_prefix_and_36_characters() -> None:
    """Lower-case Crockford base 32, which has no i, l, o and u."""
    assert re.fullmatch(r"req_[0-9a-hjkmnp-tv-z]{36}", new_id("req"))


def test_ids_do_not_repeat() -> None:
    """100,000 ids, most of them of the same millisecond as others, are all different."""
    assert len({new_id("x") for _ in range(100_000)}) == 100_000


def test_all_of_the_128_bits_vary() -> None:
    """Every random character takes every value: no bit is constant (ASVS 11.5.1)."""
    tails = [new_id("x")[-25:] for _ in range(2_000)]
    assert all(len(set(column)) == 32 for column in zip(*tails, strict=True))


def test_a_later_id_sorts_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id of a later millisecond is greater as text."""
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    first = new_id("x")
    monkeypatch.setattr(time, "time_ns", lambda: now + 1_000_000)
    assert first < new_id("x")


def test_the_time_of_birth_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first bits are milliseconds since 1970, with room until the year 10889."""
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    for milliseconds in (0, 1, 1_800_000_000_123, 2**48 - 1):
        monkeypatch.setattr(time, "time_ns", lambda ms=milliseconds: ms * 1_000_000)
        number = 0
        for character in new_id("x").partition("_")[2]:
            number = number << 5 | alphabet.index(character)
        assert number >> 128 == milliseconds


@pytest.mark.parametrize("item_type", get_args(StoreItemType))
def test_every_kind_of_the_sdk_has_a_prefix(item_type: StoreItemType) -> None:
    """No item of the SDK is without an id, and the prefixes are those ChatKit uses."""
    prefix = new_item_id(item_type).partition("_")[0]
    expected = {
        "thread": "thr",
        "message": "msg",
        "tool_call": "tc",
        "workflow": "wf",
        "task": "tsk",
        "attachment": "atc",
        "sdk_hidden_context": "shcx",
    }
    assert prefix == expected[item_type]
