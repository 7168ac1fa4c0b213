"""An instance without sockets, threads of its own or a clock, for tests that count awaits."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from agents import Agent, Model
from chatkit.server import ChatKitServer
from sqlalchemy import text
from starlette.requests import Request

from chatkeep.agent.convert import ItemConverter
from chatkeep.agent.files import FileParts
from chatkeep.agent.recall import Recall
from chatkeep.context import Principal, RequestContext
from chatkeep.errors import ChatkeepError
from chatkeep.files.attachments import Attachments, FileLimits
from chatkeep.files.memory import MemoryStorage
from chatkeep.files.signing import LinkSigner
from chatkeep.http.routes import ChatKitEndpoint
from chatkeep.http.stream import EventsResponse, Framing
from chatkeep.models.catalog import Catalog, ModelEntry
from chatkeep.models.prices import Prices
from chatkeep.ports import Credentials, Identity
from chatkeep.protocol.accounting import Accounting, Limits
from chatkeep.protocol.answers import Answers
from chatkeep.protocol.hosting import Host, make_server
from chatkeep.protocol.preflight import Preflight
from chatkeep.protocol.server import ChatkeepServer
from chatkeep.stores import open_store
from chatkeep.turns.admission import Admission, Bounds
from chatkeep.turns.bell import Bell
from chatkeep.turns.engine import TurnEngine
from chatkeep.turns.reading import TurnReader
from chatkeep.turns.recovery import Recovery
from support.faults import Faults
from support.visitor import Sent

LEASE = 15.0
"""Seconds, by the database's clock, which is no test's."""

_LIMITS = FileLimits(10_000, ("text/*",), 10**9, 600, 600)


class Shared:
    """What instances share: a database and files."""

    def __init__(self) -> None:
        self.store: Any = open_store("memory://", data_dir=Path())
        self.storage = MemoryStorage()

    @property
    def busy(self) -> bool:
        """Whether the database works."""
        return bool(self.underway)

    @property
    def underway(self) -> set[asyncio.Task[Any]]:
        """What the database works on."""
        running: set[asyncio.Task[Any]] = self.store._db._underway._running
        return running

    async def expire(self) -> None:
        """Let the time of every lease be over."""
        expired = text("UPDATE turns SET lease_until = 0 WHERE lease_until IS NOT NULL")
        await self.store._db.write(lambda connection: connection.execute(expired, {}))


class Instance:
    """One instance, for one user.

    Args:
        shared: The database and the files.
        user: The user.
        agent: What answers.
        model: The agent's model.
        faults: What goes wrong here.
        hosted: Makes the server of somebody else that answers instead.
    """

    def __init__(
        self,
        shared: Shared,
        user: str,
        agent: Callable[[Model, Faults], Agent[Any]],
        model: Model,
        faults: Faults | None = None,
        hosted: Callable[[Faults], ChatKitServer[Any]] | None = None,
    ) -> None:
        self.faults = faults = faults or Faults()
        self._shared = shared
        self._principal = Principal("tenant", user, "key")
        self.context = RequestContext(self._principal, request_id="req")
        self.store = faults.store(shared.store)
        faulty = faults.model(model)
        catalog = Catalog([ModelEntry("model", "Model", "A model", faulty)])
        self.attachments = Attachments(
            self.store, faults.storage(shared.storage), LinkSigner(b"key"), _LIMITS
        )
        files = FileParts(self.attachments.read, image_bytes=0, text_tokens=1000)
        own = ChatkeepServer(
            self.store,
            catalog,
            agent(faulty, faults),
            titles_by_model=False,
            attachments=self.attachments,
            recall=Recall(self.store, ItemConverter(files)),
        )
        server: ChatKitServer[Any] = own
        if hosted is not None:
            server = make_server(hosted(faults), self.store, self.attachments)
        accounting = Accounting(Prices(), Limits(), catalog)
        host = Host(server, self.store, self.attachments, own=hosted is None, accounting=accounting)
        self._host = host
        self.engine = TurnEngine(self.store, host, Bell(), lease=LEASE)
        self.recovery = Recovery(self.store, self.engine)
        self._endpoint = ChatKitEndpoint(
            host=host,
            answers=Answers(host, self.store, self.attachments),
            preflight=Preflight(self.store, catalog, self.attachments, host.offered),
            engine=self.engine,
            admission=Admission(Bounds(100, 0, 100), lambda: len(self.engine.running)),
            store=self.store,
            authenticators=[self],
            max_body_bytes=100_000,
        )

    async def take_over(self) -> None:
        """Take over what an instance has left that is gone, or has given up."""
        await self._shared.expire()
        await self.recovery.take_all()

    async def authenticate(self, credentials: Credentials) -> Identity:
        """Return the user."""
        del credentials
        return Identity(self._principal)

    async def send(self, sent: Sent) -> None:
        """Send a message and read what comes, for as long as something comes."""
        sent.bodies.append("cut")
        with suppress(ChatkeepError):
            response = await self._endpoint(_request(sent))
            sent.turn_id = response.headers["X-Chatkeep-Turn"]
            await _read(response, sent)

    async def resume(self, sent: Sent) -> None:
        """Read on behind what was shown."""
        assert sent.turn_id
        reader = TurnReader(self.engine, self.store, sent.turn_id, sent.last, self.context)
        sent.bodies.append("cut")
        await _read(self._events(reader), sent)

    def _events(self, reader: TurnReader) -> EventsResponse:
        def present(json: bytes) -> bytes:
            return self._host.present(json, self.context)

        return EventsResponse(reader, Framing.NUMBERED, headers={}, present=present)


async def _read(response: Any, sent: Sent) -> None:
    """Run a response, and write down what it sends."""
    buffer = b""

    async def send(message: Any) -> None:
        nonlocal buffer
        *frames, buffer = (buffer + message.get("body", b"")).split(b"\n\n")
        for frame in frames:
            if frame in (b": end", b": reconnect"):
                sent.bodies[-1] = frame[2:].decode()
            elif frame.startswith(b"id: "):
                number, _, data = frame.partition(b"\n")
                sent.heard(int(number[4:]), json.loads(data.removeprefix(b"data: ")))

    await response({"type": "http"}, _stay, send)


async def _stay() -> Any:
    await asyncio.Event().wait()


def _request(sent: Sent) -> Request:
    body = json.dumps(sent.body).encode()
    headers = {
        "content-type": "application/json",
        "idempotency-key": sent.key,
        "x-chatkeep-events": "numbered",
        "host": "chat",
    }
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/chatkit",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "state": {"request_id": "req"},
    }
    return Request(scope, _once(body))


def _once(body: bytes) -> Callable[[], Awaitable[Any]]:
    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
