"""Bytes ↔ the SDK's types."""

import re
from typing import Any

from chatkit.types import ChatKitReq, ErrorEvent
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from chatkeep.errors import InvalidRequestError, ShuttingDownError
from chatkeep.protocol.own_requests import AnyReq, own_requests

_MAX_REASONS = 3
_OWN = re.compile(rb'"type"\s*:\s*"chatkeep\.')

# Building the adapter takes 10 ms, which the SDK spends on every request.
_requests: TypeAdapter[Any] = TypeAdapter(ChatKitReq)


def parse_request(body: bytes) -> AnyReq:
    """Return the request, of the protocol or one of our own.

    Raises:
        InvalidRequestError: It is not valid; the message names the fields, not their content.
    """
    try:
        requests = own_requests if _is_own(body) else _requests
        request: AnyReq = requests.validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        reasons = [
            f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"
            for problem in problems[:_MAX_REASONS]
        ]
        raise InvalidRequestError("; ".join(reasons)) from error
    return request


def _is_own(body: bytes) -> bool:
    """Whether the type of a request is one of our own."""
    if not _OWN.search(body):
        return False
    try:
        document = from_json(body)
    except ValueError:
        return False
    kind = document.get("type") if isinstance(document, dict) else None
    return isinstance(kind, str) and kind.startswith("chatkeep.")


def thread_id_of(request: AnyReq) -> str | None:
    """Return the thread that a request names, if it names one."""
    return getattr(request.params, "thread_id", None)


def farewell_json() -> bytes:
    """Return the event for a reader whose turn goes on elsewhere, or not at all."""
    event = error_event(str(ShuttingDownError()), allow_retry=True)
    return event.model_dump_json(exclude_none=True).encode()


def error_event(message: str, *, allow_retry: bool) -> ErrorEvent:
    """Return the event that ends a failed stream."""
    return ErrorEvent(code="custom", message=message, allow_retry=allow_retry)
