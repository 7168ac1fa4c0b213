"""A streaming request as an order for a turn, and back again when the turn is taken over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from chatkit.server import ChatKitServer
from chatkit.types import (
    ActiveStatus,
    StreamingReq,
    ThreadCreatedEvent,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadStreamEvent,
    UserMessageInput,
    UserMessageItem,
)
from pydantic import BaseModel

from chatkeep.context import Principal, RequestContext
from chatkeep.errors import InvalidRequestError
from chatkeep.ids import new_id
from chatkeep.ports import Turn, TurnOrder
from chatkeep.protocol.wire import parse_request, thread_id_of


class StoredRequest(BaseModel):
    """What a turn that is taken over begins again from: the `request` of its record.

    Where the client reached the server is not in it: what is stored knows no address.

    Attributes:
        body: The ChatKit request, as it came.
        message_id: The id that its message was stored under.
        request_id: As in `RequestContext`, and so the others.
    """

    body: str
    message_id: str | None
    request_id: str
    locale: str | None
    scheme: str


@dataclass(frozen=True, slots=True)
class Given:
    """What an order was made of.

    Attributes:
        request: The request.
        thread: The thread, where it is known already.
        message: Its message, if it has one.
    """

    request: StreamingReq
    thread: ThreadMetadata | None = None
    message: UserMessageItem | None = None


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order, the events that readers get at once, and what it was made of."""

    order: TurnOrder
    opening: Sequence[ThreadStreamEvent]
    given: Given


def digest_of(body: bytes) -> str:
    """Return what tells whether two requests with one idempotency key are the same."""
    return sha256(body).hexdigest()


async def order_of(
    request: StreamingReq,
    body: bytes,
    server: ChatKitServer[Any],
    context: RequestContext,
    theirs: Any,
    *,
    holder: str,
    lease: float,
    key: str | None,
    queue: bool,
) -> Ordered:
    """Return the order for a request that passed the pre-flight.

    Raises:
        NotFoundError: An attachment has been deleted since.
    """
    thread_id = thread_id_of(request) or server.store.generate_thread_id(theirs)
    thread = message = None
    opening: list[ThreadStreamEvent] = []
    if isinstance(request, ThreadsCreateReq):
        now = datetime.now(UTC)
        thread = ThreadMetadata(id=thread_id, created_at=now, status=ActiveStatus())
        opening.append(ThreadCreatedEvent(thread=server._to_thread_response(thread)))  # noqa: SLF001 - pinned
    if isinstance(request, ThreadsCreateReq | ThreadsAddUserMessageReq):
        message = await message_of(request.params.input, thread_id, server, theirs)
        opening.append(ThreadItemDoneEvent(item=message))
    stored = StoredRequest(
        body=body.decode(),
        message_id=message.id if message else None,
        request_id=context.request_id,
        locale=context.locale,
        scheme=context.principal.scheme,
    )
    order = TurnOrder(
        id=new_id("trn"),
        thread_id=thread_id,
        request=stored.model_dump_json(),
        digest=digest_of(body),
        holder=holder,
        lease=lease,
        key=key,
        new_thread=thread,
        message=message,
        queue=queue,
    )
    return Ordered(order, opening, Given(request, thread, message))


async def message_of(
    input: UserMessageInput, thread_id: str, server: ChatKitServer[Any], theirs: Any
) -> UserMessageItem:
    """Return a new message of the user, with the records of its attachments."""
    thread = ThreadMetadata(id=thread_id, created_at=datetime.now(UTC))
    item = await server._build_user_message_item(input, thread, theirs)  # noqa: SLF001 - pinned
    # The SDK's has the server's local time, without saying so.
    return item.model_copy(update={"created_at": datetime.now(UTC)})


def request_of(turn: Turn) -> tuple[StreamingReq, str | None]:
    """Return the request of a stored turn, and the id of its message.

    Raises:
        InvalidRequestError: A later version of Chatkeep has stored it.
    """
    stored = _stored(turn)
    request: Any = parse_request(stored.body.encode())
    return request, stored.message_id


def context_of(turn: Turn) -> RequestContext:
    """Return the context of the request that a stored turn began with."""
    stored = _stored(turn)
    principal = Principal(turn.principal.tenant, turn.principal.user, stored.scheme)
    return RequestContext(
        principal=principal,
        request_id=stored.request_id,
        locale=stored.locale,
        metadata=parse_request(stored.body.encode()).metadata,
    )


def _stored(turn: Turn) -> StoredRequest:
    try:
        return StoredRequest.model_validate_json(turn.request)
    except ValueError as error:
        raise InvalidRequestError("The turn's request cannot be read.") from error
