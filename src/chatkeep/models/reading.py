"""The events of an HTTP response, read in time and within bounds."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress

import httpx2

from chatkeep.errors import ModelInterruptedError, ModelUnavailableError
from chatkeep.models.guard import Limits, Pace
from chatkeep.models.http2 import leave
from chatkeep.models.sse import DONE, Event, EventReader
from chatkeep.models.transport import reader_of

_DRAIN_SECONDS = 0.2
_HTML = ("text/html", "application/xhtml")


class EventSource:
    """Reads a response whose body has not been read; one in JSON is a single event.

    Raises, from `read`:
        ModelUnavailableError: A page came in the place of an answer.
        ModelInterruptedError: There is more than the limits allow.
        TimeoutError: Nothing came in time.
    """

    def __init__(self, response: httpx2.Response, pace: Pace, limits: Limits) -> None:
        self._response = response
        self._bytes = reader_of(response) or _iterated(response)
        self._pace = pace
        self._limits = limits
        self._events = EventReader(limits.event)
        self._read = 0
        self._handed_out = False
        self._done = False
        self._whole_body = False
        kind = response.headers.get("content-type", "").lower()
        self._page = kind.startswith(_HTML)
        self._json = kind.startswith("application/json")

    async def read(self) -> list[Event]:
        """Return the events that have come since, at least one; none at the end."""
        if self._page:
            raise ModelUnavailableError
        if self._handed_out:
            self._pace.beat()  # the time that the reader took for them is not the provider's
        if self._json:
            return await self._whole()
        while not self._done:
            data = await self._next()
            events = self._events.end() if data is None else self._events.feed(data)
            self._done = data is None
            for index, event in enumerate(events):
                if event.data.startswith(DONE):
                    self._done = True
                    events = events[:index]
                    break
            if events:
                self._handed_out = True
                return events
        await self.drain()
        return []

    def in_time(self) -> AbstractAsyncContextManager[None]:
        """Return a context in which one timer watches over all that is read."""
        return self._pace.throughout()

    async def aclose(self) -> None:
        """Close the provider's socket, or give it back to the pool if all has been read."""
        if not self._whole_body:
            await leave(self._response)
        await self._response.aclose()

    async def drain(self) -> None:
        """Read the end of the body, without which the connection could not be used again."""
        if self._whole_body:
            return
        with suppress(TimeoutError, httpx2.HTTPError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                self._whole_body = not await self._bytes()

    async def _next(self) -> bytes | None:
        data = await self._pace.awaited(self._bytes())
        if not data:
            self._whole_body = True
            return None
        self._read += len(data)
        if self._read > self._limits.body:
            raise ModelInterruptedError("The answer is longer than this server takes.")
        return data

    async def _whole(self) -> list[Event]:
        if self._done:
            return []
        body = bytearray()
        while (data := await self._next()) is not None:
            body += data
        self._done = True
        return [Event(body.decode("utf-8", "replace"))] if body.strip() else []


def _iterated(response: httpx2.Response) -> Callable[[], Awaitable[bytes]]:
    """Return what reads a response's body, decoded, and nothing at its end."""
    body = response.aiter_bytes()

    async def read() -> bytes:
        return await anext(body, b"")

    return read
