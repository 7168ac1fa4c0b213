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
    ThreadItemRemovedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WorkflowItem,
)

from chatkeep.ports import TurnState
from chatkeep.turns.open_text import OpenText
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
        self._text = OpenText(running.log, work.encode)
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
        self._running.speaks = self._speak
        try:
            while (event := await self._next()) is not None:
                await self._take(event)
        finally:
            self._running.draft.noticed = lambda: None
            self._running.speaks = None
            self._text.end()
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
        self._text.end()
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
            self._running.spoken.forget(event.item.id)
            self.answered = self.answered or not isinstance(event.item, _NO_ANSWER)
        elif isinstance(event, ThreadItemRemovedEvent):
            self._running.spoken.forget(event.item_id)
        elif isinstance(event, ErrorEvent):
            self.failed = True
            self._running.fail(TurnState.FAILED, "error")
            self._holding = True  # it is the last one: the turn's end is stored with it

    async def _take_delta(self, event: ThreadItemUpdatedEvent, delta: _Delta) -> None:
        place = event.item_id, delta.content_index
        if self._text.place != place:
            self._text.end()
            await self._release()
            await self._running.touch()
            self._text.begin(event, self._running.spoken.begin(*place))
        self._text.add(delta.delta)

    def _speak(self, item_id: str, part: int, text: str) -> bool:
        if self._text.place != (item_id, part):
            return False
        self._text.speak(text)
        return True

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
