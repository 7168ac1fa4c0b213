"""A turn is work in a task of its own; an HTTP response only reads what it produces.

The task matters: in a response's own task a disconnect cancels again at every await, and the
partial answer could not be saved. For now a turn ends when its reader leaves, so "stop" is what
the official clients do: close the connection. The partial answer is kept.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator

import structlog

from chatkeep.errors import ChatkeepError, ConflictError, ShuttingDownError

type ThreadKey = tuple[str, str, str]
"""Tenant, user and thread."""

_MAX_WAITING = 256  # chunks that wait for a slow reader before the model is held back
_SAVE_SECONDS = 5.0  # for what a cancelled turn still has to store

_log = structlog.get_logger(__name__)


class Turn:
    """One running turn and what it has produced that nobody has read yet."""

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        self._events = events
        self._waiting: deque[bytes] = deque()
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._producing = False
        self._cancelled = False
        self._ended = False
        self._farewell = b""
        self._error: ChatkeepError | None = None
        self.task = asyncio.create_task(self._produce(), name="turn")

    def cancel(self, farewell: bytes = b"") -> None:
        """Stop the turn; its partial answer is saved. Does nothing when it has ended.

        A reader that is still there gets `farewell` last.

        The events must learn of it as a cancellation where they wait, not as a closed generator
        where they yield: only then do they save what they have.
        """
        if self._cancelled or self._ended:
            return
        self._cancelled = True
        self._farewell = farewell
        if self._producing:
            self.task.cancel()
        else:
            self._writable.set()

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._cancelled

    async def begun(self) -> None:
        """Return when there is something to read.

        Raises:
            ChatkeepError: The turn failed before its first event; nothing was acknowledged.
        """
        await self._readable.wait()
        if self._error is not None and not any(self._waiting):
            raise self._error

    async def read(self) -> AsyncIterator[bytes]:
        """Yield what was produced, joined when there is more than one chunk."""
        while self._waiting or not self._ended:
            await self._readable.wait()
            self._readable.clear()
            chunk = b"".join(self._waiting)
            self._waiting.clear()
            self._writable.set()
            if chunk:
                yield chunk

    async def _produce(self) -> None:
        try:
            while (chunk := await self._next()) is not None:
                if self._cancelled:
                    continue
                self._waiting.append(chunk)
                self._readable.set()
                while len(self._waiting) >= _MAX_WAITING and not self._cancelled:
                    self._writable.clear()
                    await self._writable.wait()
        except asyncio.CancelledError:
            if not self._cancelled:
                raise
        except ChatkeepError as error:
            self._error = error
            if self._cancelled:
                _log.warning("a partial answer was not saved", error=type(error).__name__)
        finally:
            self._waiting.append(self._farewell)
            self._ended = True
            self._readable.set()

    async def _next(self) -> bytes | None:
        if self._cancelled and (task := asyncio.current_task()) and not task.cancelling():
            task.cancel()  # arrives where the events wait next
        self._producing = True
        try:
            return await anext(self._events, None)
        finally:
            self._producing = False


class TurnEngine:
    """All running turns of this process; at most one for a thread."""

    def __init__(self) -> None:
        self._running: dict[ThreadKey, Turn] = {}
        self._draining = False
        self._hurried = asyncio.Event()

    def start(self, key: ThreadKey, events: AsyncGenerator[bytes]) -> Turn:
        """Start a turn for a thread.

        Raises:
            ConflictError: The thread has a running turn.
            ShuttingDownError: No new turns are taken.
        """
        if self._draining:
            raise ShuttingDownError
        if key in self._running:
            raise ConflictError("Another answer is still running in this conversation.")
        turn = self._running[key] = Turn(events)
        turn.task.add_done_callback(lambda _: self._running.pop(key, None))
        return turn

    async def settled(self, key: ThreadKey) -> None:
        """Return when a turn of a thread that was stopped has saved what it has.

        So that a message can follow right behind a stop. A turn that runs is not waited for.
        """
        turn = self._running.get(key)
        if turn is not None and turn.stopped:
            await asyncio.wait([turn.task], timeout=_SAVE_SECONDS)

    async def stop(self, key: ThreadKey) -> None:
        """Stop the turn of a thread, if one runs, and return when it has saved what it has."""
        if (turn := self._running.get(key)) is not None:
            turn.cancel()
            await asyncio.wait([turn.task], timeout=_SAVE_SECONDS)

    async def drain(self, grace: float, farewell: bytes = b"") -> None:
        """Take no new turns, let running ones finish for `grace` seconds, then stop them.

        A stopped turn saves what it has, and its reader gets `farewell`.
        """
        self._draining = True
        if running := [turn.task for turn in self._running.values()]:
            _log.info("waiting for running answers", turns=len(running), grace=grace)
            watchers: list[asyncio.Task[object]] = [
                asyncio.create_task(asyncio.wait(running)),
                asyncio.create_task(self._hurried.wait()),
            ]
            await asyncio.wait(watchers, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            for watcher in watchers:
                watcher.cancel()
        if late := list(self._running.values()):
            _log.info("stopping running answers", turns=len(late))
            for turn in late:
                turn.cancel(farewell)
            await asyncio.wait([turn.task for turn in late], timeout=_SAVE_SECONDS)

    def hurry(self) -> None:
        """End the grace of a drain now."""
        self._hurried.set()
