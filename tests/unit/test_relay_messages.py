"""What goes over the wire between instances."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkeep.relay.messages import LARGEST, Message, pack, unpack

IDS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=64)


@given(st.lists(IDS, max_size=300))
def test_ids_come_back_in_messages_that_fit(ids: list[str]) -> None:
    """Whatever the ids are, all arrive in their order, and PostgreSQL takes each message."""
    messages = list(pack("me", ids))
    assert all(len(message) <= LARGEST for message in messages)
    read = [unpack(message) for message in messages]
    assert [each for message in read if message for each in message.ids] == ids
    assert {message.sender for message in read if message} == {"me"}


def test_no_ids_are_a_message_too() -> None:
    """It goes round and comes back."""
    assert [unpack(message) for message in pack("me", ())] == [Message("me", ())]


@pytest.mark.parametrize(
    "text", ["", "1", "1 ", "2 me", "1 me\n", "1 me\na\n\nb", "1 me\nü", "1 me\n" + "x" * 8000]
)
def test_others_are_not_understood(text: str) -> None:
    """Strangers, later versions, and what was cut."""
    assert unpack(text) is None
