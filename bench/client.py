"""A client that costs little: raw HTTP/1.1 on asyncio, for streams of ChatKit or of a provider."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

type Protocol = Literal["chatkit", "openai", "ag-ui"]

clock = time.perf_counter

# Only an event that contains one of these is parsed; the others are counted.
_MARKS: dict[Protocol, tuple[bytes, ...]] = {
    "chatkit": (b"text_delta", b"thread.created", b"thread.item.done", b'"error"'),
    "openai": (b'"content"', b'"error"'),
    "ag-ui": (b"TEXT_MESSAGE_CONTENT", b"RUN_ERROR"),
}


@dataclass(slots=True)
class Turn:
    """What came of one request."""

    protocol: Protocol
    started: float = 0.0
    first: float | None = None
    """When the first text came."""
    last: float = 0.0
    ended: float = 0.0
    status: int = 0
    gaps: list[float] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    """Of an answer that is not a stream."""
    events: int = 0
    size: int = 0
    error: str | None = None
    thread_id: str | None = None
    done_texts: list[str] = field(default_factory=list)
    """Of the finished assistant messages."""
    cookie: str | None = None

    @property
    def whole_texts(self) -> list[str] | None:
        """Return the texts of the finished messages; None in words that have none."""
        return self.done_texts if self.protocol == "chatkit" else None

    @property
    def text(self) -> str:
        """Return the text of all deltas."""
        return "".join(self.parts)

    def line(self, line: bytes, now: float) -> None:
        """Take in one line of the stream."""
        line = line.removeprefix(b"data:").strip()
        if line[:1] != b"{":
            return
        self.events += 1
        if not any(mark in line for mark in _MARKS[self.protocol]):
            return
        try:
            event = json.loads(line)
        except ValueError:
            self.error = self.error or "an event is not JSON"
            return
        if delta := _delta(self.protocol, event):
            self.parts.append(delta)
            if self.first is None:
                self.first = now
            else:
                self.gaps.append(now - self.last)
            self.last = now
        elif event.get("type") == "thread.created":
            self.thread_id = event["thread"]["id"]
        elif event.get("type") == "thread.item.done":
            if event["item"]["type"] == "assistant_message":
                self.done_texts.append(assistant_text(event["item"]))
        elif event.get("type") in ("error", "RUN_ERROR") or event.get("error"):
            self.error = self.error or "error event: " + line[:200].decode(errors="replace")


def assistant_text(item: dict[str, Any]) -> str:
    """Return the text of an assistant message."""
    return "".join(part["text"] for part in item["content"])


def _delta(protocol: Protocol, event: dict[str, Any]) -> str | None:
    if protocol == "openai":
        choices = event.get("choices")
        return choices[0].get("delta", {}).get("content") if choices else None
    if protocol == "ag-ui":
        return event.get("delta")
    if event.get("type") != "thread.item.updated":
        return None
    update = event["update"]
    is_text = update["type"] == "assistant_message.content_part.text_delta"
    return update["delta"] if is_text else None


class _Connection(asyncio.Protocol):
    """One keep-alive connection; at most one request in flight."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.closed = False
        self._turn: Turn | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._turn is not None:
            self._end(f"the connection was lost ({exc or 'closed by the server'})")

    def send(self, turn: Turn, request: bytes) -> asyncio.Future[None]:
        self._turn = turn
        self._state, self._left, self._buffer, self._text = "head", 0, b"", b""
        self._collect = False
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        turn.started = clock()
        self.transport.write(request)
        return self._done

    def data_received(self, data: bytes) -> None:
        if self._turn is None:
            return
        now = clock()
        data = self._buffer + data if self._buffer else data
        if self._state == "head":
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            self._head(self._turn, data[:end].decode("latin-1"))
            data = data[end + 4 :]
        if self._state == "fixed":
            self._left -= len(data)
            self._take(data, now)
            self._buffer = b""
            if self._left <= 0:
                self._end(None)
            return
        self._chunks(data, now)

    def _head(self, turn: Turn, head: str) -> None:
        status, *lines = head.split("\r\n")
        turn.status = int(status.split(" ", 2)[1])
        self._state = "size"
        for line in lines:
            name, _, value = line.partition(":")
            match name.lower():
                case "content-length":
                    self._state, self._left = "fixed", int(value)
                case "content-type":
                    self._collect = "json" in value
                case "set-cookie":
                    turn.cookie = value.partition(";")[0].strip()

    def _chunks(self, data: bytes, now: float) -> None:
        at, size = 0, len(data)
        while at < size:
            if self._state == "size":
                end = data.find(b"\r\n", at)
                if end < 0:
                    break
                self._left = int(data[at:end].split(b";", 1)[0], 16)
                at = end + 2
                self._state = "chunk" if self._left else "trailer"
            elif self._state == "chunk":
                take = min(self._left, size - at)
                self._take(data[at : at + take], now)
                self._left -= take
                at += take
                if not self._left:
                    self._state = "line end"
            elif size - at < 2:  # a line end, or the empty trailer
                break
            elif self._state == "trailer":
                self._end(None)
                return
            else:
                at += 2
                self._state = "size"
        self._buffer = data[at:]

    def _take(self, piece: bytes, now: float) -> None:
        turn = self._turn
        assert turn is not None
        turn.size += len(piece)
        if turn.status >= 400 or self._collect:
            turn.body += piece
            return
        *lines, self._text = (self._text + piece).split(b"\n")
        for line in lines:
            if line:
                turn.line(line, now)

    def _end(self, error: str | None) -> None:
        turn, self._turn = self._turn, None
        assert turn is not None
        turn.ended = clock()
        if error is None and turn.status >= 400:
            error = f"HTTP {turn.status}: {bytes(turn.body[:200])!r}"
        if error is None and self._text:
            error = "the stream ended in the middle of a line"
        turn.error = turn.error or error
        if not self._done.done():
            self._done.set_result(None)


class Pool:
    """Connections to one URL."""

    def __init__(self, url: str, headers: list[str] | None = None) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "127.0.0.1", parts.port or 80
        self._free: list[_Connection] = []
        self._head = "\r\n".join(
            [
                f"POST {parts.path or '/'} HTTP/1.1",
                f"Host: {parts.netloc}",
                "Accept: text/event-stream",
                "Content-Type: application/json",
                *(headers or []),
                "",
            ]
        )

    async def call(
        self,
        body: dict[str, Any],
        *,
        protocol: Protocol = "chatkit",
        cookie: str | None = None,
        seconds: float = 60,
    ) -> Turn:
        """Make one request; what goes wrong is the turn's `error`."""
        turn, data = Turn(protocol), json.dumps(body).encode()
        head = self._head + (f"Cookie: {cookie}\r\n" if cookie else "")
        request = f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data
        connection = None
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connect()
                await connection.send(turn, request)
        except (OSError, TimeoutError) as error:
            turn.error = turn.error or f"{type(error).__name__} {error}"
            turn.ended = turn.ended or clock()
            if connection is not None:
                connection.transport.abort()
            return turn
        if not connection.closed:
            self._free.append(connection)
        return turn

    async def _connect(self) -> _Connection:
        while self._free:
            connection = self._free.pop()
            if not connection.closed:
                return connection
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(_Connection, *self._address))[1]

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._free:
            self._free.pop().transport.close()
