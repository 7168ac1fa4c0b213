"""The ChatKit server that answers with an agent.

What it does around an answer is `chatkeep.protocol.hosting`'s, as for any other server.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Any

import structlog
from agents import Agent, TResponseInputItem
from chatkit.errors import CustomStreamError
from chatkit.server import ChatKitServer
from chatkit.types import (
    AssistantMessageItem,
    DurationSummary,
    SDKHiddenContextItem,
    ThreadItem,
    ThreadMetadata,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
    UserMessageItem,
    WorkflowItem,
)

from chatkeep.agent.answering import Answerers, Answering
from chatkeep.agent.context import TurnContext
from chatkeep.agent.history import has_images, without_images
from chatkeep.agent.recall import Recall, Recalled
from chatkeep.agent.run import run_agent
from chatkeep.agent.title import title_from_model
from chatkeep.agent.tool_choice import ToolChoices
from chatkeep.context import RequestContext
from chatkeep.errors import ChatkeepError, ModelRequestError
from chatkeep.files.attachments import Attachments
from chatkeep.models.catalog import Catalog
from chatkeep.ports import Store
from chatkeep.protocol.naming import Naming
from chatkeep.protocol.outcome import TurnNotes, note_failure
from chatkeep.turns.running import RunningTurn
from chatkeep.turns.scope import current

_TITLE_SECONDS = 1.0  # how long a finished answer waits for its title

_STOPPED = "The user stopped the assistant's previous answer before it was complete."
_INTERRUPTED = "The assistant's previous answer was interrupted before it was complete."
_UNKNOWN = "Whether these tools, which it had called, took effect is unknown: {names}."

_log = structlog.get_logger(__name__)


class ChatkeepServer(ChatKitServer[RequestContext]):
    """Answers with an agent, from a store, by the models of a catalog."""

    store: Store

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        agent: Agent[Any],
        *,
        attachments: Attachments,
        recall: Recall,
        tool_choices: ToolChoices | None = None,
        is_default_agent: bool = False,
        titles_by_model: bool = True,
        traced: bool = False,
    ) -> None:
        super().__init__(store, attachments)
        self._recall = recall
        self._catalog = catalog
        self._answerers = Answerers(
            agent, catalog, is_default_agent=is_default_agent, traced=traced
        )
        self._tool_choices = tool_choices or ToolChoices(agent)
        self._titles_by_model = titles_by_model

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answer the message, or go on behind a client tool's result or a user's answers."""
        message = input_user_message or await self._last_message(thread, context)
        tenant = context.principal.tenant
        answering = self._choose(message, tenant)
        if answering.tools.any:
            answering = answering.choosing(self._tool_choices.chosen(input_user_message, context))
        running = _running()
        turn = self._context(thread, running, context)
        naming = self._naming(thread, message, answering, context)
        try:
            async for event in self._answer(input_user_message, answering, turn, context):
                yield event
            wait = 0 if turn.client_tool_call else _TITLE_SECONDS
            if named := await naming.finish(wait=wait):
                yield ThreadUpdatedEvent(thread=self._to_thread_response(named))
        except asyncio.CancelledError:
            await self._remember(turn, context)
            # A turn that begins again elsewhere must leave nothing; else what it has comes first.
            if running is None or not running.begins_again:
                with suppress(ChatkeepError):
                    await naming.finish(wait=0)
            raise
        except CustomStreamError as error:
            await self._remember(turn, context)
            if running is not None:
                note_failure(running, error)
            if named := await naming.finish(wait=0):
                yield ThreadUpdatedEvent(thread=self._to_thread_response(named))
            raise
        finally:
            naming.close()

    async def _remember(self, turn: TurnContext, context: RequestContext) -> None:
        """Keep the calls of tools that the run has not kept, as it did not come so far."""
        if (calls := turn.memory.take()) is not None:
            await self.store.add_thread_item(turn.thread.id, calls, context)

    async def handle_stream_cancelled(
        self, thread: ThreadMetadata, pending_items: list[ThreadItem], context: RequestContext
    ) -> None:
        """Keep what the user has seen, and leave a note for the model.

        The SDK's note says in any case that the user cancelled.
        """
        running = _running()
        for item in pending_items:
            if running is not None and isinstance(item, AssistantMessageItem):
                running.spoken.complete(item)
            match item:
                case AssistantMessageItem() if any(part.text.strip() for part in item.content):
                    await self.store.add_thread_item(thread.id, item, context)
                case WorkflowItem() if item.workflow.tasks:
                    if item.workflow.summary is None:
                        elapsed = datetime.now(UTC) - item.created_at.astimezone(UTC)
                        summary = DurationSummary(duration=int(elapsed.total_seconds()))
                        item.workflow.summary = summary
                    await self.store.add_thread_item(thread.id, item, context)
                case _:
                    pass
        if running is not None and running.reason == "crash":
            # What was to name the thread beside the answer is gone with it.
            message = await self._last_message(thread, context)
            await Naming(self.store, thread, message, context, None).finish(wait=0)
        if running is not None and running.complete:
            return  # stopped while a title was waited for
        note = SDKHiddenContextItem(
            id=self.store.generate_item_id("sdk_hidden_context", thread, context),
            thread_id=thread.id,
            created_at=datetime.now(UTC),
            content=_note(running),
        )
        await self.store.add_thread_item(thread.id, note, context)

    async def _last_message(
        self, thread: ThreadMetadata, context: RequestContext
    ) -> UserMessageItem | None:
        page = await self.store.load_thread_items(thread.id, None, 20, "desc", context)
        return next((item for item in page.data if isinstance(item, UserMessageItem)), None)

    def _context(
        self, thread: ThreadMetadata, running: RunningTurn | None, context: RequestContext
    ) -> TurnContext:
        turn = TurnContext(thread=thread, store=self.store, request_context=context)
        if running is not None:
            turn.tell(TurnNotes(running, self.store))
            if running.draft.replaced:
                turn.want_another()
        return turn

    def _naming(
        self,
        thread: ThreadMetadata,
        message: UserMessageItem | None,
        answering: Answering,
        context: RequestContext,
    ) -> Naming:
        asked = None
        names = answering.entry or self._catalog.find(None, context.principal.tenant)
        if message is not None and self._titles_by_model and names is not None and names.titles:
            asked = title_from_model(names, message)
        return Naming(self.store, thread, message, context, asked)

    async def _answer(
        self,
        newest: UserMessageItem | None,
        answering: Answering,
        turn: TurnContext,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        recalled = await self._recalled(turn.thread, newest, answering, context)
        summary = recalled.summary
        async for event in _run(answering, recalled.input, turn):
            if summary is not None:  # not before: it touches the turn, as the event will
                await self._recall.keep(turn.thread, summary, context)
                summary = None
            yield event

    async def _recalled(
        self,
        thread: ThreadMetadata,
        newest: UserMessageItem | None,
        answering: Answering,
        context: RequestContext,
    ) -> Recalled:
        running = _running()
        named = answering.entry or self._catalog.find(None, context.principal.tenant)
        gone = running.draft.replaced if running else ()
        try:
            return await self._recall.recall(thread, newest, answering, named, context, gone=gone)
        except ModelRequestError as error:
            raise CustomStreamError(str(error), allow_retry=False) from error

    def _choose(self, message: UserMessageItem | None, tenant: str) -> Answering:
        """Return who answers.

        Raises:
            CustomStreamError: No model is offered to the user's tenant.
        """
        chosen = message.inference_options.model if message else None
        answering = self._answerers.choose(chosen, tenant)
        if answering is None:
            raise CustomStreamError("No model is offered to your organisation.", allow_retry=False)
        return answering


def _running() -> RunningTurn | None:
    scope = current()
    return scope.turn if scope else None


def _note(running: RunningTurn | None) -> str:
    """Return what the model is told of the answer before."""
    if running is None:
        return _INTERRUPTED
    stopped = "stopped" in (running.stopping, running.reason)
    note = _STOPPED if stopped else _INTERRUPTED
    if running.unknown:
        note = f"{note} {_UNKNOWN.format(names=', '.join(running.unknown))}"
    return note


async def _run(
    answering: Answering, history: list[TResponseInputItem], turn: TurnContext
) -> AsyncIterator[ThreadStreamEvent]:
    """Run the agent; when the provider refuses a request with images, once more without.

    Which models take images cannot be asked. One image would else make every turn fail for as
    long as it is part of the history.
    """
    agent, config, entry = answering.agent, answering.config, answering.entry
    shown = False
    try:
        async with aclosing(run_agent(agent, history, turn, config, entry)) as events:
            async for event in events:
                shown = True
                yield event
    except CustomStreamError as error:
        refused = isinstance(error.__cause__, ModelRequestError) and has_images(history)
        if shown or not refused:
            raise
        _log.info("images refused", model=entry.id if entry else None)
    else:
        return
    async for event in run_agent(agent, without_images(history), turn, config, entry):
        yield event
