"""What a turn does, as the engine sees it; `chatkeep.protocol` has the one that there is."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from chatkit.types import ThreadStreamEvent
from pydantic import BaseModel

from chatkeep.context import RequestContext
from chatkeep.ports import Turn
from chatkeep.turns.running import RunningTurn


class Work(Protocol):
    """Makes the events of turns."""

    def context_of(self, turn: Turn) -> RequestContext:
        """Return the context of the request that a stored turn began with."""
        ...

    def answer(self, running: RunningTurn) -> AsyncGenerator[ThreadStreamEvent]:
        """Do what was asked for, and yield what readers get behind the opening events.

        When it is cancelled it finishes what it has, in the turn's draft, and raises. Whatever
        fails, apart from that, is an error event.
        """
        ...

    def give_up(
        self, running: RunningTurn, events: Sequence[dict[str, Any]]
    ) -> AsyncGenerator[ThreadStreamEvent]:
        """Finish a turn of which only the events are left, in its draft; yield what is new."""
        ...

    def failure(self, running: RunningTurn, error: Exception) -> ThreadStreamEvent:
        """Return the event that tells of a failure."""
        ...

    def encode(self, event: BaseModel) -> bytes:
        """Return an event as readers get it."""
        ...
