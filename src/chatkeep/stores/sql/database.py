"""What the SQL store asks of a database, and the failure policy that all of them share.

* Reads and writes have a pool each, so that no reader waits behind a queue of writers.
* A write is one transaction. One that found the database locked (or lost a deadlock) is tried
  again, a few times and after a random pause; nothing of the failed try is stored.
* What is left is a `StoreUnavailableError`; the driver's error is its `__cause__`. Errors that
  only a mistake of ours explains pass as they are.
* Cancelling the caller does not cut an operation that a connection is working on: it ends in the
  background. Cutting it would cost the connection each time a client goes away.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from enum import Enum, auto
from typing import Any

from sqlalchemy import Row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.base import Executable

from chatkeep.errors import StoreUnavailableError
from chatkeep.stores.sql.statements import InsertFactory

_ATTEMPTS = 5
_LONGEST_PAUSE = 0.1
"""Seconds before the first new try; each later one may wait that much longer."""

type Work[T] = Callable[[AsyncConnection], Awaitable[T]]


class Fault(Enum):
    """What a driver's error means to the caller."""

    BUSY = auto()
    """Somebody else is writing: the same transaction can succeed a moment later."""
    GONE = auto()
    """The database cannot serve anybody right now."""
    BUG = auto()
    """The statement or its data is wrong."""


class Database(ABC):
    """Connections to one database, and what is special about its kind."""

    insert: InsertFactory
    """The dialect's `insert()`, with `ON CONFLICT`."""

    def __init__(self) -> None:
        self._reader: AsyncEngine | None = None
        self._writer: AsyncEngine | None = None
        self._running: set[asyncio.Task[Any]] = set()

    @abstractmethod
    async def connect(self) -> tuple[AsyncEngine, AsyncEngine]:
        """Return the engines to read (autocommit) and to write with, the schema up to date."""

    @abstractmethod
    def fault(self, error: DBAPIError) -> Fault:
        """Say what an error of the driver means."""

    async def open(self) -> None:
        """Connect, once."""
        if self._writer is None:
            self._reader, self._writer = await self.connect()

    async def aclose(self) -> None:
        """Let what is under way end, then close every connection. Idempotent."""
        engines = self._reader, self._writer
        self._reader = self._writer = None
        while self._running:
            await asyncio.wait(self._running)
        for engine in engines:
            if engine is not None:
                await engine.dispose()

    async def fetch(
        self, statement: Executable, parameters: Mapping[str, Any]
    ) -> Sequence[Row[Any]]:
        """Return the rows of one reading statement."""
        engine = _opened(self._reader)

        async def read() -> Sequence[Row[Any]]:
            async with engine.connect() as connection:
                return (await connection.execute(statement, parameters)).all()

        return await self._to_the_end(self.retrying(read))

    async def write[T](self, work: Work[T]) -> T:
        """Do work in one transaction, committed when this returns.

        The work may be done more than once, so it must not have effects of its own.
        """
        engine = _opened(self._writer)

        async def transaction() -> T:
            async with engine.begin() as connection:
                return await work(connection)

        return await self._to_the_end(self.retrying(transaction))

    async def retrying[T](self, operation: Callable[[], Awaitable[T]]) -> T:
        """Do an operation by the failure policy above."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await operation()
            except PoolTimeoutError as error:
                raise StoreUnavailableError from error
            except DBAPIError as error:
                fault = self.fault(error)
                if fault is Fault.BUG:
                    raise
                if fault is Fault.GONE or attempt == _ATTEMPTS:
                    raise StoreUnavailableError from error
            # Writers that collided must not collide again.
            await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE * attempt))  # noqa: S311 - no secret
        raise AssertionError("unreachable")

    async def _to_the_end[T](self, operation: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(operation)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when the caller has gone


def _opened(engine: AsyncEngine | None) -> AsyncEngine:
    if engine is None:
        raise StoreUnavailableError("The store is not open.")
    return engine
