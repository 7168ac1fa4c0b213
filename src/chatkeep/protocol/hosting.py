"""Any `ChatKitServer`, ours or somebody else's, as the work of turns.

The SDK's `process` is one response's: it stores the message, answers and stores what it has
answered while the response lasts. Here the turn is begun first (`chatkeep.protocol.orders`), and
the server's own code does the rest, in the turn's task, on a store that knows the turn.

Private methods of the SDK are called where there is no other way in; the versions are pinned, and
`tests/unit/test_sdk_pins.py` fails when one of those methods moves.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from inspect import Parameter, signature
from typing import Any

import structlog
from chatkit.errors import CustomStreamError
from chatkit.server import ChatKitServer
from chatkit.types import (
    ErrorEvent,
    Thread,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadsRetryAfterItemReq,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
    UserMessageItem,
)
from pydantic import BaseModel, TypeAdapter, ValidationError

from chatkeep.agent.observing import Observing, listening
from chatkeep.context import RequestContext
from chatkeep.errors import ChatkeepError, LeaseLostError, NotFoundError, SettingsError
from chatkeep.files.attachments import Attachments
from chatkeep.ports import Store, Turn, TurnState
from chatkeep.protocol.accounting import Accounting
from chatkeep.protocol.orders import Given, Ordered, Terms, context_of, order_of, request_of
from chatkeep.protocol.outcome import note_end
from chatkeep.protocol.own_requests import AnyStreamingReq, BranchThreadReq, EditMessageReq
from chatkeep.protocol.planning import Planner
from chatkeep.protocol.unfinished import Unfinished
from chatkeep.protocol.wire import error_event
from chatkeep.telemetry.logging import describe
from chatkeep.turns.pump import HIDDEN
from chatkeep.turns.running import RunningTurn
from chatkeep.turns.scope import Scope, entered
from chatkeep.turns.store import scoped

type Contexts = Callable[[RequestContext], Any]
"""Makes the context that a server's own code expects."""

type ServerFactory = ChatKitServer[Any] | Callable[..., ChatKitServer[Any]]
"""A server, or what makes one: its class, as a rule."""

_OPTIONAL = ("transcribe", "action", "sync_action")

_CARRIES_ITEM = (ThreadItemAddedEvent, ThreadItemDoneEvent, ThreadItemReplacedEvent)

_WITH_FILES = b'"attachments":[{'

_events: TypeAdapter[Any] = TypeAdapter(ThreadStreamEvent)
_log = structlog.get_logger(__name__)


def make_server(
    made_by: ServerFactory, store: Store, attachments: Attachments
) -> ChatKitServer[Any]:
    """Return the server to host: the one given, or one that is made now.

    What makes one is called with as many of (store, attachment store) as it takes by position.

    Raises:
        SettingsError: What is made is no server.
    """
    if isinstance(made_by, ChatKitServer):
        server = made_by
    else:
        given = (scoped(store), attachments)
        kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        places = [each for each in signature(made_by).parameters.values() if each.kind in kinds]
        server = made_by(*given[: len(places)])
    if not isinstance(server, ChatKitServer):
        raise SettingsError("server: name a ChatKitServer, or its class")
    if server.attachment_store is None:
        server.attachment_store = attachments
    return server


