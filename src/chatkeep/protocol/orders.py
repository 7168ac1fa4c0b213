"""A streaming request as an order for a turn, and back again when the turn is taken over."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from chatkit.types import ThreadMetadata, ThreadStreamEvent, UserMessageItem
from pydantic import BaseModel

from chatkeep.context import Principal, RequestContext
from chatkeep.errors import InvalidRequestError
from chatkeep.ids import new_id
from chatkeep.ports import Turn, TurnOrder
from chatkeep.protocol.own_requests import AnyStreamingReq
from chatkeep.protocol.planning import Plan
from chatkeep.protocol.wire import parse_request


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

    request: AnyStreamingReq
    thread: ThreadMetadata | None = None
    message: UserMessageItem | None = None


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order, the events that readers get at once, and what it was made of."""

    order: TurnOrder
    opening: Sequence[ThreadStreamEvent]
    given: Given


@dataclass(frozen=True, slots=True)
class Terms:
    """What the one who takes an order says of it: see `TurnOrder`."""

    holder: str
    lease: float
    key: str | None = None
    queue: bool = False


def digest_of(body: bytes) -> str:
    """Return what tells whether two requests with one idempotency key are the same."""
    return sha256(body).hexdigest()


def order_of(
    request: AnyStreamingReq, body: bytes, plan: Plan, terms: Terms, context: RequestContext
) -> Ordered:
    """Return the order for a planned request."""
    message = plan.message
    stored = StoredRequest(
        body=body.decode(),
        message_id=message.id if message else None,
        request_id=context.request_id,
        locale=context.locale,
        scheme=context.principal.scheme,
    )
    order = TurnOrder(
        id=new_id("trn"),
        thread_id=plan.thread_id,
        request=stored.model_dump_json(),
        digest=digest_of(body),
        holder=terms.holder,
        lease=terms.lease,
        key=terms.key,
        new_thread=plan.thread,
        message=message,
        items=plan.items,
        removed=plan.removed,
        queue=terms.queue,
    )
    return Ordered(order, plan.opening, Given(request, plan.thread, message))


def request_of(turn: Turn) -> tuple[AnyStreamingReq, str | None]:
    """Return the request of a stored turn, and the id of its message.

    Raises:
        InvalidRequestError: A later version of Chatkeep has stored it.
    """
    stored = _stored(turn)
    request: Any = parse_request(stored.body.encode())
    return request, stored.message_id


def context_of(turn: Turn) -> RequestContext:
    """Return the context of the request that a stored turn began with.

    Raises:
        InvalidRequestError: A later version of Chatkeep has stored it.
    """
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
