"""From the events of a turn's code to its log: joined, numbered, and never ahead of the store."""

import asyncio
from collections.abc import AsyncGenerator

from chatkit.types import (
    AssistantMessageContentPartTextDelta as _Delta,
)
from chatkit.types import (
    ErrorEvent,
    HiddenContextItem,
    SDKHiddenContextItem,
    StreamOptionsEvent,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WorkflowItem,
)

from chatkeep.ports import TurnState
from chatkeep.turns.log import Piece
from chatkeep.turns.running import RunningTurn
from chatkeep.turns.work import Work

_HOLD_SECONDS = 0.05
"""How long a finished item waits for the end of the turn, to be stored with it."""

HIDDEN = (HiddenContextItem, SDKHiddenContextItem)
"""Items that are for the model only."""

_NO_ANSWER = (WorkflowItem, *HIDDEN)


class Pump:
    """Drives the code of one turn, from one task, and writes what it yields to the log.

    - Pieces of one text that come without a pause, as those of one read from the provider do, are
      one event; a character that was cut in two is whole.
    - Before the first thing that a restart would show twice, the turn is touched in the store.
    - An event that tells of a finished item is shown when the item is stored.
    - An item that nobody is told of is stored soon, whether or not an event follows.

    Args:
        running: The turn.
        work: What makes its events.
        events: The events.
    """

    def __init__(
        self, running: RunningTurn, work: Work, events: AsyncGenerator[ThreadStreamEvent]
    ) -> None:
        self._running = running
        self._work = work
        self._events = events
        self._text = _OpenText()
        self._done: set[str] = set()
        self._holding = False
        self._hold: asyncio.Task[None] | None = None
        self._hold_error: Exception | None = None
        self.answered = False
        self.failed = False

    async def run(self) -> None:
        """Write all events to the log; return when there are no more.

        What is still held back then is for the caller to show, when it is stored.

        Raises:
            asyncio.CancelledError: The turn was stopped, and its code has finished what it has.
            ChatkeepError: What was finished could not be stored, or the turn is not ours any more.
        """
        self._running.draft.noticed = self._store_what_there_is
        try:
            while (event := await self._next()) is not None:
                await self._take(event)
        finally:
            self._running.draft.noticed = lambda: None
            self._end_text()
            if self._hold is not None:
                self._hold.cancel()
                await asyncio.wait([self._hold])
            await self._events.aclose()  # what it said could not be written: it has not ended
        if self._hold_error is not None:
            raise self._hold_error

    def tell(self) -> None:
        """Write events for items that stopped code has finished, and nobody was told of."""
        for item in self._running.draft.items:
            if not isinstance(item, HIDDEN) and item.id not in self._done:
                self.append(ThreadItemDoneEvent(item=item))

    def append(self, event: ThreadStreamEvent) -> None:
        """Write an event to the log without showing it."""
        self._running.log.append(self._work.encode(event))

    async def _next(self) -> ThreadStreamEvent | None:
        self._running.producing(True)
        try:
            return await anext(self._events, None)
        finally:
            self._running.producing(False)

    async def _take(self, event: ThreadStreamEvent) -> None:
        if self._hold_error is not None:
            raise self._hold_error
        if isinstance(event, ThreadItemUpdatedEvent) and isinstance(event.update, _Delta):
            await self._take_delta(event, event.update)
            return
        self._end_text()
        if isinstance(event, ThreadItemAddedEvent | ThreadItemUpdatedEvent):
            await self._release()
        self._note(event)
        if self._running.draft.items:
            self._holding = True
        if not (self._holding or isinstance(event, StreamOptionsEvent)):
            await self._running.touch()
        self.append(event)
        if not self._holding:
            self._running.log.show()

    def _note(self, event: ThreadStreamEvent) -> None:
        if isinstance(event, ThreadItemDoneEvent):
            self._done.add(event.item.id)
            self.answered = self.answered or not isinstance(event.item, _NO_ANSWER)
        if isinstance(event, ErrorEvent):
            self.failed = True
            self._running.fail(TurnState.FAILED, "error")
            self._holding = True  # it is the last one: the turn's end is stored with it

    async def _take_delta(self, event: ThreadItemUpdatedEvent, delta: _Delta) -> None:
        if not self._text.continues(event, delta):
            self._end_text()
            await self._release()
            await self._running.touch()
            self._text.begin(event)
        if not self._text.waits:
            # Shown when the code next waits for something.
            self._text.waits = True
            asyncio.get_running_loop().call_soon(self._show_text)
        self._text.pieces.append(delta.delta)

    def _show_text(self) -> None:
        if self._text.waits:
            self._write(self._text.take())

    def _end_text(self) -> None:
        self._write(self._text.take(all_of_it=True))

    def _write(self, event: ThreadItemUpdatedEvent | None) -> None:
        if event is None:
            return
        delta = event.update
        assert isinstance(delta, _Delta)  # noqa: S101 - made so
        piece = Piece(event.item_id, delta.content_index, delta.delta)
        self._running.log.append(self._work.encode(event), piece)
        self._running.log.show()

    async def _release(self) -> None:
        """Store what is held back, and show it: more comes."""
        if not (self._holding or self._running.draft.items):
            return
        if self._hold is not None:
            self._hold.cancel()
            await asyncio.wait([self._hold])
            self._hold = None
        await self._running.draft.flush()
        self._holding = False
        self._running.log.show()

    def _store_what_there_is(self) -> None:
        self._hold = self._hold or asyncio.create_task(self._store_soon(), name="hold")

    async def _store_soon(self) -> None:
        """Store what is held back when the turn's end does not come."""
        await asyncio.sleep(_HOLD_SECONDS)
        try:
            await self._running.draft.flush()
        except Exception as error:  # noqa: BLE001 - told where the next event is taken
            self._hold_error = error
            return
        self._hold = None
        if not self.failed:
            self._holding = False
            self._running.log.show()


class _OpenText:
    """Pieces of one text that are not written to the log."""

    def __init__(self) -> None:
        self._event: ThreadItemUpdatedEvent | None = None
        self._half = ""
        self.pieces: list[str] = []
        self.waits = False

    def continues(self, event: ThreadItemUpdatedEvent, delta: _Delta) -> bool:
        """Whether a piece belongs to the text of the one before."""
        before = self._event
        if before is None or before.item_id != event.item_id:
            return False
        update = before.update
        return isinstance(update, _Delta) and update.content_index == delta.content_index

    def begin(self, event: ThreadItemUpdatedEvent) -> None:
        """Begin another text."""
        self._event = event

    def take(self, *, all_of_it: bool = False) -> ThreadItemUpdatedEvent | None:
        """Return the pieces as one event; None if there is none.

        The first half of a character that was cut in two waits for the second one.
        """
        event, self.waits = self._event, False
        text = self._half + "".join(self.pieces)
        self.pieces = []
        self._half = ""
        if all_of_it:
            self._event = None
        elif text and _is_first_half(text[-1]):
            text, self._half = text[:-1], text[-1]
        if event is None or not text:
            return None
        update = event.update.model_copy(update={"delta": _whole(text)})
        return event.model_copy(update={"update": update})


def _is_first_half(character: str) -> bool:
    return "\ud800" <= character <= "\udbff"


def _whole(text: str) -> str:
    """Return a text with its halves of characters joined, or replaced where one is missing."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
