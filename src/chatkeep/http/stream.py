"""A running turn as an HTTP response."""

import asyncio
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatkeep.protocol.wire import to_ndjson
from chatkeep.turns.engine import Turn

NDJSON = "application/x-ndjson"
SSE = "text/event-stream; charset=utf-8"


class TurnResponse(Response):
    """Sends what a turn produces, as it comes.

    When the client leaves, the turn is stopped and keeps its partial answer. When the client is
    slow, sending waits, and so, behind a bounded buffer, does the model.
    """

    def __init__(self, turn: Turn, *, ndjson: bool, headers: Mapping[str, str]) -> None:
        super().__init__(media_type=NDJSON if ndjson else SSE)
        # No cache may keep it, and nginx must not wait for the end of it.
        self.init_headers({**headers, "Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._turn = turn
        self._ndjson = ndjson

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        del scope
        watch = asyncio.create_task(self._watch(receive), name="disconnect")
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            async for chunk in self._turn.read():
                body = to_ndjson(chunk) if self._ndjson else chunk
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._turn.cancel()
            watch.cancel()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._turn.cancel()
