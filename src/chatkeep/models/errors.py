"""What a provider's failure means, in our terms.

The answers of providers are not passed on: they may quote the prompt or a part of the key. The
status, the kind and our own sentence are; the original is the `__cause__`, for debug logs.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import httpx2
import openai
from agents.exceptions import ModelBehaviorError

from chatkeep.errors import (
    ModelCredentialsError,
    ModelError,
    ModelInterruptedError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
)

FOREIGN_ERRORS = (
    openai.OpenAIError,
    httpx2.HTTPError,
    httpx2.StreamError,
    httpx2.InvalidURL,
    TimeoutError,
    ConnectionError,
    # Neither SDK checks that JSON has the shape of the protocol: a proxy's page or an error object
    # in place of an answer comes out as whatever the first access to it raises.
    ModelBehaviorError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    RecursionError,
)
"""What the SDKs let through when a provider misbehaves (failures of the transport, of the stream
decoder and of reading the answer come out raw)."""

# The code of OpenAI and those who follow it, and the type that llama.cpp gives.
_TOO_LONG = frozenset({"context_length_exceeded", "exceed_context_size_error"})
# Others say it in words only: vLLM, Mistral, OpenRouter, xAI; Anthropic; Gemini; Groq.
_TOO_LONG_WORDS = re.compile(
    r"(maximum|max|available) (context|prompt)|context (length|window|size)|prompt is too long|"
    r"input token count|reduce the length",
    re.IGNORECASE,
)
_LOOKED_AT = 2_000  # characters: some quote the whole prompt behind what they say of it
_SPENT = "insufficient_quota"
_KINDS: dict[str, type[ModelError]] = {
    "authentication_error": ModelCredentialsError,
    "invalid_api_key": ModelCredentialsError,
    "permission_error": ModelCredentialsError,
    "rate_limit_error": ModelRateLimitError,
    "rate_limit_exceeded": ModelRateLimitError,
    "too_many_requests": ModelRateLimitError,
    "invalid_request_error": ModelRequestError,
    "invalid_prompt": ModelRequestError,
    "BadRequestError": ModelRequestError,
}
_STATUSES = range(400, 600)
_UNAUTHORIZED = (401, 403)
_NOT_FOUND = 404
_REFUSED = (400, 422)
_TOO_MANY = 429


def translate(error: Exception, *, started: bool) -> ModelError:
    """Return the error to raise instead of a foreign one.

    Args:
        error: One of `FOREIGN_ERRORS`.
        started: Whether text of the answer had arrived already.
    """
    match error:
        case openai.APIStatusError() if error.status_code in _REFUSED and _is_too_long(
            (str(error.code), str(error.type)), str(error)
        ):
            return _too_long()
        case openai.APIStatusError():
            return _spent() if error.code == _SPENT else _of_status(error.status_code)
        case TimeoutError() | openai.APITimeoutError() | httpx2.TimeoutException():
            return ModelTimeoutError()
        case _ if started:
            return ModelInterruptedError()
        case _:
            return ModelUnavailableError()


def of_object(error: Any, *, started: bool) -> ModelError:
    """Return the error to raise for an error object that came in the place of an answer.

    Args:
        error: `{"code", "type", "message", ...}`, in which each may be missing, or a text.
        started: Whether text of the answer had arrived already.
    """
    if started:
        return ModelInterruptedError()
    fields = error if isinstance(error, Mapping) else {}
    names = [str(fields.get(name)) for name in ("code", "type", "status")]
    if _is_too_long(names, str(fields.get("message"))):
        return _too_long()
    if _SPENT in names:
        return _spent()
    for name in names:
        if name.isdecimal() and int(name) in _STATUSES:
            return _of_status(int(name))
        if name in _KINDS:
            return _KINDS[name]()
    return ModelUnavailableError()


def _is_too_long(names: Iterable[str], message: str) -> bool:
    if not _TOO_LONG.isdisjoint(names):
        return True
    return _TOO_LONG_WORDS.search(message, 0, _LOOKED_AT) is not None


def _too_long() -> ModelError:
    error = ModelRequestError(
        "This conversation is too long for the model. Start a new one, or choose another."
    )
    error.too_long = True
    return error


def _spent() -> ModelError:
    error = ModelRateLimitError("What this server may use of the model provider is used up.")
    error.spent = True
    return error


_MADE = {402: _spent, 413: _too_long}


def _of_status(status: int) -> ModelError:
    if status in _UNAUTHORIZED:
        return ModelCredentialsError()
    if (make := _MADE.get(status)) is not None:
        return make()
    if status == _TOO_MANY:
        return ModelRateLimitError()
    if status == _NOT_FOUND:
        return ModelRequestError("The model provider does not know this model or address.")
    if status < 500:  # noqa: PLR2004 - the classes of HTTP statuses
        return ModelRequestError(f"The model provider refused the request (HTTP {status}).")
    return ModelUnavailableError()
