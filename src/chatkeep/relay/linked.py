"""A relay through a server: bounded sending, connecting again, and knowing whether it works.

* This instance's own waiters are woken directly; the server is for the others.
* What waits to be sent is a set of ids with a limit. Without a connection nothing waits: a late
  wake-up is worth nothing, the store has been looked at by then.
* A message to oneself goes round after connecting and then now and then. While it comes back the
  relay is live; when it does not, the connection is dropped and made anew. That finds a server
  that hangs, a network that swallows, and a right that is missing, all in the same way.
"""

import asyncio
import random
import secrets
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from chatkeep.errors import RelayUnavailableError
from chatkeep.ports import Relay, Wake
from chatkeep.relay.messages import pack, unpack
from chatkeep.relay.waking import MOST, Batch, guarded

_JOIN = 0.005
"""Seconds in which ids are joined to one message."""
_ANSWER = 5.0
"""Seconds that the server may take for anything."""
_BEAT = 10.0
"""Seconds between two messages to oneself."""
_LAST = 1.0
"""Seconds in which the last ids are sent at the end."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds before connecting again, doubled each time; a random part of them is left out."""

_SILENT = "it does not answer"

_log = structlog.get_logger(__name__)

type Receive = Callable[[str], None]


class Link(ABC):
    """A connection to a server. Each method raises RelayUnavailableError when it is lost."""

    steady = True
    """False when something between us and the server may keep messages from us."""

    @abstractmethod
    async def listen(self) -> None:
        """Pass messages on until the connection is lost; it never just returns."""

    @abstractmethod
    async def send(self, messages: Sequence[str]) -> None:
        """Hand messages to everybody who listens. One call at a time."""

    @abstractmethod
    async def aclose(self) -> None:
        """Give the connection up, lost or not. Does not raise."""


type Connect = Callable[[Receive], Awaitable[Link]]
"""Makes a connection that passes on what it receives, or raises RelayUnavailableError."""


class LinkedRelay(Relay):
    """Wake-ups through a server.

    Attributes:
        dropped: How many ids were not sent since the relay was made.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._me = secrets.token_hex(8)
        self.dropped = 0
        self._batch: Batch | None = None
        self._wake: Wake = lambda _: None
        self._running: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._live = False
        self._fault: RelayUnavailableError | None = None
        self._tried = asyncio.Event()  # it is known whether the server is there
        self._outbox: dict[str, None] = {}
        self._due, self._sent = asyncio.Event(), asyncio.Event()
        self._sent.set()
        self._pause = _FIRST_PAUSE
        self._sending = asyncio.Lock()
        self._echoes: set[asyncio.Event] = set()

    async def open(self, wake: Wake) -> None:
        """Begin to listen, and to look for the server."""
        self._wake, self._fault, self._pause = guarded(wake), None, _FIRST_PAUSE
        self._tried.clear()
        self._batch = Batch(_JOIN, self._deliver)
        self._running = asyncio.create_task(self._run(), name="relay")

    def publish(self, ids: Sequence[str]) -> None:
        """Hand ids over."""
        if self._batch is not None:
            self.dropped += self._batch.add(ids)

    async def ping(self) -> None:
        """Send a message to oneself, and wait until it is back."""
        if self._running is None:
            raise RelayUnavailableError(hint="it is not open")
        with suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER):
                await self._tried.wait()
        link = self._link
        if link is None or self._fault is not None:
            raise RelayUnavailableError(hint=self._hint()) from self._fault
        await self._echo(link)

    async def aclose(self) -> None:
        """Send what waits, then stop."""
        running, self._running = self._running, None
        batch, self._batch = self._batch, None
        if running is None or batch is None:
            return
        try:
            batch.flush()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST):
                    await self._sent.wait()
        finally:
            running.cancel()
            await asyncio.wait([running])

    @property
    def live(self) -> bool:
        """Whether the last message to oneself came back."""
        return self._live

    def _deliver(self, ids: Sequence[str]) -> None:
        """Wake who waits here, and leave the rest to the connection."""
        self._wake(ids)
        room = MOST - len(self._outbox) if self._link is not None else 0
        fresh = [each for each in ids if each not in self._outbox]
        self._outbox.update(dict.fromkeys(fresh[:room]))
        self.dropped += len(fresh[room:])
        if self._outbox:
            self._sent.clear()
            self._due.set()

    def _received(self, text: str) -> None:
        message = unpack(text)
        if message is None:
            return
        if message.sender == self._me:
            for echo in self._echoes:
                echo.set()
        elif message.ids:
            self._wake(message.ids)

    async def _run(self) -> None:
        """Connect again and again, until cancelled."""
        while True:
            try:
                await self._use(await self._connect(self._received))
            except RelayUnavailableError as error:
                self._lost(error)
            except Exception as error:  # noqa: BLE001 - no relay is worse than trying once more
                self._lost(RelayUnavailableError(hint=type(error).__name__))
            await asyncio.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    async def _use(self, link: Link) -> None:
        """Work on a connection until it is lost."""
        self._link = link
        tasks = [
            asyncio.create_task(work(link), name="relay link")
            for work in (_listen, self._send, self._beat)
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._give_up()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await link.aclose()
        failed = [task.exception() for task in tasks if not task.cancelled()]
        raise next((error for error in failed if error is not None), RelayUnavailableError())

    async def _send(self, link: Link) -> None:
        """Send what is published."""
        while True:
            await self._due.wait()
            self._due.clear()
            ids, self._outbox = tuple(self._outbox), {}
            if ids:
                await self._hand_over(link, ids)
            if not self._outbox:
                self._sent.set()

    async def _beat(self, link: Link) -> None:
        """See whether messages come back."""
        while True:
            await self._echo(link)
            if not self._live:
                self._found(link)
            await asyncio.sleep(_BEAT)

    async def _echo(self, link: Link) -> None:
        echo = asyncio.Event()
        self._echoes.add(echo)
        try:
            async with asyncio.timeout(_ANSWER):
                await self._hand_over(link, ())
                await echo.wait()
        except TimeoutError:
            raise RelayUnavailableError(hint=_SILENT) from None
        finally:
            self._echoes.discard(echo)

    async def _hand_over(self, link: Link, ids: Sequence[str]) -> None:
        try:
            async with self._sending, asyncio.timeout(_ANSWER):
                await link.send(tuple(pack(self._me, ids)))
        except TimeoutError:
            raise RelayUnavailableError(hint=_SILENT) from None

    def _give_up(self) -> None:
        """Nothing is sent on this connection any more."""
        self._link, self._live = None, False
        self.dropped += len(self._outbox)
        self._outbox = {}
        self._sent.set()

    def _found(self, link: Link) -> None:
        if self._fault is not None:
            _log.info("the relay is back", dropped=self.dropped)
        self._fault, self._pause = None, _FIRST_PAUSE
        self._live = link.steady
        self._tried.set()

    def _lost(self, error: RelayUnavailableError) -> None:
        if self._fault is None:
            _log.warning("the relay is gone, instances look by themselves", reason=error.hint)
        self._fault = error
        self._tried.set()

    def _hint(self) -> str:
        return (self._fault and self._fault.hint) or _SILENT


async def _listen(link: Link) -> None:
    await link.listen()
    raise RelayUnavailableError(hint="the connection ended")
