"""Errors as RFC 9457 problem documents; the one place that gives an error its status."""

import json
import random
from datetime import UTC, datetime
from http import HTTPStatus
from math import ceil

from starlette.responses import Response

from chatkeep.errors import (
    BudgetExceededError,
    ChatkeepError,
    ConflictError,
    FileTypeError,
    InvalidRequestError,
    InvalidTokenError,
    IssuerUnavailableError,
    KeyReusedError,
    LinkError,
    NotFoundError,
    OverloadedError,
    PrunedError,
    ShuttingDownError,
    StorageUnavailableError,
    StoreUnavailableError,
    TooLargeError,
    TurnRunningError,
    UnauthenticatedError,
    UnsupportedError,
)

_STATUS: dict[type[ChatkeepError], HTTPStatus] = {
    InvalidRequestError: HTTPStatus.BAD_REQUEST,
    UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    UnsupportedError: HTTPStatus.NOT_IMPLEMENTED,
    BudgetExceededError: HTTPStatus.TOO_MANY_REQUESTS,
    PrunedError: HTTPStatus.GONE,
    KeyReusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    LinkError: HTTPStatus.FORBIDDEN,
    TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    FileTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    StoreUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    IssuerUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    StorageUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    ShuttingDownError: HTTPStatus.SERVICE_UNAVAILABLE,
    OverloadedError: HTTPStatus.SERVICE_UNAVAILABLE,
}

_RETRY_SECONDS = 5
_HELD_SECONDS = 30
_OVERLOAD_SECONDS = (3, 8)

# Python 3.13 took over the names of RFC 9110; a `type` is the same in every version.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}


class HTTPProblem(Exception):  # noqa: N818 - a problem document, in the words of RFC 9457
    """A request that HTTP itself refuses."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def problem(status: HTTPStatus, detail: str, request_id: str, **more: str) -> Response:
    """Return a problem document, with more members if given.

    Its `type` is stable and names the kind of problem; `detail` says what to do.
    """
    title = _TITLES.get(status, status.phrase)
    kind = title.lower().replace(" ", "-")
    body = {
        "type": f"urn:chatkeep:problem:{kind}",
        "title": title,
        "status": int(status),
        "detail": detail,
        "request_id": request_id,
        **more,
    }
    headers = {"Cache-Control": "no-store"}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(_RETRY_SECONDS)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        json.dumps(body), status, headers=headers, media_type="application/problem+json"
    )


def problem_of(error: Exception, request_id: str) -> Response:
    """Return the document for an error; of one that is not ours nothing is told."""
    if isinstance(error, HTTPProblem):
        return problem(error.status, error.detail, request_id)
    for kind in type(error).__mro__:
        if status := _STATUS.get(kind):
            response = problem(status, str(error), request_id, **_members(error))
            if isinstance(error, BudgetExceededError):
                response.headers["Retry-After"] = str(_wait(error))
            if isinstance(error, OverloadedError):
                # Those who are refused together must not come back together.
                seconds = random.randint(*_OVERLOAD_SECONDS)  # noqa: S311 - not for secrets
                response.headers["Retry-After"] = str(seconds)
            if isinstance(error, InvalidTokenError):
                response.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
            return response
    detail = "Something went wrong here; the server's log says more under this request_id."
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail, request_id)


def _members(error: Exception) -> dict[str, str]:
    """Return what a document says of some problems beside the usual."""
    match error:
        case TurnRunningError():
            return {"turn_id": error.turn_id}
        case OverloadedError():
            return {"type": "urn:chatkeep:problem:overloaded", "title": "Overloaded"}
        case BudgetExceededError():
            return {
                "type": "urn:chatkeep:problem:budget-exceeded",
                "title": "Budget Exceeded",
                "budget": error.budget,
                "renewed_at": error.renewed_at.isoformat() if error.renewed_at else "",
            }
        case _:
            return {}


def _wait(error: BudgetExceededError) -> int:
    """Return after how many seconds it is worth to try again: open answers end soon."""
    now = datetime.now(UTC)
    seconds = ceil(((error.renewed_at or now) - now).total_seconds())
    return max(1, min(seconds, _HELD_SECONDS) if error.held else seconds)
