"""Is it alive, may it get traffic, and what is wrong."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse, Response

from chatkeep.errors import ChatkeepError

type Ping = Callable[[], Awaitable[None]]

_PING_SECONDS = 2.0


class Health:
    """Readiness is a loop over the pings of what the server depends on."""

    def __init__(self, pings: Mapping[str, Ping]) -> None:
        self._pings = pings
        self.draining = False

    def live(self) -> Response:
        """Answer as long as the event loop runs; a database that is gone is no reason to die."""
        return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})

    async def ready(self) -> Response:
        """Answer 200 when the server may get traffic."""
        states = {} if self.draining else await self._states()
        good = not self.draining and all(state == "ok" for state in states.values())
        status = "draining" if self.draining else "ok" if good else "unavailable"
        return JSONResponse(
            {"status": status, "dependencies": states},
            HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE,
            headers={"Cache-Control": "no-store"},
        )

    async def _states(self) -> dict[str, str]:
        async def state(ping: Ping) -> str:
            try:
                async with asyncio.timeout(_PING_SECONDS):
                    await ping()
            except (ChatkeepError, TimeoutError):
                return "unavailable"
            return "ok"

        names = list(self._pings)
        found = await asyncio.gather(*(state(self._pings[name]) for name in names))
        return dict(zip(names, found, strict=True))
