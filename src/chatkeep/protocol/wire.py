"""Bytes ↔ the SDK's types."""

from typing import Any

from chatkit.types import ChatKitReq, ErrorEvent
from pydantic import TypeAdapter, ValidationError

from chatkeep.errors import InvalidRequestError, ShuttingDownError

_PREFIX, _SUFFIX = b"data: ", b"\n\n"
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


def sse_event(json: bytes) -> bytes:
    """Frame an event exactly as the SDK does."""
    return _PREFIX + json + _SUFFIX


def to_ndjson(chunk: bytes) -> bytes:
    """Return framed events as one JSON document a line (an event has no line breaks of its own)."""
    events = chunk.split(_SUFFIX)
    return b"".join(event.removeprefix(_PREFIX) + b"\n" for event in events if event)


def farewell_event() -> bytes:
    """Return the framed event for the readers of turns that a restart cuts short."""
    event = error_event(str(ShuttingDownError()), allow_retry=True)
    return sse_event(event.model_dump_json(exclude_none=True).encode())


def error_event(message: str, *, allow_retry: bool) -> ErrorEvent:
    """Return the event that ends a failed stream."""
    return ErrorEvent(code="custom", message=message, allow_retry=allow_retry)
