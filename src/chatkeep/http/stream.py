"""Events of turns as an HTTP response."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from enum import Enum
from http import HTTPStatus
from typing import Protocol

import structlog
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from chatkeep.deadline import Deadline
from chatkeep.errors import ChatkeepError
from chatkeep.http.middleware import STRAIGHT
from chatkeep.protocol.wire import farewell_json
from chatkeep.turns.log import Numbered
from chatkeep.turns.reading import Batch, Then

NDJSON = "application/x-ndjson"
SSE = "text/event-stream; charset=utf-8"

_SEND_SECONDS = 60.0
_HEARTBEAT_SECONDS = 15.0

_HEARTBEAT, _END, _RECONNECT = b": \n\n", b": end\n\n", b": reconnect\n\n"

_log = structlog.get_logger(__name__)


class Framing(Enum):
    """How events are written."""

    SSE = "sse"
    """As the SDK writes them."""
    NUMBERED = "numbered"
    """With their numbers, and a comment that says how the body ended."""
    NDJSON = "ndjson"
    """One JSON document a line."""


class Source(Protocol):
    """Where events come from; open while they are read."""

    @property
    def noted(self) -> bool:
        """Whether it is noted already that the user has seen the end."""
        ...

    async def next(self, seconds: float) -> Batch:
        """Return what comes next; nothing if that takes longer than some seconds."""
        ...


class EventsResponse(Response):
    """Sends events as they come, and a sign of life when none come.

    The reader being gone ends the response and nothing else. One that takes nothing for a minute
    is taken for gone; until then it holds what is in the connection's buffer, and one batch.

    Args:
        source: The events.
        framing: How to write them.
        present: Makes an event's JSON what this reader gets.
        headers: More headers.
        first: What was read from the source already.
        seen: Called when a reader that is still there has got all of it.
        left: Called when the reader left before that.
    """

    def __init__(
        self,
        source: AbstractContextManager[Source],
        framing: Framing,
        *,
        present: Callable[[bytes], bytes],
        headers: Mapping[str, str],
        first: Batch | None = None,
        seen: Callable[[], Awaitable[None]] | None = None,
        left: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(media_type=NDJSON if framing is Framing.NDJSON else SSE)
        # No cache may keep it, and nginx must not wait for the end of it.
        self.init_headers({**headers, "Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._source = source
        self._framing = framing
        self._present = present
        self._first = first
        self._seen = seen
        self._left = left
        self._sent_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        straight = scope.get(STRAIGHT, send)
        body = asyncio.create_task(self._body(send, straight), name="events")
        watch = asyncio.create_task(_gone(receive), name="disconnect")
        try:
            await asyncio.wait((body, watch), return_when=asyncio.FIRST_COMPLETED)
            gone = not body.done()
        finally:
            body.cancel()
            watch.cancel()
            await asyncio.wait((body, watch))
        if gone and self._left is not None:
            self._left()
        if not body.cancelled():
            body.result()

    async def _body(self, begin: Send, send: Send) -> None:
        try:
            async with Deadline() as self._deadline:
                await self._send(begin, self._start())
                with self._source as source:
                    complete = await self._events(send, source)
                    if complete and self._seen is not None and not source.noted:
                        await self._seen()  # before the end: who asks for the list finds it read
                    await self._write(send, self._last(complete))
                await self._send(send, _chunk(b"", more=False))
        except TimeoutError:
            _log.info("a reader stalled", seconds=_SEND_SECONDS)
            if self._left is not None:
                self._left()

    async def _events(self, send: Send, source: Source) -> bool:
        """Send what comes; say whether that was all, or the reader is to go elsewhere."""
        batch = self._first or Batch((), Then.MORE)
        try:
            while True:
                await self._write(send, self._framed(batch))
                if batch.then is not Then.MORE:
                    return batch.then is Then.NOTHING
                batch = await source.next(max(self._until_heartbeat(), 0.0))
                if not batch.events and self._until_heartbeat() <= 0:
                    await self._beat(send)
        except ChatkeepError as error:
            _log.info("a reader was sent away", error=type(error).__name__)
            return False

    async def _beat(self, send: Send) -> None:
        """Send a sign of life; JSON documents by the line have none."""
        if self._framing is Framing.NDJSON:
            self._sent_at = asyncio.get_running_loop().time()
        else:
            await self._write(send, _HEARTBEAT)

    def _last(self, complete: bool) -> bytes:
        """Return the last bytes: those that are not all send a reader on, or the user to retry."""
        if self._framing is Framing.NUMBERED:
            return _END if complete else _RECONNECT
        return b"" if complete else self._frame(Numbered(0, farewell_json()))

    def _framed(self, batch: Batch) -> bytes:
        frames = [self._frame(event) for event in batch.events]
        if batch.comment and self._framing is Framing.NUMBERED:
            frames.insert(0, f": {batch.comment}\n\n".encode())
        return b"".join(frames)

    def _frame(self, event: Numbered) -> bytes:
        json = self._present(event.json)
        match self._framing:
            case Framing.SSE:
                return b"data: " + json + b"\n\n"
            case Framing.NUMBERED:
                return b"id: %d\ndata: " % event.number + json + b"\n\n"
            case Framing.NDJSON:
                return json + b"\n"

    def _until_heartbeat(self) -> float:
        return self._sent_at + _HEARTBEAT_SECONDS - asyncio.get_running_loop().time()

    def _start(self) -> Message:
        return {
            "type": "http.response.start",
            "status": int(HTTPStatus.OK),
            "headers": self.raw_headers,
        }

    async def _write(self, send: Send, chunk: bytes) -> None:
        if chunk:
            await self._send(send, _chunk(chunk))

    async def _send(self, send: Send, message: Message) -> None:
        """Send, but do not wait for ever for somebody who does not read."""
        now = asyncio.get_running_loop().time()
        self._deadline.set(now + _SEND_SECONDS)
        await send(message)
        self._deadline.clear()
        self._sent_at = now


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _chunk(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}
