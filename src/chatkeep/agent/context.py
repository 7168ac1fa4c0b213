"""What an agent's tools and hooks may use during a turn."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chatkit.agents import AgentContext
from chatkit.server import stream_widget
from chatkit.types import (
    DurationSummary,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadStreamEvent,
    WorkflowSummary,
)
from chatkit.widgets import WidgetRoot
from pydantic import PrivateAttr

from chatkeep.agent.buffer import EventBuffer
from chatkeep.agent.memory import ToolMemory
from chatkeep.context import RequestContext
from chatkeep.models.calls import Caller

if TYPE_CHECKING:
    from chatkeep.agent.notes import Notes


class TurnContext(AgentContext[RequestContext]):
    """The SDK's `AgentContext` on one bounded queue for the model's events and the tools'.

    A tool that streams faster than the client reads is made to wait.
    """

    # The SDK copies one deeply for every context.
    _events: asyncio.Queue[Any] = PrivateAttr(default_factory=asyncio.Queue)
    _buffer: EventBuffer = PrivateAttr(default_factory=EventBuffer)
    _notes: Any = PrivateAttr(default=None)
    _memory: ToolMemory | None = PrivateAttr(default=None)
    _fresh: bool = PrivateAttr(default=False)
    _before_item: Callable[[], Iterable[ThreadStreamEvent]] | None = PrivateAttr(default=None)

    def tell(self, notes: "Notes") -> None:
        """Have the run tell what it does."""
        self._notes = notes

    @property
    def notes(self) -> "Notes | None":
        """Who is told what the run does."""
        notes: Notes | None = self._notes
        return notes

    @property
    def buffer(self) -> EventBuffer:
        """What waits to be shown."""
        return self._buffer

    @property
    def caller(self) -> Caller:
        """For whom models are called."""
        return Caller(self.request_context.principal.tenant, fresh=self._fresh)

    def want_another(self) -> None:
        """Have a model answer, and not what it has said before."""
        self._fresh = True

    @property
    def memory(self) -> ToolMemory:
        """The calls of tools that are to be kept."""
        if self._memory is None:
            self._memory = ToolMemory(self.thread.id, self.generate_id)
        return self._memory

    def before_item(self, callback: Callable[[], Iterable[ThreadStreamEvent]]) -> None:
        """Have events of `callback` put in front of each item that a tool shows."""
        self._before_item = callback

    async def stream(self, event: ThreadStreamEvent) -> None:
        """Show an event to the user."""
        if self._before_item and isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent):
            for earlier in self._before_item():
                await self._buffer.put(earlier)
        await self._buffer.put(event)

    async def forward(self, event: ThreadStreamEvent | None) -> None:
        """Pass an event of the model on; None ends the turn's events."""
        await self._buffer.put(event)

    async def next_event(self) -> ThreadStreamEvent | None:
        """Return the next event, or None at the end."""
        return await self._buffer.get()

    def discard(self) -> None:
        """Forget what waits, which frees whoever is waiting to add to it."""
        self._buffer.clear()

    async def stream_widget(
        self, widget: WidgetRoot | AsyncGenerator[WidgetRoot, None], copy_text: str | None = None
    ) -> None:
        """Show a widget, or a sequence of its states."""
        async for event in stream_widget(self.thread, widget, copy_text, self.generate_id):
            await self.stream(event)

    async def end_workflow(
        self, summary: WorkflowSummary | None = None, expanded: bool = False
    ) -> None:
        """Finish the workflow; unlike the SDK's, also one that came from the store.

        The SDK subtracts aware times from naive ones there, which raises `TypeError`.
        """
        item, self.workflow_item = self.workflow_item, None
        if item is None:
            return
        seconds = int((datetime.now(UTC) - item.created_at.astimezone(UTC)).total_seconds())
        item.workflow.summary = (
            summary or item.workflow.summary or DurationSummary(duration=seconds)
        )
        item.workflow.expanded = expanded
        await self.stream(ThreadItemDoneEvent(item=item))
