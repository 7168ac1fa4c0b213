"""Cursors: what a list gives, and what clients make of it."""

import pytest

from chatkeep.stores.paging import END, make_cursor, read_cursor

SCOPE = ("items", "acme", "ann", "thr_1")


@pytest.mark.parametrize("seq", [0, 1, 2**31, END])
def test_a_cursor_is_read_as_it_was_made(seq: int) -> None:
    """Up to the last position that a database can count to."""
    assert read_cursor(SCOPE, make_cursor(SCOPE, seq)) == seq


@pytest.mark.parametrize("seq", [END + 1, 2**64 - 1])
def test_a_forged_position_is_unknown(seq: int) -> None:
    """No database could compare with it."""
    assert read_cursor(SCOPE, make_cursor(SCOPE, seq)) is None


@pytest.mark.parametrize(
    "text", ["", "after_", "after_é", "after_AAAA", "msg_1", make_cursor(SCOPE, 1)[:-1]]
)
def test_anything_else_is_no_cursor(text: str) -> None:
    """It may be an id."""
    assert read_cursor(SCOPE, text) is None


def test_a_cursor_belongs_to_one_list() -> None:
    """That of another list, or of another user's, is unknown."""
    for scope in (("items", "acme", "bob", "thr_1"), ("threads", "acme", "ann"), ()):
        assert read_cursor(scope, make_cursor(SCOPE, 1)) is None
