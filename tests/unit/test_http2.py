"""A provider that speaks HTTP/2: one connection for all answers, and one that is left is reset."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from agents import ModelSettings
from agents.models.interface import ModelTracing
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset

from chatkeep.errors import SettingsError
from chatkeep.models import clients, http2
from chatkeep.models.clients import Address, open_client
from chatkeep.models.compatible import CompatibleModel
from chatkeep.models.guard import Deadlines
from support.certificates import Authority
from support.waiting import until

HEADERS = [(":status", "200"), ("content-type", "text/event-stream")]
WORD = b'data: {"choices": [{"index": 0, "delta": {"content": "word "}}]}\n\n'
END = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


class Provider:
    """Writes a word for each request; the first answer of all never ends.

    Attributes:
        connections: How many there were.
        left: The streams that the client has reset.
        ended: The streams that were written to their end.
    """

    def __init__(self) -> None:
        self.connections = 0
        self.left: list[int] = []
        self.ended: list[int] = []
        self._server: asyncio.Server | None = None

    @property
    def base_url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"https://localhost:{self._server.sockets[0].getsockname()[1]}/v1"

    async def start(self, context: ssl.SSLContext) -> None:
        """Start to listen."""
        self._server = await asyncio.start_server(self._serve, "localhost", 0, ssl=context)

    async def aclose(self) -> None:
        """Close everything."""
        assert self._server is not None
        self._server.close()
        self._server.close_clients()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        with suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65_536):
                for event in connection.receive_data(data):
                    self._take(connection, event)
                writer.write(connection.data_to_send())
                await writer.drain()
        writer.close()

    def _take(self, connection: H2Connection, event: Any) -> None:
        match event:
            case RequestReceived():
                connection.send_headers(event.stream_id, HEADERS)
            case DataReceived():
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamEnded():
                connection.send_data(event.stream_id, WORD)
                if event.stream_id > 1:
                    connection.send_data(event.stream_id, END, end_stream=True)
                    self.ended.append(event.stream_id)
            case StreamReset():
                self.left.append(event.stream_id)
            case _:
                pass


@pytest_asyncio.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Provider]:
    """A provider behind TLS, whose authority is in the file `ca`."""
    authority = Authority("ours")
    certificate, key = authority.issue("localhost")
    (tmp_path / "ca").write_bytes(authority.certificate)
    (tmp_path / "pem").write_bytes(certificate + key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "pem")
    context.set_alpn_protocols(["h2", "http/1.1"])
    made = Provider()
    await made.start(context)
    yield made
    await made.aclose()


def asked(model: CompatibleModel) -> Any:
    """Ask for an answer, which is streamed."""
    return model.stream_response(
        None,
        "question",
        ModelSettings(),
        [],
        None,
        [],
        ModelTracing.DISABLED,
        previous_response_id=None,
        conversation_id=None,
        prompt=None,
    )


async def test_an_answer_that_is_left_is_reset(provider: Provider, tmp_path: Path) -> None:
    """The provider hears of it, and the connection goes on with other answers."""
    client = open_client(Address(provider.base_url, ca_file=tmp_path / "ca", http2=True))

    async def prepare() -> Any:
        return client, "model"

    model = CompatibleModel(prepare, Deadlines())
    async with aclosing(asked(model)) as events:
        async for event in events:
            if event.type == "response.output_text.delta":
                break
        assert provider.left == []
    await until(lambda: provider.left == [1])

    async with aclosing(asked(model)) as events:
        kinds = [event.type async for event in events]

    assert kinds[-1] == "response.completed"
    assert (provider.left, provider.ended, provider.connections) == ([1], [3], 1)
    await client.close()


async def test_without_its_package_the_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who asks for HTTP/2 must not get HTTP/1.1 without a word."""
    monkeypatch.setattr(clients, "available", lambda: False)
    address = Address("https://host/v1", http2=True, named="models.endpoints.x")
    with pytest.raises(SettingsError, match=r"models\.endpoints\.x\.http2: .*chatkeep\[http2\]"):
        open_client(address)
    assert http2.available()
