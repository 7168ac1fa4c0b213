"""A provider that plays answers from files, byte for byte, as a real one would send them.

A file has the answers to one message: the second one follows the results of the tools that the
first one calls. Each begins with a line of status, content type and, at most, `cut` (the connection
breaks off behind it) and headers; what follows is the body.
"""

import asyncio
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

PROVIDERS = Path(__file__).parent.parent / "wire" / "providers"
_PIECE = 97  # bytes at once: no event, and hardly a character, is left whole


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    kind: str
    body: bytes
    cut: bool
    headers: tuple[str, ...]


def replies(provider: str, case: str) -> list[Reply]:
    """Return the answers of a file."""
    read = []
    for part in (PROVIDERS / provider / f"{case}.http").read_text().split("\n=====\n"):
        first, _, body = part.partition("\n")
        status, kind, *more = first.split()
        headers = tuple(word.replace("=", ": ") for word in more if word != "cut")
        # Editors take blank lines from the end of files.
        sent = f"{body.rstrip()}\n\n".encode()
        read.append(Reply(int(status), kind, sent, "cut" in more, headers))
    return read


def cases(provider: str) -> list[str]:
    """Return the names of the provider's files."""
    return sorted(path.stem for path in (PROVIDERS / provider).glob("*.http"))


class ReplayedProvider:
    """Plays the file that the newest message names: `[tool] what time is it?`."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def base_url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def start(self) -> None:
        """Start to listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def aclose(self) -> None:
        """Close every connection and stop listening."""
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        pairs = (line.partition(":") for line in head.split("\r\n")[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if not body:
            writer.write(_head(200, "application/json") + b"Content-Length: 2\r\n\r\n{}")
            return True
        request = json.loads(body)
        self.requests.append(request)
        self.headers.append(headers)
        reply = self._reply(request)
        writer.write(_head(reply.status, reply.kind, *reply.headers))
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(reply.body), _PIECE):
            piece = reply.body[start : start + _PIECE]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if not reply.cut:
            writer.write(b"0\r\n\r\n")
        return not reply.cut

    def _reply(self, request: dict[str, Any]) -> Reply:
        said = request.get("messages") or request["input"]
        asked = [item for item in said if item.get("role") == "user"]
        named = re.findall(r"\[(\w+)\]", json.dumps(asked[-1]["content"]))
        assert named  # questions without an answer come as one message: the last one counts
        last = said[-1]
        answered = last.get("role") == "tool" or last.get("type") == "function_call_output"
        return replies(self._provider, named[-1])[int(answered)]


def _head(status: int, kind: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Type: {kind}", *headers]
    return ("\r\n".join(lines) + "\r\n").encode()
