"""The short way from a model to the reader of a turn.

The Agents SDK's runner queues every event of a model, without a bound and at a cost that is a
multiple of a token's own. It needs none of them but the end, with the finished items: text and
thoughts go straight to the run that the model is called in, as the few events below.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class TextDelta:
    """A piece of a text, a refusal or a thought, with the fields that the Responses API gives it.

    Attributes:
        type: Of the event.
        item_id: The message, or the item of reasoning.
        delta: The piece.
        content_index: Which part of the item.
        summary_index: Which part of a summary of thoughts; None: it is none.
    """

    type: str
    item_id: str
    delta: str
    content_index: int = 0
    summary_index: int | None = None

    def joins(self, other: "TextDelta") -> bool:
        """Whether another piece goes on where this one ends."""
        return (
            self.type == other.type
            and self.item_id == other.item_id
            and self.content_index == other.content_index
            and self.summary_index == other.summary_index
        )


@dataclass(frozen=True, slots=True)
class ItemTold:
    """An item that begins or ends: `response.output_item.added` or `.done`."""

    type: str
    item: Any


@dataclass(frozen=True, slots=True)
class AnnotationTold:
    """A source of a text."""

    item_id: str
    content_index: int
    annotation: dict[str, Any]
    type: str = "response.output_text.annotation.added"


@dataclass(frozen=True, slots=True)
class Begun:
    """What the runner sees of an answer that goes the short way, beside its end."""

    type: str = "chatkeep.begun"


type Take = Callable[[Any], Awaitable[None]]
"""Shows an event of a model; waits as long as there is no room for it."""


@dataclass(slots=True)
class Hand:
    """Hands one answer over to the run that asked for it.

    Attributes:
        take: Shows its events.
        spoken: Whether the answer itself has gone this way, and what the SDK makes of it later
            shows nothing new.
    """

    take: Take
    spoken: bool = False


class Direct:
    """Of one run: takes the answers to its own calls, and to no other.

    A tool of the run may run agents too, which inherit the context variable: what those say is
    for the tool. The run's own calls are known by the very list that is their input; a model that
    puts another list in its place has the answer go through the SDK.

    Args:
        take: Shows what comes.
    """

    def __init__(self, take: Take) -> None:
        self._take = take
        self._expected: object = None

    def expect(self, input: object) -> None:
        """Say what the input of the run's next call is."""
        self._expected = input

    def of(self, input: object) -> Hand | None:
        """Return what hands the answer to an input over; None if it goes through the SDK."""
        return Hand(self._take) if input is self._expected is not None else None


direct: ContextVar[Direct | None] = ContextVar("direct", default=None)
"""Of the run that a model is called in."""
