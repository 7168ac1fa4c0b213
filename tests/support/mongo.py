"""A MongoDB server for the tests: the one that a variable names, or a stand-in of their own.

MongoDB's own server is in no package registry. The stand-in is another implementation of its
protocol, with sessions and transactions, on the same storage engine. It is started as a program,
and asked what it can do: nothing in the store knows of it.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

VARIABLE = "CHATKEEP_TEST_MONGODB_URL"
"""Names a replica set: `mongodb://127.0.0.1:27017/?replicaSet=rs0`. Databases that begin with
`chatkeep_test_` are made in it, and dropped."""

NAMED = os.environ.get(VARIABLE)

OpenMongo = Callable[..., Awaitable[Any]]


class StandIn:
    """The program, on a port and in a directory of its own."""

    def __init__(self, *options: str) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="chatkeep-mongo-"))
        self._options = options
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def installed() -> bool:
        """Say whether there is one for this platform."""
        return find_spec("secantus") is not None

    @property
    def url(self) -> str:
        """The URL, without a database."""
        return f"mongodb://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start, and wait until it answers."""
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        storage = ["--storage-path", str(self._home / "data"), "--cache-size", "256M"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "secantus", *address, *storage, *self._options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._home,
        )
        end = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, "the server ended"
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """End it and delete everything."""
        self.kill()
        shutil.rmtree(self._home, ignore_errors=True)

    def _answers(self) -> bool:
        with MongoClient[Any](self.url, serverSelectionTimeoutMS=200) as client:
            try:
                client.admin.command("ping")
            except PyMongoError:
                return False
            return True


class MongoServer:
    """A server with replica set, wherever it is."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._made: list[str] = []
        self._prefix = f"chatkeep_test_{os.urandom(4).hex()}"

    def url(self, database: str, address: str | None = None, **parameters: object) -> str:
        """Return the URL of a database, at another address if one is named."""
        # Often looked for: tests lose servers on purpose.
        query = {"heartbeatFrequencyMS": "500", **dict(parse_qsl(self._url.query))}
        query |= {name: str(value) for name, value in parameters.items()}
        netloc = self._url.netloc
        if address is not None:
            netloc = netloc.rpartition("@")[0] + ("@" if "@" in netloc else "") + address
            query.pop("replicaSet", None)
            query["directConnection"] = "true"
        return f"{self._url.scheme}://{netloc}/{database}?{urlencode(query)}"

    def address(self) -> tuple[str, int]:
        """Return where a member listens."""
        host, port = parse_uri(self.url("test"))["nodelist"][0]
        return host, port

    def database(self) -> str:
        """Return the name of a new database, dropped at the end."""
        self._made.append(f"{self._prefix}_{len(self._made)}")
        return self._made[-1]

    @cached_property
    def client(self) -> MongoClient[dict[str, Any]]:
        """The driver's own client, beside the store."""
        return MongoClient(self.url("test"), serverSelectionTimeoutMS=20_000)

    def can_fail_on_purpose(self) -> bool:
        """Say whether the server takes fail points."""
        try:
            self.client.admin.command("configureFailPoint", "failCommand", mode="off")
        except PyMongoError:
            return False
        return True

    def plans_well(self) -> bool:
        """Say whether its plans use an index's fields and order when there are more conditions."""
        collection = self.client[self.database()]["probe"]
        collection.create_index([("a", 1), ("b", 1)])
        plan = str(collection.find({"a": 1, "c": None}).sort("b").explain())
        return "'SORT'" not in plan and "'COLLSCAN'" not in plan

    def drop(self) -> None:
        """Drop what was made."""
        for name in self._made:
            self.client.drop_database(name)
        self.client.close()


class Relay:
    """Passes the protocol's messages on, and loses what it is told to lose."""

    def __init__(self) -> None:
        self.address = ""
        self.lost = 0
        """How many answers were lost."""
        self._held: list[bytes] = []
        self._losing: tuple[str, int, int] | None = None
        self._asked = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open = True
        self._connections: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def to(cls, host: str, port: int) -> AsyncIterator["Relay"]:
        """Listen on a port of its own."""
        relay = cls()
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            await relay._serve(reader, writer, host, port)
            tasks.discard(task)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        relay.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield relay
        finally:
            relay.release()
            server.close()
            relay.cut()
            if tasks:
                await asyncio.wait(tasks)

    def lose_answers(self, command: str, every: int = 1, most: int = 1000) -> None:
        """Break the connection instead of passing on the answer to a command.

        Args:
            command: The command's name.
            every: 1 loses each answer, 2 every other one, beginning with the second.
            most: So many are lost at most.
        """
        self._losing = (command, every, self.lost + most)
        self._asked = 0

    def cut(self) -> None:
        """Break every connection, and each new one."""
        self._open = False
        for writer in self._connections:
            writer.close()

    def mend(self) -> None:
        """Lose nothing any more."""
        self._losing, self._open = None, True

    def hold(self) -> None:
        """Keep every answer back."""
        self._flowing.clear()

    def holds(self, command: str) -> bool:
        """Say whether an answer to this command is kept back."""
        return any(_is(command, request) for request in self._held)

    def release(self) -> None:
        """Let the answers go."""
        self._flowing.set()

    async def _serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        host: str,
        port: int,
    ) -> None:
        if not self._open:
            writer.close()
            return
        back, forth = await asyncio.open_connection(host, port)
        self._connections |= {writer, forth}
        asked: list[bytes] = []
        tasks = [
            asyncio.create_task(self._requests(reader, forth, asked)),
            asyncio.create_task(self._answers(back, writer, asked)),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, forth):
            each.close()
            self._connections.discard(each)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_lost(self, request: bytes) -> bool:
        if self._losing is None or not _is(self._losing[0], request):
            return False
        _, every, last = self._losing
        self._asked += 1
        lost = self._asked % every == 0 and self.lost < last
        self.lost += lost
        return lost

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[bytes]
    ) -> None:
        async for request in _messages(reader):
            asked.append(request)
            writer.write(request)
            await writer.drain()

    async def _answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[bytes]
    ) -> None:
        async for answer in _messages(reader):
            request = asked.pop(0) if asked else b""  # a monitor gets several to one
            self._held.append(request)
            try:
                await self._flowing.wait()
            finally:
                self._held.remove(request)
            if self._is_lost(request):
                return
            writer.write(answer)
            await writer.drain()


def _is(command: str, request: bytes) -> bool:
    """Say whether a request asks for a command: its name is the first in the message."""
    return command.encode() + b"\0" in request[:100]


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    try:
        while True:
            length = await reader.readexactly(4)
            yield length + await reader.readexactly(int.from_bytes(length, "little") - 4)
    except (asyncio.IncompleteReadError, ConnectionError):
        return
