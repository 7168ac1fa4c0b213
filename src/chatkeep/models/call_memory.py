"""What a provider wants back with its tool calls, for as long as their turn is likely to last."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from chatkeep.models.normalising import Ending

_MAX_CALLS = 512


@dataclass(frozen=True, slots=True)
class Attached:
    """Beside a call.

    Attributes:
        extra: Of the call itself: Gemini's thought signature is in it.
        details: Of the message: OpenRouter's encrypted or signed reasoning.
    """

    extra: dict[str, Any] | None
    details: list[dict[str, Any]]


class CallMemory:
    """Bounded, and in this process only.

    Providers insist on these things within a turn, and a turn does not change processes between
    two calls of its model without being begun anew.
    """

    def __init__(self) -> None:
        self._attached: OrderedDict[str, Attached] = OrderedDict()

    def remember(self, ending: Ending) -> None:
        """Keep what came with the calls of an answer."""
        for call in ending.calls:
            if call.extra or ending.details:
                self._attached[call.id] = Attached(call.extra, ending.details)
        while len(self._attached) > _MAX_CALLS:
            self._attached.popitem(last=False)

    def of(self, call_id: str) -> Attached | None:
        """Return what came with a call."""
        return self._attached.get(call_id)
