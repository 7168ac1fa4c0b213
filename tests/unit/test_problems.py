"""Errors as RFC 9457 problem documents."""

import json
from http import HTTPStatus

import pytest
from starlette.responses import Response

from chatkeep.errors import (
    ChatkeepError,
    ConflictError,
    InvalidRequestError,
    InvalidTokenError,
    IssuerUnavailableError,
    ModelError,
    NotFoundError,
    SettingsError,
    ShuttingDownError,
    StoreUnavailableError,
    UnauthenticatedError,
    UnsupportedError,
)
from chatkeep.http.problems import HTTPProblem, problem, problem_of


def body(response: Response) -> dict[str, object]:
    """The document."""
    document: dict[str, object] = json.loads(bytes(response.body))
    return document


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidRequestError("why"), 400, "bad-request"),
        (UnauthenticatedError("why"), 401, "unauthorized"),
        (InvalidTokenError("why"), 401, "unauthorized"),
        (NotFoundError("why"), 404, "not-found"),
        (ConflictError("why"), 409, "conflict"),
        (UnsupportedError("why"), 501, "not-implemented"),
        (StoreUnavailableError("why"), 503, "service-unavailable"),
        (IssuerUnavailableError("why"), 503, "service-unavailable"),
        (ShuttingDownError("why"), 503, "service-unavailable"),
    ],
)
def test_each_error_has_a_status(error: ChatkeepError, status: int, kind: str) -> None:
    """The document says what kind it is, and what to do."""
    response = problem_of(error, "req_1")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert body(response) == {
        "type": f"urn:chatkeep:problem:{kind}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": "why",
        "request_id": "req_1",
    }


def test_a_subclass_has_the_status_of_its_base() -> None:
    """An error that is derived from one of ours is answered like it."""

    class MissingPageError(NotFoundError):
        """There is no such page."""

    assert problem_of(MissingPageError(), "r").status_code == 404


@pytest.mark.parametrize(
    "error",
    [ValueError("secret"), ModelError("secret"), SettingsError("secret"), OSError("secret")],
)
def test_of_everything_else_nothing_is_told(error: Exception) -> None:
    """500, and the id under which the log says more."""
    response = problem_of(error, "req_1")
    assert response.status_code == 500
    assert b"secret" not in bytes(response.body)
    assert body(response)["request_id"] == "req_1"


@pytest.mark.parametrize(
    ("error", "challenge"),
    [
        (UnauthenticatedError(), "Bearer"),
        (InvalidTokenError(), 'Bearer error="invalid_token"'),
        (NotFoundError(), None),
    ],
)
def test_who_is_not_known_is_told_how_to_be(error: ChatkeepError, challenge: str | None) -> None:
    """401 carries `WWW-Authenticate`, with an error code only when there was a token (RFC 6750)."""
    assert problem_of(error, "r").headers.get("www-authenticate") == challenge


def test_the_operators_hint_is_not_told() -> None:
    """Which issuer fails, and how, is nobody else's business."""
    error = IssuerUnavailableError()
    error.hint = "secret"
    assert b"secret" not in bytes(problem_of(error, "r").body)


@pytest.mark.parametrize("status", [503, 500, 409])
def test_only_a_temporary_problem_asks_to_come_back(status: int) -> None:
    """503 carries `Retry-After`."""
    response = problem(HTTPStatus(status), "d", "r")
    assert response.headers.get("retry-after") == ("5" if status == 503 else None)


@pytest.mark.parametrize(
    ("status", "kind"), [(413, "content-too-large"), (422, "unprocessable-content")]
)
def test_a_type_is_the_same_in_every_python(status: int, kind: str) -> None:
    """Python 3.13 renamed some statuses; the type of a problem is stable."""
    document = body(problem_of(HTTPProblem(HTTPStatus(status), "d"), "r"))
    assert document["type"] == f"urn:chatkeep:problem:{kind}"
    assert str(document["title"]).lower().replace(" ", "-") == kind


def test_every_type_is_a_urn() -> None:
    """Whatever the status: lower case, no blanks."""
    for status in HTTPStatus:
        kind = str(body(problem(status, "d", "r"))["type"])
        assert kind == kind.lower().replace(" ", "")


def test_text_of_any_kind_is_json() -> None:
    """Quotes, line breaks and lone surrogates in a detail do no harm."""
    assert body(problem(HTTPStatus.CONFLICT, '"\n\ud800</script>', "r"))["detail"]