class Host:
    """Runs the turns of one server.

    Args:
        server: The server. Its store becomes Chatkeep's.
        store: Where conversations are kept.
        attachments: Makes links to files.
        own: The server is ours: it tells before it calls a tool. The code of another one may do
            anything before its first event, so that it is never begun again by itself.
        contexts: Makes the context of the server's methods; a `RequestContext` by default.
        accounting: Knows what models cost, and what turns may take.
    """

    def __init__(
        self,
        server: ChatKitServer[Any],
        store: Store,
        attachments: Attachments,
        *,
        own: bool,
        accounting: Accounting,
        contexts: Contexts | None = None,
    ) -> None:
        server.store = scoped(store)
        self.server = server
        self._attachments = attachments
        self._store = store
        self.own = own
        self._accounting = accounting
        self._contexts = contexts
        self._planner = Planner(server, attachments)

    @property
    def keeps_files(self) -> bool:
        """Whether files are kept by Chatkeep, and not by the server's own attachment store."""
        return isinstance(self.server.attachment_store, Attachments)

    @property
    def offered(self) -> frozenset[str]:
        """The optional methods that the server has."""
        kind = type(self.server)
        return frozenset(
            name for name in _OPTIONAL if getattr(kind, name) is not getattr(ChatKitServer, name)
        )

    def theirs(self, context: RequestContext) -> Any:
        """Return the context for the server's methods."""
        return self._contexts(context) if self._contexts else context

    def context_of(self, turn: Turn) -> RequestContext:
        """Return the context of the request that a stored turn began with."""
        return context_of(turn)

    async def order(
        self, request: AnyStreamingReq, body: bytes, context: RequestContext, terms: Terms
    ) -> Ordered:
        """Return the order for a request that passed the pre-flight; see `Planner.plan`."""
        with entered(Scope(context)):
            plan = await self._planner.plan(request, context, self.theirs(context))
        reserves = await self._accounting.reserve(plan, self._store, context)
        ordered = order_of(request, body, plan, terms, context)
        return replace(ordered, order=replace(ordered.order, reserves=reserves))

    def encode(self, event: BaseModel) -> bytes:
        """Return an event as readers get it."""
        return self.server._serialize(event)  # noqa: SLF001 - pinned

    def failure(self, running: RunningTurn, error: Exception) -> ThreadStreamEvent:
        """Return the event that tells of a failure."""
        told = str(error) if isinstance(error, ChatkeepError) else _went_wrong(running.context)
        return error_event(told, allow_retry=True)

    async def answer(self, running: RunningTurn) -> AsyncGenerator[ThreadStreamEvent]:
        """Do what was asked for; whatever fails is the error event at the end."""
        context, accounting = running.context, self._accounting
        running.account = accounting.account(context.principal)
        running.usage.currency = accounting.currency
        observing = Observing(running.usage, accounting.price_of)
        try:
            if not self.own:
                await running.touch()
            with listening(observing):
                async with aclosing(self._answer(running, self.theirs(context))) as events:
                    async for event in events:
                        if isinstance(event, ThreadItemUpdatedEvent):
                            yield event
                        elif (shown := _outgoing(event, context)) is not None:
                            yield shown
            for notice in note_end(running, observing):
                yield notice
        except LeaseLostError:
            raise
        except CustomStreamError as error:
            yield error_event(error.message, allow_retry=error.allow_retry)
        except ChatkeepError as error:
            _log.warning("turn failed", error=type(error).__name__, request_id=context.request_id)
            yield self.failure(running, error)
        except Exception as error:  # noqa: BLE001 - recorded, and answered as the last event
            _log.error("turn failed", request_id=context.request_id, **describe(error))
            yield self.failure(running, error)

    async def give_up(
        self, running: RunningTurn, events: Sequence[dict[str, Any]]
    ) -> AsyncGenerator[ThreadStreamEvent]:
        """Keep what was shown of a turn whose instance is gone."""
        turn = running.turn
        unfinished, complete = self._unfinished(events)
        calls = await self._store.load_tool_calls(turn.id, running.context)
        if turn.cancel_requested:
            running.fail(TurnState.CANCELLED, "stopped")
        elif self.own and complete and not unfinished and not calls:
            return  # only its end was not stored
        else:
            running.fail(TurnState.INTERRUPTED, "crash")
            running.unknown = [call.name for call in calls if call.ended_at is None]
        theirs = self.theirs(running.context)
        thread = await self.server.store.load_thread(turn.thread_id, theirs)
        # What was stored whole, and perhaps shown so, is not to be replaced by a part of it.
        whole = {item.id for item in unfinished if await self._keep_whole(running, item, theirs)}
        rest = [item for item in unfinished if item.id not in whole]
        await self.server.handle_stream_cancelled(thread, rest, theirs)
        for item in running.draft.items:
            if not isinstance(item, HIDDEN):
                yield ThreadItemDoneEvent(item=item)
        named = await self.server.store.load_thread(turn.thread_id, theirs)
        if named.title != thread.title:
            yield ThreadUpdatedEvent(thread=self.thread(named))
        if running.state is TurnState.INTERRUPTED:
            yield error_event(_interrupted(running.unknown), allow_retry=True)

    async def _keep_whole(self, running: RunningTurn, item: ThreadItem, theirs: Any) -> bool:
        """Add an item to the draft as it is stored; say whether it is, although no event says so.

        An item that is done is stored, then shown, and the event that tells of it is stored last.
        """
        thread_id = running.turn.thread_id
        try:
            stored = await self.server.store.load_item(thread_id, item.id, theirs)
        except NotFoundError:
            return False
        running.draft.add(thread_id, stored)
        return True

    def present(self, json: bytes, context: RequestContext) -> bytes:
        """Return an event of a log for a reader: with links to its files that are good from now on.

        What is stored knows no address, and no signature.
        """
        if _WITH_FILES not in json:
            return json
        event = _events.validate_json(json)
        if isinstance(event, _CARRIES_ITEM):
            event = event.model_copy(update={"item": self.presented(event.item, context)})
        return self.encode(event)

    def thread(self, thread: ThreadMetadata) -> Thread:
        """Return a thread as it goes out, without its items."""
        return self.server._to_thread_response(thread)  # noqa: SLF001 - pinned

    def presented(self, item: ThreadItem, context: RequestContext) -> ThreadItem:
        """Return the item as it goes out: with links to its files that are good from now on."""
        if not (isinstance(item, UserMessageItem) and item.attachments):
            return item
        attachments = [self._attachments.present(file, context) for file in item.attachments]
        return item.model_copy(update={"attachments": attachments})

    async def _answer(self, running: RunningTurn, theirs: Any) -> AsyncGenerator[ThreadStreamEvent]:
        given = await self._given(running, theirs)
        thread, message = given.thread, given.message
        if thread is None or message is None:
            source = self._go_on(given.request, theirs)
        else:
            source = self.server._process_events(  # noqa: SLF001 - pinned
                thread, theirs, lambda: self.server.respond(thread, message, theirs)
            )
        if self.own:
            async for event in source:
                yield event  # its items are finished, whatever happens
            return
        unfinished = Unfinished(self.server)
        async for event in source:
            if isinstance(event, ErrorEvent):
                for item in unfinished.worth_keeping:
                    await self.server.store.add_thread_item(running.turn.thread_id, item, theirs)
                    yield ThreadItemDoneEvent(item=item)
            unfinished.take(event)
            yield event

    async def _given(self, running: RunningTurn, theirs: Any) -> Given:
        """Return the request, and what answers are for: a thread and a message of it."""
        turn, store = running.turn, self.server.store
        if isinstance(running.given, Given):
            request, message = running.given.request, running.given.message
            thread = running.given.thread
            message_id = message.id if message else None
        else:
            request, message_id = request_of(turn)
            thread = message = None
        if isinstance(request, ThreadsRetryAfterItemReq):
            message_id = request.params.item_id
            behind = await self._planner.ids_behind(turn.thread_id, message_id, theirs)
            running.draft.replaced = frozenset(behind)
        if message_id is None:
            return Given(request)
        if thread is None:
            thread = await store.load_thread(turn.thread_id, theirs)
        running.draft.begin(thread)
        if message is None:
            item = await store.load_item(turn.thread_id, message_id, theirs)
            if not isinstance(item, UserMessageItem):
                raise CustomStreamError("Only a message of yours can be answered again.")
            message = item
        return Given(request, thread, message)

    def _go_on(self, request: AnyStreamingReq, theirs: Any) -> AsyncIterator[ThreadStreamEvent]:
        """Answer what is not a message: a tool's result, answers to questions, an action."""
        assert not isinstance(request, EditMessageReq | BranchThreadReq)  # noqa: S101 - have one
        return self.server._process_streaming_impl(request, theirs)  # noqa: SLF001 - pinned

    def _unfinished(self, events: Sequence[dict[str, Any]]) -> tuple[list[ThreadItem], bool]:
        """Return the items that were shown in part, and whether an answer was the last of all."""
        unfinished = Unfinished(self.server)
        for document in events:
            try:
                unfinished.take(_events.validate_python(document))
            except ValidationError:
                continue  # of a later version
        return unfinished.items, unfinished.answered


def _outgoing(event: ThreadStreamEvent, context: RequestContext) -> ThreadStreamEvent | None:
    """Return an event as it is logged; None if it stays here."""
    if isinstance(event, _CARRIES_ITEM) and isinstance(event.item, HIDDEN):
        return None
    if isinstance(event, ErrorEvent) and event.message is None:
        # The SDK's wordless errors, which it has logged, get a sentence and a reference.
        return error_event(_went_wrong(context), allow_retry=event.allow_retry)
    return event


def _went_wrong(context: RequestContext) -> str:
    return f"Something went wrong here (reference {context.request_id})."


def _interrupted(unknown: Sequence[str]) -> str:
    told = "The answer was interrupted: the server that wrote it is gone. What it had is kept."
    if not unknown:
        return told
    names = ", ".join(unknown)
    return f"{told} Whether this took effect is unknown: {names}."
