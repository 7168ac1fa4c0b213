"""What a streaming request will store as its turn begins, and what its readers get at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chatkit.server import ChatKitServer
from chatkit.types import (
    ActiveStatus,
    Attachment,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadStreamEvent,
    UserMessageInput,
    UserMessageItem,
)

from chatkeep.context import RequestContext
from chatkeep.errors import InvalidRequestError, NotFoundError
from chatkeep.files.attachments import Attachments
from chatkeep.protocol.own_requests import AnyStreamingReq, BranchThreadReq, EditMessageReq
from chatkeep.protocol.wire import thread_id_of
from chatkeep.turns.pump import HIDDEN

MAX_COPIED = 1_000
"""Items that a branch copies, at most: they are stored in one transaction."""

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """What is stored with a turn.

    Attributes:
        thread_id: Its thread.
        thread: The thread, if it is new.
        message: Its message, new or in place of the one with the same id.
        items: What the new thread has in front of the message.
        removed: What goes.
        opening: What tells readers of it.
    """

    thread_id: str
    thread: ThreadMetadata | None = None
    message: UserMessageItem | None = None
    items: Sequence[ThreadItem] = ()
    removed: Sequence[str] = ()
    opening: Sequence[ThreadStreamEvent] = ()


class Planner:
    """Plans for one server.

    Args:
        server: The server, on Chatkeep's store.
        attachments: Copies files for branches.
    """

    def __init__(self, server: ChatKitServer[Any], attachments: Attachments) -> None:
        self._server = server
        self._attachments = attachments

    async def plan(self, request: AnyStreamingReq, context: RequestContext, theirs: Any) -> Plan:
        """Return the plan for a request that passed the pre-flight.

        Raises:
            NotFoundError: Something that it names has been deleted since.
            InvalidRequestError: A branch would have to copy too much.
        """
        match request:
            case ThreadsCreateReq():
                return await self._created(request.params.input, theirs)
            case ThreadsAddUserMessageReq():
                message = await self._message(
                    request.params.input, request.params.thread_id, theirs
                )
                opening = [ThreadItemDoneEvent(item=message)]
                return Plan(request.params.thread_id, message=message, opening=opening)
            case EditMessageReq():
                return await self._edited(request, theirs)
            case BranchThreadReq():
                return await self._branched(request, context, theirs)
            case _:
                return Plan(thread_id_of(request) or "")

    async def ids_behind(self, thread_id: str, item_id: str, theirs: Any) -> list[str]:
        """Return the ids of a thread's items behind one."""
        ids: list[str] = []
        after, more = item_id, True
        while more:
            page = await self._server.store.load_thread_items(
                thread_id, after, _PAGE, "asc", theirs
            )
            ids += [item.id for item in page.data]
            after, more = page.after or "", page.has_more
        return ids

    async def _created(self, input: UserMessageInput, theirs: Any) -> Plan:
        thread = self._thread(theirs)
        message = await self._message(input, thread.id, theirs)
        return Plan(
            thread.id,
            thread=thread,
            message=message,
            opening=[self._announced(thread), ThreadItemDoneEvent(item=message)],
        )

    async def _edited(self, request: EditMessageReq, theirs: Any) -> Plan:
        """The new message takes the old one's place; what was said to the old one goes."""
        thread_id, item_id = request.params.thread_id, request.params.item_id
        message = await self._message(request.params.input, thread_id, theirs)
        message = message.model_copy(update={"id": item_id})
        behind = await self.ids_behind(thread_id, item_id, theirs)
        return Plan(
            thread_id,
            message=message,
            removed=behind,
            opening=[
                *[ThreadItemRemovedEvent(item_id=each) for each in behind],
                ThreadItemReplacedEvent(item=message),
            ],
        )

    async def _branched(
        self, request: BranchThreadReq, context: RequestContext, theirs: Any
    ) -> Plan:
        """A new thread has copies of what came before the message, then the message."""
        thread_id, item_id = request.params.thread_id, request.params.item_id
        thread = self._thread(theirs)
        before = await self._before(thread_id, item_id, theirs)
        items = [await self._copied(item, thread, context, theirs) for item in before]
        if request.params.input is None:
            old = await self._server.store.load_item(thread_id, item_id, theirs)
            copied = await self._copied(old, thread, context, theirs)
            assert isinstance(copied, UserMessageItem)  # noqa: S101 - by the pre-flight
            message = copied.model_copy(update={"created_at": datetime.now(UTC)})
        else:
            message = await self._message(request.params.input, thread.id, theirs)
        return Plan(
            thread.id,
            thread=thread,
            message=message,
            items=items,
            opening=[
                self._announced(thread),
                *[
                    ThreadItemDoneEvent(item=each)
                    for each in (*items, message)
                    if not isinstance(each, HIDDEN)
                ],
            ],
        )

    async def _before(self, thread_id: str, item_id: str, theirs: Any) -> list[ThreadItem]:
        """Return the items of a thread in front of one, oldest first."""
        found: list[ThreadItem] = []
        after, more = item_id, True
        while more:
            page = await self._server.store.load_thread_items(
                thread_id, after, _PAGE, "desc", theirs
            )
            found += page.data
            if len(found) > MAX_COPIED:
                raise InvalidRequestError(
                    f"params.item_id: a branch copies {MAX_COPIED} items at most"
                )
            after, more = page.after or "", page.has_more
        return found[::-1]

    async def _copied(
        self, item: ThreadItem, thread: ThreadMetadata, context: RequestContext, theirs: Any
    ) -> ThreadItem:
        """Return an item for another thread: its own id, and copies of its files."""
        update: dict[str, Any] = {
            "id": self._server.store.generate_item_id("message", thread, theirs),
            "thread_id": thread.id,
        }
        if isinstance(item, UserMessageItem) and item.attachments:
            update["attachments"] = await self._copied_files(item.attachments, context)
        return item.model_copy(update=update)

    async def _copied_files(
        self, files: Sequence[Attachment], context: RequestContext
    ) -> list[Attachment]:
        """Return copies of the files that are there still; each belongs to one thread."""
        copies: list[Attachment] = []
        for file in files:
            try:
                copies.append(await self._attachments.duplicate(file, context))
            except NotFoundError:
                continue
        return copies

    def _thread(self, theirs: Any) -> ThreadMetadata:
        return ThreadMetadata(
            id=self._server.store.generate_thread_id(theirs),
            created_at=datetime.now(UTC),
            status=ActiveStatus(),
        )

    def _announced(self, thread: ThreadMetadata) -> ThreadCreatedEvent:
        return ThreadCreatedEvent(thread=self._server._to_thread_response(thread))  # noqa: SLF001 - pinned

    async def _message(
        self, input: UserMessageInput, thread_id: str, theirs: Any
    ) -> UserMessageItem:
        """Return a new message of the user, with the records of its attachments."""
        thread = ThreadMetadata(id=thread_id, created_at=datetime.now(UTC))
        item = await self._server._build_user_message_item(input, thread, theirs)  # noqa: SLF001 - pinned
        # The SDK's has the server's local time, without saying so.
        return item.model_copy(update={"created_at": datetime.now(UTC)})
