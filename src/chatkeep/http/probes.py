"""Is it alive, may it get traffic, and what is wrong."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse, Response

from chatkeep.errors import ChatkeepError

type Ping = Callable[[], Awaitable[None]]

_PING_SECONDS = 2.0


class Health:
    """Readiness is a loop over the pings of what the server depends on.

    Args:
        pings: What it cannot do without.
        models: Says how the models are. A provider that is gone is no reason to send nobody here:
            no other instance could do better, and conversations can be read all the same.
        overloaded: Says whether new turns are refused. That is no reason either: what runs here is
            read on here.
    """

    def __init__(
        self,
        pings: Mapping[str, Ping],
        models: Callable[[], Awaitable[str]] | None = None,
        overloaded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._pings = pings
        self._models = models
        self._overloaded = overloaded
        self.draining = False

    def live(self) -> Response:
        """Answer as long as the event loop runs; a database that is gone is no reason to die."""
        return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})

    async def ready(self) -> Response:
        """Answer 200 when the server may get traffic."""
        return await self._report({})

    async def report(self) -> Response:
        """Answer as `ready` does, and say how the models are, and whether turns are refused."""
        models = {"models": await self._models_state()} if self._models else {}
        return await self._report({**models, "load": "high" if self._overloaded() else "ok"})

    async def _models_state(self) -> str:
        try:
            async with asyncio.timeout(_PING_SECONDS):
                return await self._models() if self._models else "ok"
        except TimeoutError:
            return "unavailable"

    async def _report(self, others: Mapping[str, str]) -> Response:
        states = {} if self.draining else await self._states()
        good = not self.draining and all(state == "ok" for state in states.values())
        status = "draining" if self.draining else "ok" if good else "unavailable"
        return JSONResponse(
            {"status": status, "dependencies": states, **others},
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
