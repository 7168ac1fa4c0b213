"""What failures of providers mean."""

import json

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
from chatkeep.models.errors import FOREIGN_ERRORS, of_object, translate

REQUEST = httpx2.Request("POST", "http://h/v1")


def status_error(status: int, body: object = None) -> openai.APIStatusError:
    """The error that the client makes of a status."""
    client = openai.OpenAI(api_key="k", base_url="http://h")
    response = httpx2.Response(status, json=body, request=REQUEST)
    error = client._make_status_error_from_response(response)
    client.close()
    return error


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ModelRequestError),
        (401, ModelCredentialsError),
        (402, ModelRateLimitError),
        (403, ModelCredentialsError),
        (404, ModelRequestError),
        (409, ModelRequestError),
        (413, ModelRequestError),
        (429, ModelRateLimitError),
        (499, ModelRequestError),
        (500, ModelUnavailableError),
        (503, ModelUnavailableError),
        (529, ModelUnavailableError),
    ],
)
def test_a_status_has_a_meaning(status: int, kind: type[ModelError], started: bool) -> None:
    """Whether text had come or not; the provider's message is no part of ours."""
    error = status_error(status, {"error": {"message": "quoted prompt"}})
    translated = translate(error, started=started)
    assert type(translated) is kind
    assert "quoted" not in str(translated)


@pytest.mark.parametrize("field", ["code", "type"])
@pytest.mark.parametrize("value", ["context_length_exceeded", "exceed_context_size_error"])
def test_a_conversation_that_is_too_long(field: str, value: str) -> None:
    """Both servers' way to say it gives the advice to start a new one."""
    error = status_error(400, {"error": {"message": "m", field: value}})
    assert "too long" in str(translate(error, started=False))


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
        "Please reduce the length of the messages or completion.",
        "the request exceeds the available context size, try increasing it",
    ],
)
@pytest.mark.parametrize("field", ["error", "object"])
def test_a_conversation_that_is_too_long_in_words(words: str, field: str) -> None:
    """Most servers have no code for it; those of vLLM have no object for the error either."""
    told = {"message": words, "type": "BadRequestError", "code": 400}
    body = {"error": told} if field == "error" else {"object": "error", **told}
    translated = translate(status_error(400, body), started=False)
    assert isinstance(translated, ModelRequestError)
    assert translated.too_long
    assert type(of_object(told, started=False)) is ModelRequestError
    assert "too long" in str(of_object(told, started=False))


def test_a_request_that_is_too_large() -> None:
    """By its status alone."""
    translated = translate(status_error(413), started=False)
    assert isinstance(translated, ModelRequestError)
    assert translated.too_long


@pytest.mark.parametrize("body", [None, [], "x", {"error": "x"}, {"error": {"code": [1]}}, 5])
def test_a_body_of_any_shape_is_an_ordinary_refusal(body: object) -> None:
    """What a server puts into a 400 cannot make the translation fail."""
    translated = translate(status_error(400, body), started=False)
    assert type(translated) is ModelRequestError
    assert "too long" not in str(translated)


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        openai.APITimeoutError(REQUEST),
        httpx2.ReadTimeout(""),
        httpx2.ConnectTimeout(""),
        httpx2.PoolTimeout(""),
    ],
    ids=repr,
)
@pytest.mark.parametrize("started", [False, True])
def test_timeouts(error: Exception, started: bool) -> None:
    """A timeout is one wherever it is noticed."""
    assert type(translate(error, started=started)) is ModelTimeoutError


@pytest.mark.parametrize(
    "error",
    [
        openai.APIConnectionError(request=REQUEST),
        openai.APIError("m", REQUEST, body=None),
        httpx2.ReadError(""),
        httpx2.RemoteProtocolError(""),
        httpx2.DecodingError(""),
        httpx2.StreamClosed(),
        httpx2.InvalidURL(""),
        json.JSONDecodeError("m", "", 0),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "m"),
        ConnectionResetError(),
        AttributeError("quoted prompt"),
        TypeError(),
        KeyError("x"),
        IndexError(),
    ],
    ids=repr,
)
def test_everything_else_depends_on_what_had_come(error: Exception) -> None:
    """Before the first text nobody was there; behind it the answer was cut off."""
    assert isinstance(error, FOREIGN_ERRORS)
    assert type(translate(error, started=False)) is ModelUnavailableError
    assert type(translate(error, started=True)) is ModelInterruptedError
    assert "quoted" not in str(translate(error, started=True))


def test_our_own_errors_and_cancellation_are_not_foreign() -> None:
    """What is ours already, and the end of a task, passes."""
    assert not issubclass(ModelError, FOREIGN_ERRORS)
    assert not isinstance(KeyboardInterrupt(), FOREIGN_ERRORS)
    assert not isinstance(GeneratorExit(), FOREIGN_ERRORS)
