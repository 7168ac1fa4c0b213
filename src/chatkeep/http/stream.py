"""A running turn as an HTTP response."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from chatkeep.protocol.wire import to_ndjson
from chatkeep.turns.engine import Turn

NDJSON = "application/x-ndjson"
SSE = "text/event-stream; charset=utf-8"

_SEND_SECONDS = 60.0

_log = structlog.get_logger(__name__)


class TurnResponse(Response):
    """Sends what a turn produces, as it comes.

    When the client leaves, the turn is stopped and keeps its partial answer. When the client is
    slow, sending waits, and so, behind bounded buffers, does the model; one that takes nothing for
    a minute is taken for gone.

    Args:
        turn: The turn.
        ndjson: One JSON document a line, instead of server-sent events.
        headers: More headers.
        seen: Called when a client that is still there has got all of it.
    """

    def __init__(
        self,
        turn: Turn,
        *,
        ndjson: bool,
        headers: Mapping[str, str],
        seen: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(media_type=NDJSON if ndjson else SSE)
        # No cache may keep it, and nginx must not wait for the end of it.
        self.init_headers({**headers, "Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._turn = turn
        self._ndjson = ndjson
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        del scope
        watch = asyncio.create_task(self._watch(receive), name="disconnect")
        try:
            await self._send(send, self._start())
            async for chunk in self._turn.read():
                await self._send(send, _body(to_ndjson(chunk) if self._ndjson else chunk))
            if not watch.done():
                await self._seen()  # before the end: who asks for the list then finds it read
            await self._send(send, _body(b"", more=False))
        except TimeoutError:
            _log.info("a reader stalled", seconds=_SEND_SECONDS)
        finally:
            self._turn.cancel()
            watch.cancel()

    def _start(self) -> Message:
        return {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }

    async def _send(self, send: Send, message: Message) -> None:
        """Send, but do not wait for ever for somebody who does not read."""
        async with asyncio.timeout(_SEND_SECONDS):
            await send(message)

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._turn.cancel()


def _body(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}
