"""Bodies of requests as they come, and names of files as they go."""

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request

from chatkeep.http.problems import HTTPProblem

_CHUNK_SECONDS = 30.0


async def stream_body(request: Request, at_most: int) -> AsyncGenerator[bytes]:
    """Yield the body as it comes: neither too much of it, nor too slowly, nor half of it."""
    too_large = HTTPProblem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request may have {at_most} bytes here."
    )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > at_most:
        raise too_large
    received = 0
    stream = request.stream()
    try:
        while True:
            async with asyncio.timeout(_CHUNK_SECONDS):
                chunk = await anext(stream, None)
            if chunk is None:
                return
            received += len(chunk)
            if received > at_most:
                raise too_large
            if chunk:
                yield chunk
    except TimeoutError:
        detail = "The body did not arrive in time."
        raise HTTPProblem(HTTPStatus.REQUEST_TIMEOUT, detail) from None
    except ClientDisconnect:
        detail = "The client left before its body was complete."
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, detail) from None


async def read_json(request: Request, at_most: int) -> bytes:
    """Return a body that says it is JSON."""
    check_json(request)
    return b"".join([chunk async for chunk in stream_body(request, at_most)])


def check_json(request: Request) -> None:
    """Return when a request says that its body is JSON.

    That is also what another site's form cannot say.
    """
    kind = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if kind != "application/json":
        detail = "Send the request as application/json."
        raise HTTPProblem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)


def disposition(kind: str, name: str) -> str:
    """Return a `Content-Disposition` with a name that old clients read too (RFC 6266, 8187)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
