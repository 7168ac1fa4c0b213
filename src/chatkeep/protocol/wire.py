"""Bytes ↔ the SDK's types."""

from typing import Any

from chatkit.types import ChatKitReq, ErrorEvent
from pydantic import TypeAdapter, ValidationError

from chatkeep.errors import InvalidRequestError, ShuttingDownError

_MAX_REASONS = 3

# Building the adapter takes 10 ms, which the SDK spends on every request.
_requests: TypeAdapter[Any] = TypeAdapter(ChatKitReq)


def parse_request(body: bytes) -> ChatKitReq:
    """Return the request.

    Raises:
        InvalidRequestError: It is not valid; the message names the fields, not their content.
    """
    try:
        request: ChatKitReq = _requests.validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        reasons = [
            f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"
            for problem in problems[:_MAX_REASONS]
        ]
        raise InvalidRequestError("; ".join(reasons)) from error
    return request


def thread_id_of(request: ChatKitReq) -> str | None:
    """Return the thread that a request names, if it names one."""
    return getattr(request.params, "thread_id", None)


def farewell_json() -> bytes:
    """Return the event for a reader whose turn goes on elsewhere, or not at all."""
    event = error_event(str(ShuttingDownError()), allow_retry=True)
    return event.model_dump_json(exclude_none=True).encode()


def error_event(message: str, *, allow_retry: bool) -> ErrorEvent:
    """Return the event that ends a failed stream."""
    return ErrorEvent(code="custom", message=message, allow_retry=allow_retry)
