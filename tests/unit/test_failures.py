"""What follows from a failed call of a model."""

import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import openai
import pytest

from chatkeep.errors import (
    ModelCredentialsError,
    ModelError,
    ModelInterruptedError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from chatkeep.models.errors import of_object, translate
from chatkeep.models.failures import is_stale, may_ask_again, may_ask_another, wished_wait, word_for
from chatkeep.models.retrying import RetryPolicy


def answered(status: int, headers: dict[str, str] | None = None, code: str = "") -> ModelError:
    """The error for an answer of a provider, as the models raise it."""
    request = httpx2.Request("POST", "http://h/v1/chat/completions")
    response = httpx2.Response(status, headers=headers or {}, request=request)
    error = openai.APIStatusError("no", response=response, body={"code": code})
    if status == 400:
        error = openai.BadRequestError("no", response=response, body={"code": code})
    return caused(error)


def caused(error: Exception) -> ModelError:
    """The error of ours for a foreign one."""
    try:
        raise translate(error, started=False) from error
    except ModelError as ours:
        return ours


def broken(cause: Exception) -> ModelError:
    """The error for a request that no answer came to."""
    error = openai.APIConnectionError(request=httpx2.Request("POST", "http://h/v1"))
    error.__cause__ = cause
    return caused(error)


@pytest.mark.parametrize(
    ("error", "again", "another"),
    [
        (answered(400), False, False),
        (answered(401), False, True),
        (answered(402), False, True),
        (answered(403), False, True),
        (answered(404), False, True),
        (answered(408), True, True),
        (answered(409), True, True),
        (answered(413), False, False),
        (answered(422), False, False),
        (answered(425), True, True),
        (answered(429), True, True),
        (answered(429, code="insufficient_quota"), False, True),
        (answered(500), True, True),
        (answered(503), True, True),
        (broken(httpx2.ConnectError("refused")), True, True),
        (broken(ssl.SSLCertVerificationError("expired")), False, True),
        (ModelTimeoutError(), False, True),
        (ModelInterruptedError(), True, True),
        (of_object({"code": "insufficient_quota"}, started=False), False, True),
        (of_object({"code": 402}, started=False), False, True),
    ],
    ids=lambda value: None if isinstance(value, bool) else str(value.__cause__ or value)[:12],
)
def test_who_is_asked_next(error: ModelError, again: bool, another: bool) -> None:
    """The same model when it may pass by itself, another one unless the question was refused."""
    assert (may_ask_again(error), may_ask_another(error)) == (again, another)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "-5"}, 0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25),
        ({"retry-after-ms": "soon", "Retry-After": "9"}, 9),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "1e999"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"Retry-After": "Wed, 99 Oct 2015 07:28:00 GMT"}, None),
    ],
)
def test_what_a_provider_wishes(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, a date or milliseconds; what is none of these is nothing."""
    assert wished_wait(answered(429, headers)) == seconds


def test_a_date_is_so_many_seconds_away() -> None:
    """Whatever the machine's time zone."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=1_000), usegmt=True)
    wished = wished_wait(answered(503, {"Retry-After": date}))
    assert wished is not None
    assert 800 < wished <= 1_000


def test_nobody_else_wishes_anything() -> None:
    """An error without an answer has no headers."""
    assert wished_wait(ModelTimeoutError()) is None


def test_waits_grow_within_bounds() -> None:
    """A wish is kept to and never cut short; a third call is the last one."""
    policy = RetryPolicy()
    for _ in range(50):
        first, second = policy.wait(1, None), policy.wait(2, None)
        wished = policy.wait(1, 9.5)
        assert first is not None
        assert second is not None
        assert wished is not None
        assert 0.005 <= first <= 0.01
        assert 0.01 <= second <= 0.02
        assert 9.5 <= wished <= 9.51
    assert policy.wait(3, None) is None
    assert policy.wait(1, 10.1) is None


@pytest.mark.parametrize(
    "cause",
    [httpx2.RemoteProtocolError("gone"), httpx2.ReadError("reset"), httpx2.WriteError("pipe")],
)
def test_a_connection_that_broke_off_may_have_been_old(cause: Exception) -> None:
    """Unlike one that could not be made."""
    assert is_stale(broken(cause))
    assert not is_stale(broken(httpx2.ConnectError("refused")))
    assert not is_stale(answered(500))


def test_words_for_what_happened() -> None:
    """One for each failure; too long a conversation has its own."""
    assert word_for(answered(400, code="context_length_exceeded")) == "too_long"
    errors = [
        ModelCredentialsError(),
        ModelRequestError(),
        ModelRateLimitError(),
        ModelUnavailableError(),
        ModelTimeoutError(),
        ModelInterruptedError(),
        ModelError(),
    ]
    words = [word_for(error) for error in errors]
    assert words == "credentials refused rate_limit unavailable timeout cut model".split()
