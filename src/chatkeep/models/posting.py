"""Streamed requests, each like the first one that the client made, with other content.

The openai client looks at the types of every field, and puts its headers and its URL together
anew, for each request; that takes longer than sending it. So it makes the first request of a kind,
and what goes out later is a copy of that one, over the same connections.
"""

import json
import ssl
from collections.abc import Mapping
from typing import Any

import anyio
import httpx2
import openai
from openai import AsyncOpenAI, Omit

_KINDS = 16
"""How many kinds of requests are remembered; they differ in their headers."""

# What belongs to one request, and not to its kind.
_OWN_HEADERS = frozenset({b"content-length", b"cookie"})

# What the client is to make of a request itself.
_CLIENTS_BUSINESS = frozenset({"extra_query", "timeout"})

type Fields = dict[str, Any]
type _Kind = tuple[AsyncOpenAI, frozenset[tuple[str, str]]]


class Posts:
    """Sends the streamed requests of one model."""

    def __init__(self) -> None:
        self._first: dict[_Kind, httpx2.Request] = {}

    async def send(self, client: AsyncOpenAI, endpoint: Any, sent: Fields) -> httpx2.Response:
        """Return the response to a streamed request; its body has not been read.

        Args:
            client: Whose connections are used.
            endpoint: What of the client makes a request of its kind: `create` is called for it.
            sent: The arguments of `create`.

        Raises:
            openai.OpenAIError: As `create`.
            httpx2.HTTPError: The request could not be sent.
        """
        kind = _kind_of(client, sent)
        first = self._first.get(kind) if kind is not None else None
        content = _content(sent) if first is not None else None
        if first is not None and content is not None:
            return await _send(client, first, content)
        stream = await endpoint.create(**sent)
        response: httpx2.Response = stream.response
        if kind is not None:
            self._remember(kind, response)
        return response

    def _remember(self, kind: _Kind, response: httpx2.Response) -> None:
        if len(self._first) >= _KINDS:
            self._first.clear()
        # What it was before it was sent on elsewhere, if it was.
        self._first[kind] = (response.history or [response])[0].request


def _kind_of(client: AsyncOpenAI, sent: Fields) -> _Kind | None:
    """Return what requests that are made alike have in common; None for what is one of its kind."""
    if any(sent.get(name) is not None for name in _CLIENTS_BUSINESS):
        return None
    headers = (sent.get("extra_headers") or {}).items()
    if not all(isinstance(value, str) for _, value in headers):
        return None
    return client, frozenset(headers)


def _content(sent: Fields) -> bytes | None:
    """Return the body of a request; None for one that the client has to make."""
    body = {name: value for name, value in sent.items() if not name.startswith("extra_")}
    for name, value in (sent.get("extra_body") or {}).items():
        if isinstance(value, Omit):
            body.pop(name, None)
        else:
            body[name] = value
    try:
        return json.dumps(
            body, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain
        ).encode()
    except TypeError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return value.model_dump(mode="json", by_alias=True, exclude_unset=True)


async def _send(client: AsyncOpenAI, first: httpx2.Request, content: bytes) -> httpx2.Response:
    http = client._client  # noqa: SLF001 - pinned
    headers = [each for each in first.headers.raw if each[0].lower() not in _OWN_HEADERS]
    request = httpx2.Request(
        first.method,
        first.url,
        headers=headers,
        cookies=http.cookies,
        content=content,
        extensions=first.extensions,
    )
    try:
        response = await http.send(request, stream=True)
    except (ssl.SSLError, anyio.EndOfStream) as error:
        raise openai.APIConnectionError(request=request) from error
    if response.is_success:
        return response
    try:
        await response.aread()
    finally:
        await response.aclose()
    raise client._make_status_error_from_response(response)  # noqa: SLF001 - pinned
