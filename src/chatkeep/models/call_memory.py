"""What is known of a provider from one call to the next.

That is what it wants back with its tool calls, for as long as their turn is likely to last, and
whether it refuses to be asked for its usage.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from chatkeep.models.normalising import Ending

_MAX_CALLS = 512
_MAX_CHARACTERS = 8_000_000


@dataclass(frozen=True, slots=True)
class Attached:
    """Beside a call.

    Attributes:
        extra: Of the call itself: Gemini's thought signature is in it.
        details: Of the message: OpenRouter's encrypted or signed reasoning.
        thoughts: Of the message.
    """

    extra: dict[str, Any] | None
    details: list[dict[str, Any]]
    thoughts: str


class CallMemory:
    """Bounded, and in this process only.

    Providers insist on these things within a turn, and a turn does not change processes between
    two calls of its model without being begun anew.

    Args:
        thoughts: Whether to keep thoughts.

    Attributes:
        refuses_usage: Whether the server knows no `stream_options`.
    """

    def __init__(self, *, thoughts: bool = False) -> None:
        self.refuses_usage = False
        self._thoughts = thoughts
        self._attached: OrderedDict[str, Attached] = OrderedDict()
        self._characters = 0

    def remember(self, ending: Ending) -> None:
        """Keep what came with the calls of an answer."""
        thoughts = ending.thoughts if self._thoughts else ""
        for call in ending.calls:
            if call.extra or ending.details or thoughts:
                attached = Attached(call.extra, ending.details, thoughts)
                self._attached[call.id] = attached
                self._characters += _size(attached)
        while len(self._attached) > _MAX_CALLS or self._characters > _MAX_CHARACTERS:
            self._characters -= _size(self._attached.popitem(last=False)[1])

    def of(self, call_id: str) -> Attached | None:
        """Return what came with a call."""
        return self._attached.get(call_id)


def _size(attached: Attached) -> int:
    return len(attached.thoughts) + len(str(attached.details)) + len(str(attached.extra))
