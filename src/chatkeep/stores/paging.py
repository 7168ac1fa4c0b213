"""Keyset pages: cursors, and the checks and the assembly that all backends share."""

import base64
import binascii
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Literal, Protocol

from chatkit.types import Page

Order = Literal["asc", "desc"]
Scope = tuple[str, ...]
"""What a cursor belongs to: the kind of list, then tenant, owner and, for items, thread."""

END = 2**63 - 1
"""A position behind every row."""

_PREFIX = "after_"
_SEQ_BYTES = 8
_TAG_BYTES = 8
_LIMIT = 2**31 - 2  # with the look-ahead row still an integer to every database


class Positioned(Protocol):
    """A row of a list."""

    @property
    def seq(self) -> int:
        """The row's position."""
        ...


def make_cursor(scope: Scope, seq: int) -> str:
    """Return the cursor behind a position.

    It carries the position itself and not an id, so it stays good when the row is deleted.
    """
    raw = seq.to_bytes(_SEQ_BYTES) + _tag(scope)
    return _PREFIX + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def read_cursor(scope: Scope, text: str) -> int | None:
    """Return the position of a cursor; None if the text is not a cursor of this list."""
    if not text.startswith(_PREFIX):
        return None
    try:
        raw = base64.urlsafe_b64decode(text.removeprefix(_PREFIX).encode("ascii") + b"==")
    except (UnicodeEncodeError, binascii.Error):
        return None
    if len(raw) != _SEQ_BYTES + _TAG_BYTES or raw[_SEQ_BYTES:] != _tag(scope):
        return None
    seq = int.from_bytes(raw[:_SEQ_BYTES])
    return seq if seq <= END else None  # no position that a database could compare


def _tag(scope: Scope) -> bytes:
    # Not a secret: whoever forges one only moves within a list that is theirs. It tells cursors
    # of other lists, which are unknown here, from our own.
    return blake2b(repr(scope).encode(), digest_size=_TAG_BYTES).digest()


def check_page(limit: int, order: str) -> tuple[int, Order]:
    """Return limit and order, checked.

    Raises:
        ValueError: The limit is below 1, or the order is neither `asc` nor `desc`.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    match order:
        case "asc" | "desc":
            return min(limit, _LIMIT), order
        case _:
            raise ValueError(f"order must be asc or desc, not {order!r}")


def start_of(order: Order) -> int:
    """Return the position before the first row in this order."""
    return 0 if order == "asc" else END


def build_page[R: Positioned, T](
    rows: Sequence[R], limit: int, scope: Scope, decode: Callable[[R], T | None]
) -> Page[T]:
    """Return the page of up to `limit + 1` rows; the last one only says that there are more."""
    has_more = len(rows) > limit
    rows = rows[:limit]
    data = [value for row in rows if (value := decode(row)) is not None]
    after = make_cursor(scope, rows[-1].seq) if has_more else None
    return Page(data=data, has_more=has_more, after=after)
