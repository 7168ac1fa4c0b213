"""The ChatKit server: the SDK's, with its traps taken out.

Private methods of the SDK are overridden where it would lose or leak something; the versions are
pinned, and `tests/unit/test_sdk_pins.py` fails when one of those methods moves.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from copy import copy
from datetime import UTC, datetime
from typing import Any

import structlog
from agents import Agent, RunConfig, TResponseInputItem
from chatkit.errors import CustomStreamError
from chatkit.types import (
    ActiveStatus,
    AssistantMessageItem,
    DurationSummary,
    ErrorEvent,
    HiddenContextItem,
    SDKHiddenContextItem,
    StreamingReq,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadsCreateReq,
    ThreadsRetryAfterItemReq,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
    UserMessageInput,
    UserMessageItem,
    WorkflowItem,
)

from chatkeep.agent.context import TurnContext
from chatkeep.agent.convert import ItemConverter
from chatkeep.agent.history import has_images, load_history, without_images
from chatkeep.agent.run import run_agent, run_config
from chatkeep.agent.title import title_from_model
from chatkeep.context import RequestContext
from chatkeep.errors import ChatkeepError, ModelRequestError
from chatkeep.files.attachments import Attachments
from chatkeep.models.catalog import Catalog, ModelEntry
from chatkeep.ports import Store
from chatkeep.protocol.answers import AnsweringServer
from chatkeep.protocol.changes import watched
from chatkeep.protocol.naming import Naming
from chatkeep.protocol.wire import error_event, sse_event, thread_id_of
from chatkeep.telemetry.logging import describe

_HISTORY_SHARE = 0.7  # of the context; instructions, tools and the answer need the rest
_TITLE_SECONDS = 1.0  # how long a finished answer waits for its title
_INTERRUPTED = "The assistant's previous answer was interrupted before it was complete."

_HIDDEN = (HiddenContextItem, SDKHiddenContextItem)
_CARRIES_ITEM = (ThreadItemAddedEvent, ThreadItemDoneEvent, ThreadItemReplacedEvent)

_log = structlog.get_logger(__name__)


class ChatkeepServer(AnsweringServer):
    """Answers with an agent, from a store, by the models of a catalog."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        agent: Agent[Any],
        *,
        attachments: Attachments,
        converter: ItemConverter,
        image_messages: int = 0,
        is_default_agent: bool = False,
        titles_by_model: bool = True,
    ) -> None:
        super().__init__(store, attachments)
        self._converter = converter
        self._image_messages = image_messages
        self._catalog = catalog
        self._agent = agent
        self._titles_by_model = titles_by_model
        self._own_config = run_config(catalog, None)
        self._configs = {entry.id: run_config(catalog, entry) for entry in catalog.entries}
        # A model that is too small for the default assistant's instructions brings its own.
        self._agents = {
            entry.id: agent.clone(instructions=entry.instructions)
            for entry in catalog.entries
            if is_default_agent and entry.instructions
        }

    def stream(
        self, request: StreamingReq, context: RequestContext
    ) -> tuple[str, AsyncGenerator[bytes]]:
        """Return the thread of a request that passed the pre-flight, and its framed events."""
        thread_id = thread_id_of(request) or self.store.generate_thread_id(context)
        return thread_id, self._stream(request, thread_id, context)

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answer the message, or go on behind a client tool's result or a user's answers."""
        message = input_user_message or await self._last_message(thread, context)
        entry = self._choose(message)
        window = (entry or self._catalog.default).context_tokens
        history = await load_history(
            self.store,
            self._converter,
            thread,
            input_user_message,
            context,
            budget_tokens=int(window * _HISTORY_SHARE),
            image_messages=self._image_messages,
        )
        agent = self._agents.get(entry.id, self._agent) if entry else self._agent
        config = self._configs[entry.id] if entry else self._own_config
        turn = TurnContext(thread=thread, store=self.store, request_context=context)
        asked = None
        names = entry or self._catalog.default
        if message is not None and self._titles_by_model and names.titles:
            asked = title_from_model(names, message)
        naming = Naming(self.store, thread, message, context, asked)
        try:
            async for event in _run(agent, history, turn, config, entry):
                yield event
            wait = 0 if turn.client_tool_call else _TITLE_SECONDS
            if named := await naming.finish(wait=wait):
                yield ThreadUpdatedEvent(thread=self._to_thread_response(named))
        except asyncio.CancelledError:
            await naming.finish(wait=0)
            raise
        except CustomStreamError:
            if named := await naming.finish(wait=0):
                yield ThreadUpdatedEvent(thread=self._to_thread_response(named))
            raise
        finally:
            naming.close()

    async def handle_stream_cancelled(
        self, thread: ThreadMetadata, pending_items: list[ThreadItem], context: RequestContext
    ) -> None:
        """Save what the user has seen, and leave a note for the model.

        The SDK's note says that the user cancelled; a closed connection may as well be a reload.
        """
        for item in pending_items:
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
        note = SDKHiddenContextItem(
            id=self.store.generate_item_id("sdk_hidden_context", thread, context),
            thread_id=thread.id,
            created_at=datetime.now(UTC),
            content=_INTERRUPTED,
        )
        await self.store.add_thread_item(thread.id, note, context)

    async def _stream(
        self, request: StreamingReq, thread_id: str, context: RequestContext
    ) -> AsyncGenerator[bytes]:
        """Frame the events; whatever fails becomes the one error event that ends the stream.

        Raises:
            ChatkeepError: It failed before the first event: there is no stream yet to end.
        """
        begun = False
        try:
            async with aclosing(self._events(request, thread_id, context)) as events:
                async for event in events:
                    if isinstance(event, _CARRIES_ITEM):
                        if isinstance(event.item, _HIDDEN):
                            continue
                        item = self._presented(event.item, context)
                        event = event.model_copy(update={"item": item})  # noqa: PLW2901 - as it goes out
                    yield sse_event(self._serialize(_with_words(event, context)))
                    begun = True
        except ChatkeepError as error:
            if not begun:
                raise
            _log.warning("turn failed", error=type(error).__name__, request_id=context.request_id)
            yield sse_event(self._serialize(error_event(str(error), allow_retry=True)))
        except Exception as error:  # noqa: BLE001 - recorded, and answered as the last event
            _log.error("turn failed", request_id=context.request_id, **describe(error))
            message = _went_wrong(context)
            yield sse_event(self._serialize(error_event(message, allow_retry=True)))

    def _events(
        self, request: StreamingReq, thread_id: str, context: RequestContext
    ) -> AsyncGenerator[ThreadStreamEvent]:
        match request:
            case ThreadsCreateReq():
                return self._create(request.params.input, thread_id, context)
            case ThreadsRetryAfterItemReq():
                return self._retry(thread_id, request.params.item_id, context)
            case _:
                return self._process_streaming_impl(request, context)

    async def _create(
        self, message: UserMessageInput, thread_id: str, context: RequestContext
    ) -> AsyncGenerator[ThreadStreamEvent]:
        """Store thread and message together; the SDK leaves an empty thread when one fails."""
        thread = ThreadMetadata(id=thread_id, created_at=datetime.now(UTC), status=ActiveStatus())
        item = await self._build_user_message_item(message, thread, context)
        await self.store.create_thread(thread, item, context)
        yield ThreadCreatedEvent(thread=self._to_thread_response(thread))
        yield ThreadItemDoneEvent(item=item)
        async for event in self._answer(thread, item, context):
            yield event

    async def _retry(
        self, thread_id: str, item_id: str, context: RequestContext
    ) -> AsyncGenerator[ThreadStreamEvent]:
        """Answer again; what stood behind the message goes when the new answer is complete.

        The SDK deletes it first, and a failure then loses both.
        """
        thread = await self.store.load_thread(thread_id, context)
        item = await self.store.load_item(thread_id, item_id, context)
        if not isinstance(item, UserMessageItem):
            raise CustomStreamError("Only a message of yours can be answered again.")
        old = await self._ids_behind(thread_id, item_id, context)
        answered = failed = False
        async for event in self._answer(thread, item, context):
            answered = answered or _is_answer(event)
            failed = failed or isinstance(event, ErrorEvent)
            yield event
        if answered and not failed:
            await self.store.delete_thread_items(thread_id, old, context)

    def _answer(
        self, thread: ThreadMetadata, item: UserMessageItem, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        respond: Callable[[], AsyncIterator[ThreadStreamEvent]] = lambda: self.respond(  # noqa: E731 - the SDK calls it once
            thread, item, context
        )
        return self._process_events(thread, context, respond)

    def _process_events(
        self,
        thread: ThreadMetadata,
        context: RequestContext,
        stream: Callable[[], AsyncIterator[ThreadStreamEvent]],
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Let the SDK store what comes, but of the thread only what was changed.

        The store is exchanged in a copy of the server, so that no event passes one more loop.
        """
        view = copy(self)
        view.store = watched(self.store, thread)
        return super(ChatkeepServer, view)._process_events(thread, context, stream)

    async def _process_new_thread_item_respond(
        self, thread: ThreadMetadata, item: UserMessageItem, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Store the message and answer it; the SDK writes whole records of its attachments."""
        for attachment in item.attachments:
            await self.store.bind_attachment(attachment.id, thread.id, context)
        await self.store.add_thread_item(thread.id, item, context)
        yield ThreadItemDoneEvent(item=item)
        async for event in self._answer(thread, item, context):
            yield event

    async def _ids_behind(self, thread_id: str, item_id: str, context: RequestContext) -> list[str]:
        ids: list[str] = []
        after, more = item_id, True
        while more:
            page = await self.store.load_thread_items(thread_id, after, 100, "asc", context)
            ids += [item.id for item in page.data]
            after, more = page.after or "", page.has_more
        return ids

    async def _last_message(
        self, thread: ThreadMetadata, context: RequestContext
    ) -> UserMessageItem | None:
        page = await self.store.load_thread_items(thread.id, None, 20, "desc", context)
        return next((item for item in page.data if isinstance(item, UserMessageItem)), None)

    def _choose(self, message: UserMessageItem | None) -> ModelEntry | None:
        """Return the user's choice, else the default unless the agent brings its own model."""
        chosen = message.inference_options.model if message else None
        if chosen is None and self._agent.model is not None:
            return None
        # What was stored may name a model that is not offered any more.
        return self._catalog.find(chosen) or self._catalog.default

    async def _build_user_message_item(
        self,
        input: UserMessageInput,
        thread: ThreadMetadata,
        context: RequestContext,
    ) -> UserMessageItem:
        item = await super()._build_user_message_item(input, thread, context)
        return item.model_copy(update={"created_at": datetime.now(UTC)})


def _is_answer(event: ThreadStreamEvent) -> bool:
    """Whether something was finished that may stand in place of an old answer."""
    thoughts = (WorkflowItem, *_HIDDEN)
    return isinstance(event, ThreadItemDoneEvent) and not isinstance(event.item, thoughts)


def _with_words(event: ThreadStreamEvent, context: RequestContext) -> ThreadStreamEvent:
    """Give the SDK's wordless errors, which it has logged, a sentence and a reference."""
    if isinstance(event, ErrorEvent) and event.message is None:
        return error_event(_went_wrong(context), allow_retry=event.allow_retry)
    return event


def _went_wrong(context: RequestContext) -> str:
    return f"Something went wrong here (reference {context.request_id})."


async def _run(
    agent: Agent[Any],
    history: list[TResponseInputItem],
    turn: TurnContext,
    config: RunConfig,
    entry: ModelEntry | None,
) -> AsyncIterator[ThreadStreamEvent]:
    """Run the agent; when the provider refuses a request with images, once more without.

    Which models take images cannot be asked. One image would else make every turn fail for as
    long as it is part of the history.
    """
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
