"""Leaving an answer that comes over HTTP/2.

The client library forgets a stream that is closed early and tells nobody, so that the provider
would write its answer to the end. Here it is told. There is no public way to do so; the names are
pinned with the library's version, and `tests/unit/test_http2.py` has a real server notice.
"""

import asyncio
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import httpx2

_CANCEL = 8
"""The code of RFC 9113, section 7, for a stream that is not needed any more."""

_SECONDS = 1.0
_DEPTH = 8


def available() -> bool:
    """Whether the package that speaks HTTP/2 is installed."""
    return find_spec("h2") is not None


async def leave(response: httpx2.Response) -> None:
    """Tell the server that the rest of a response is not read; nothing over HTTP/1.1.

    The other side being gone: then it needs no telling.
    """
    if response.http_version != "HTTP/2" or (stream := _stream_of(response)) is None:
        return
    connection = stream._connection  # noqa: SLF001 - pinned
    with suppress(Exception):  # it has ended meanwhile, or the connection is gone
        connection._h2_state.reset_stream(stream._stream_id, _CANCEL)  # noqa: SLF001 - pinned
        async with asyncio.timeout(_SECONDS):
            await connection._write_outgoing_data(stream._request)  # noqa: SLF001 - pinned


def _stream_of(response: httpx2.Response) -> Any:
    """Return the innermost stream of a response, which knows its connection."""
    stream: Any = response.stream
    for _ in range(_DEPTH):
        if hasattr(stream, "_connection") and hasattr(stream, "_stream_id"):
            return stream
        stream = getattr(stream, "_httpcore_stream", None) or getattr(stream, "_stream", None)
    return None
