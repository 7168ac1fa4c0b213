"""What becomes of connections that fail, in the words of the library that asked for them."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from chatkeep.models.clients import Address, open_client
from chatkeep.models.transport import reader_of

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"


async def read_all(read: Callable[[], Awaitable[bytes]]) -> None:
    """Read to the end."""
    while await read():
        pass


@pytest_asyncio.fixture
async def ask() -> AsyncIterator[Callable[..., Any]]:
    """Ask a server that sends some bytes to whoever asks, and closes the connection."""
    async with AsyncExitStack() as stack:

        async def start(sent: bytes) -> httpx2.Response:
            async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(sent)
                writer.close()

            server = await asyncio.start_server(talk, "127.0.0.1", 0)
            stack.push_async_callback(server.wait_closed)
            stack.callback(server.close)
            port = server.sockets[0].getsockname()[1]
            client = open_client(Address(f"http://127.0.0.1:{port}"))
            stack.push_async_callback(client.close)
            http = client._client
            return await stack.enter_async_context(http.stream("GET", client.base_url))

        yield start


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-", b"no HTTP\r\n\r\n"])
async def test_no_response(ask: Any, sent: bytes) -> None:
    """A connection that ends, or says what is none, is asked for again on a new one."""
    with pytest.raises(httpx2.RemoteProtocolError):
        await ask(sent)


async def test_a_body_that_is_cut(ask: Any) -> None:
    """What has come is read; then it is told."""
    response = await ask(HEAD + b"\r\n3\r\none\r\n5\r\ntw")
    read = reader_of(response)
    assert read is not None
    assert (await read()).startswith(b"one")
    with pytest.raises(httpx2.RemoteProtocolError):
        await read_all(read)


async def test_a_body_that_is_packed_is_unpacked(ask: Any) -> None:
    """By the library: what reads past it knows nothing of that."""
    packed = zlib.compress(b"one")
    head = HEAD + b"Content-Encoding: deflate\r\n\r\n"
    response = await ask(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed))
    assert reader_of(response) is None
    assert await response.aread() == b"one"


async def test_nobody_there() -> None:
    """An address where nobody listens."""
    client = open_client(Address("http://127.0.0.1:1/v1"))
    with pytest.raises(httpx2.ConnectError):
        await client._client.get("http://127.0.0.1:1/v1")
    await client.close()
