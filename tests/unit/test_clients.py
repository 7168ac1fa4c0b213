"""Connections to endpoints: keys, headers, proxies, authorities, and what becomes of them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chatkeep.errors import ModelUnavailableError, SettingsError
from chatkeep.models import clients
from chatkeep.models.clients import Address, Endpoint, open_client
from support.certificates import Authority

type Serve = Callable[..., Awaitable[int]]

LIST = b'{"object": "list", "data": []}'


class Requests(list[dict[str, str]]):
    """The headers of the requests that came, and how many connections they came by."""

    connections = 0


@pytest.fixture
def requests() -> Requests:
    """What the test's server was asked."""
    return Requests()


@pytest_asyncio.fixture
async def serve(requests: Requests) -> AsyncIterator[Serve]:
    """Start servers that answer every request with an empty list; return the port."""
    async with AsyncExitStack() as stack:

        async def start(context: ssl.SSLContext | None = None, *, answers: int = 1_000) -> int:
            async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                requests.connections += 1
                for _ in range(answers):
                    try:
                        head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    except asyncio.IncompleteReadError:
                        break
                    line, *fields = head.strip().split("\r\n")
                    pairs = (field.split(": ", 1) for field in fields)
                    requests.append({"line": line, **{n.lower(): v for n, v in pairs}})
                    size = f"HTTP/1.1 200 OK\r\nContent-Length: {len(LIST)}\r\n\r\n"
                    writer.write(size.encode() + LIST)
                    await writer.drain()
                writer.close()

            server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
            stack.push_async_callback(server.wait_closed)
            stack.callback(server.close_clients)
            stack.callback(server.close)
            port: int = server.sockets[0].getsockname()[1]
            return port

        yield start


@pytest_asyncio.fixture
async def opened() -> AsyncIterator[Callable[..., Endpoint]]:
    """Open endpoints; closed at the end."""
    async with AsyncExitStack() as stack:

        def make(base_url: str, **fields: Any) -> Endpoint:
            endpoint = Endpoint(Address(base_url, **fields), "Look there.")
            stack.push_async_callback(endpoint.aclose)
            return endpoint

        yield make


async def test_key_and_headers_are_sent(serve: Serve, opened: Any, requests: Requests) -> None:
    """With every request, and by one connection for all that come one after another."""
    base_url = f"http://127.0.0.1:{await serve()}/v1"
    endpoint = opened(base_url, key="sk-1", headers={"X-Team": "chat"})
    for _ in range(3):
        await endpoint.probe()
    assert [each["authorization"] for each in requests] == ["Bearer sk-1"] * 3
    assert [each["x-team"] for each in requests] == ["chat"] * 3
    assert requests.connections == 1


async def test_a_proxy_of_its_own(serve: Serve, opened: Any, requests: Requests) -> None:
    """An endpoint that is reached through a proxy, whatever the environment says."""
    proxy = f"http://user:word@127.0.0.1:{await serve()}"
    await opened("http://somewhere.invalid/v1", proxy=proxy).probe()
    assert requests[0]["line"] == "GET http://somewhere.invalid/v1/models HTTP/1.1"
    assert "proxy-authorization" in requests[0]


async def test_private_authorities(serve: Serve, opened: Any, tmp_path: Path) -> None:
    """Only who shows a certificate of theirs is believed; others are not asked again for long."""
    authority, stranger = Authority("ours"), Authority("theirs")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate, key = authority.issue("localhost")
    (tmp_path / "server.pem").write_bytes(certificate + key)
    context.load_cert_chain(tmp_path / "server.pem")
    base_url = f"https://localhost:{await serve(context)}/v1"
    for name, made_by in (("ours", authority), ("theirs", stranger)):
        (tmp_path / name).write_bytes(made_by.certificate)

    await opened(base_url, ca_file=tmp_path / "ours").probe()
    for refused in (opened(base_url, ca_file=tmp_path / "theirs"), opened(base_url)):
        with pytest.raises(ModelUnavailableError):
            await refused.probe()


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_authorities_that_are_none_stop_the_start(tmp_path: Path, content: str | None) -> None:
    """One line with the setting and the reason."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"^models\.endpoints\.x\.ca_file: .*set a file"):
        open_client(Address("https://h/v1", ca_file=path, named="models.endpoints.x"))


def test_a_proxy_that_cannot_be_used_stops_the_start() -> None:
    """The line names the setting, and not the password in it."""
    address = Address("http://h/v1", proxy="ftp://user:word@h", named="models.endpoints.x")
    with pytest.raises(SettingsError, match=r"^models\.endpoints\.x\.proxy: ") as caught:
        open_client(address)
    assert "word" not in str(caught.value)


def test_nothing_secret_is_shown() -> None:
    """Of an address in a traceback or a log."""
    address = Address(
        "http://user:word@h:1/v1", key="sk-1", headers={"X": "sk-2"}, proxy="http://u:sk-3@p"
    )
    assert "sk-" not in repr(address)
    assert address.place == "h:1"


async def test_the_state_is_asked_for_once(
    serve: Serve, opened: Any, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many who ask make one probe; when that is old, there is another."""
    endpoint = opened(f"http://127.0.0.1:{await serve()}/v1")
    assert await asyncio.gather(*(endpoint.works() for _ in range(20))) == [True] * 20
    assert len(requests) == 1
    monkeypatch.setattr(clients, "_FRESH_SECONDS", -1)
    assert await endpoint.works()
    assert len(requests) == 2


async def test_an_endpoint_that_is_gone_does_not_work(opened: Any) -> None:
    """Nor one that is left alone; nobody is asked then."""
    assert not await opened("http://127.0.0.1:1/v1").works()


async def test_closing_ends_a_probe_that_hangs(opened: Any) -> None:
    """An endpoint that never answers does not hold the end up."""
    reached = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read(1_000_000)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    endpoint = opened(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    asking = asyncio.create_task(endpoint.works())
    await reached.wait()
    await endpoint.aclose()
    await asyncio.wait([asking])
    assert asking.cancelled()
    server.close()
    server.close_clients()
    await server.wait_closed()
