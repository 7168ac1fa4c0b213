"""The end of the short way: what a model says, as the events of a turn.

A piece that goes on with an open text is written to where the turn is read as soon as it is said,
when everything before it has been. All else takes the way of a run's other events, in its order.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import structlog
from chatkit.types import ThreadItemAddedEvent, ThreadStreamEvent

from chatkeep.agent.context import TurnContext
from chatkeep.agent.events import EventConverter
from chatkeep.agent.plain import Run
from chatkeep.models.direct import Begun, TextDelta

_log = structlog.get_logger(__name__)


class Shortcut:
    """Takes what the models of one run say.

    Args:
        converter: Of the run.
        context: Of the turn.

    Attributes:
        run: The run, once it has been started.
    """

    def __init__(self, converter: EventConverter, context: TurnContext) -> None:
        self.run: Run | None = None
        self._converter = converter
        self._context = context
        self._buffer = context.buffer
        self._notes = context.notes

    async def take(self, event: Any) -> None:
        """Show an event of a model."""
        if isinstance(event, TextDelta):
            if self._speaks(event):
                return
        elif isinstance(event, Begun):
            await self._catch_up()
        for converted in readable(self._converter.take, event):
            await show(converted, self._context)

    def _speaks(self, event: TextDelta) -> bool:
        """Write a piece of an open text straight to the turn, if it is next."""
        notes = self._notes
        if notes is None or not self._buffer.at_rest:
            return False
        place = self._converter.place_of(event)
        if place is None or not notes.speak(*place, event.delta):
            return False
        self._converter.heard(event)
        return True

    async def _catch_up(self) -> None:
        """Wait until what the run has told of before, such as outputs of tools, is on its way."""
        if self.run is not None:
            queue: asyncio.Queue[Any] = self.run._event_queue  # noqa: SLF001 - no other way
            await queue.join()


def readable(
    convert: Callable[[Any], Iterable[ThreadStreamEvent]], event: Any
) -> Iterator[ThreadStreamEvent]:
    """Yield the client's events for one of a model; one that cannot be read is left out.

    Those of the Responses API come from the provider unchecked.
    """
    try:
        yield from convert(event)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        kind = event.data.type if event.type == "raw_response_event" else event.type
        _log.warning("event of a model left out", type=kind, error=type(error).__name__)


async def show(event: ThreadStreamEvent, context: TurnContext) -> None:
    """Pass an event of a model on."""
    if context.workflow_item and isinstance(event, ThreadItemAddedEvent):
        await context.end_workflow()  # an answer begins: the tool's work is done
    await context.forward(event)
