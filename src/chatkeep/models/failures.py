"""What follows from a failed call: whether to ask again, whom, and what it says of the endpoint."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Literal

import httpx2
import openai

from chatkeep.errors import (
    ModelCredentialsError,
    ModelError,
    ModelInterruptedError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
)

type Verdict = Literal["works", "fails", "unknown"]
"""What a failed call says of the endpoint that it was made to."""

_TRY_AGAIN = (408, 409, 425)  # timeout, conflict (a lock, for the providers that use it), too early
_NOT_FOUND = 404

_WORDS: dict[type[ModelError], str] = {
    ModelCredentialsError: "credentials",
    ModelRequestError: "refused",
    ModelRateLimitError: "rate_limit",
    ModelUnavailableError: "unavailable",
    ModelTimeoutError: "timeout",
    ModelInterruptedError: "cut",
}


def word_for(error: ModelError) -> str:
    """Return what happened, in a word."""
    if isinstance(error, ModelRequestError) and error.too_long:
        return "too_long"
    return _WORDS.get(type(error), "model")


def verdict_of(error: ModelError) -> Verdict:
    """Return what a failure says of the endpoint. A refusal says that it works."""
    if is_stale(error) or isinstance(error, ModelRateLimitError):
        return "unknown"
    if isinstance(error, ModelUnavailableError | ModelTimeoutError | ModelInterruptedError):
        return "fails"
    return "works"


def may_ask_again(error: ModelError) -> bool:
    """Whether the same model may answer the same question in a moment."""
    match error:
        case ModelRateLimitError():
            return not error.spent
        case ModelUnavailableError():
            return not any(isinstance(e, _HOPELESS) for e in _causes(error))
        case ModelInterruptedError():
            return True
        case ModelRequestError():
            return _status(error) in _TRY_AGAIN
        case _:
            return False


def may_ask_another(error: ModelError) -> bool:
    """Whether another model may answer the same question: it was not the question that failed."""
    return not isinstance(error, ModelRequestError) or _status(error) in (*_TRY_AGAIN, _NOT_FOUND)


def is_stale(error: ModelError) -> bool:
    """Whether a connection broke off that may have been an old one, which the other side closed."""
    return isinstance(error, ModelUnavailableError) and any(
        isinstance(cause, _BROKEN_OFF) for cause in _causes(error)
    )


def wished_wait(error: ModelError) -> float | None:
    """Return for how many seconds the provider asks not to be asked; None when it does not say."""
    cause = error.__cause__
    if not isinstance(cause, openai.APIStatusError):
        return None
    headers = cause.response.headers
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1_000
    text = headers.get("retry-after")
    seconds = _number(text)
    return seconds if seconds is not None or text is None else _seconds_until(text)


class LeftAlone(Exception):  # noqa: N818 - not an error: nobody was asked
    """The endpoint failed too often just now."""


# Certificates and addresses do not become right within seconds.
_HOPELESS = (LeftAlone, ssl.SSLCertVerificationError, httpx2.InvalidURL, httpx2.UnsupportedProtocol)
_BROKEN_OFF = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while error is not None and seen < 16:  # noqa: PLR2004 - a chain may be a circle
        yield error
        error = error.__cause__ or error.__context__
        seen += 1


def _status(error: ModelError) -> int | None:
    status: int | None = getattr(error.__cause__, "status_code", None)
    return status


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return max(number, 0.0) if isfinite(number) else None


def _seconds_until(text: str) -> float | None:
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)
