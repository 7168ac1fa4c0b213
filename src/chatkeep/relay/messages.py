"""What goes over the wire: a line with version and sender, then a line for each id.

Another version, or a stranger on the channel, is not understood and not answered.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chatkeep.relay.waking import is_id

LARGEST = 7_999
"""Bytes of a message: what PostgreSQL takes in one notification."""
_VERSION = "1"


class Message(NamedTuple):
    """A message of an instance; without ids it only comes back to who sent it."""

    sender: str
    ids: tuple[str, ...]


def pack(sender: str, ids: Sequence[str]) -> Iterator[str]:
    """Yield as many messages as the ids take; for none of them, one."""
    head = f"{_VERSION} {sender}"
    lines, size = [head], len(head)
    for each in ids:
        if size + 1 + len(each) > LARGEST:
            yield "\n".join(lines)
            lines, size = [head], len(head)
        lines.append(each)
        size += 1 + len(each)
    yield "\n".join(lines)


def unpack(text: str) -> Message | None:
    """Return what a message says, or None if it is not one of ours."""
    if len(text) > LARGEST:
        return None
    head, *ids = text.split("\n")
    version, _, sender = head.partition(" ")
    if version != _VERSION or not all(map(is_id, [sender, *ids])):
        return None
    return Message(sender, tuple(ids))
