"""Connections to providers, read by aiohttp, whose parser is compiled.

httpx2 makes the requests, follows redirects and decodes; what it reads with costs several times as
much for each token. Proxies and HTTP/2 are httpx2's own: `clients.py` chooses.
"""

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import aiohttp
import httpx2

_READ = "chatkeep.read"

# The first that fits. A connection that the other side has closed is no failure to connect.
_ERRORS: tuple[tuple[type[Exception], type[httpx2.RequestError]], ...] = (
    (aiohttp.ServerDisconnectedError, httpx2.RemoteProtocolError),
    (aiohttp.ServerTimeoutError, httpx2.ConnectTimeout),
    (aiohttp.ClientConnectorError, httpx2.ConnectError),
    (aiohttp.ClientSSLError, httpx2.ConnectError),
    (aiohttp.InvalidURL, httpx2.UnsupportedProtocol),
    (aiohttp.ClientPayloadError, httpx2.RemoteProtocolError),
    (aiohttp.ClientResponseError, httpx2.RemoteProtocolError),
    (aiohttp.ClientError, httpx2.ReadError),
    (ConnectionError, httpx2.ReadError),
)
_FOREIGN = tuple(foreign for foreign, _ in _ERRORS)


def reader_of(response: httpx2.Response) -> Callable[[], Awaitable[bytes]] | None:
    """Return what reads a body as it comes, and nothing at its end, past httpx2.

    None if the body has to be decoded, or came by another transport.
    """
    read: Callable[[], Awaitable[bytes]] | None = response.extensions.get(_READ)
    return None if "content-encoding" in response.headers else read


class Transport(httpx2.AsyncBaseTransport):
    """A pool of connections by HTTP/1.1, without a proxy.

    Args:
        verify: Who is trusted.
        limits: Of the pool.
        connect: Seconds that a connection may take.
    """

    def __init__(self, verify: ssl.SSLContext, limits: httpx2.Limits, connect: float) -> None:
        self._verify = verify
        self._limits = limits
        # Deadlines are set on the whole stream, not on a read.
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect)
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and return its response with a body that has not been read."""
        body = await request.aread()
        with _translated():
            response = await self._opened().request(
                request.method,
                str(request.url),
                headers=request.headers.multi_items(),
                data=body or None,
                allow_redirects=False,
                timeout=self._timeout,
            )
        body_of = _Body(response)
        return httpx2.Response(
            response.status,
            headers=list(response.raw_headers),
            stream=body_of,
            extensions={"http_version": b"HTTP/1.1", _READ: body_of.read},
        )

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._limits.max_connections or 0,
                keepalive_timeout=self._limits.keepalive_expiry,
                ssl=self._verify,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return self._session


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._content = response.content

    async def read(self) -> bytes:
        """Return what has come, as soon as something has; nothing at the end."""
        try:
            return await self._content.readany()
        except _FOREIGN as error:
            raise _ours(error) from error

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        while data := await self.read():
            yield data

    async def aclose(self) -> None:
        """Close the connection, unless the body was read to its end: then it is in the pool."""
        self._response.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _FOREIGN as error:
        raise _ours(error) from error


def _ours(error: Exception) -> httpx2.RequestError:
    kind = next(ours for foreign, ours in _ERRORS if isinstance(error, foreign))
    return kind(str(error))
