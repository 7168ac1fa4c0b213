"""What the SQL store asks of a database, and the failure policy that all of them share.

* A write is one transaction. One that found the database locked (or lost a deadlock, or its
  connection) is tried again, a few times and after a random pause.
* A connection lost in the middle of a COMMIT leaves its outcome unknown. The new try finds out:
  every write may be repeated. If no new try comes through, the error says that it is unknown.
* What is left is a `StoreUnavailableError`; the driver's error is its `__cause__`. Errors that
  only a mistake of ours explains pass as they are.
* Cancelling the caller does not cut an operation under way; see `chatkeep.stores.failure`.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.base import Executable

from chatkeep.errors import StoreUnavailableError
from chatkeep.stores.failure import UNKNOWN, Fault, Underway
from chatkeep.stores.sql.statements import Dialect

_ATTEMPTS = 6
_LONGEST_PAUSE = 0.1
"""Seconds before the first new try. Each later one may wait that much longer after a collision,
twice as long after a loss: together long enough for a server to start again."""

type Work[T] = Callable[[AsyncConnection], Awaitable[T]]
type WorkOnce[T] = Callable[[AsyncConnection, bool], Awaitable[T]]


class Database(ABC):
    """Connections to one database, and what is special about its kind."""

    dialect: Dialect
    """How its statements differ."""

    deadline: float | None = None
    """Seconds after which a caller is told that the database is gone, whatever the driver does;
    what is still under way a second later is cut."""

    def __init__(self) -> None:
        self._reader: AsyncEngine | None = None
        self._writer: AsyncEngine | None = None
        self._underway = Underway()

    @abstractmethod
    async def connect(self) -> tuple[AsyncEngine, AsyncEngine]:
        """Return the engines to read (autocommit) and to write with, the schema up to date."""

    @abstractmethod
    async def pending(self) -> tuple[str, ...]:
        """Return the migrations that are still to be applied, oldest first. Changes nothing."""

    @abstractmethod
    async def migrate(self) -> tuple[str, ...]:
        """Apply what is pending and return it."""

    @abstractmethod
    def fault(self, error: DBAPIError) -> Fault:
        """Say what an error of the driver means."""

    @abstractmethod
    async def scrub(self) -> None:
        """Overwrite what deleted rows have left in the files, where that can be done."""

    async def open(self) -> None:
        """Connect, once."""
        if self._writer is None:
            self._reader, self._writer = await self.connect()

    async def aclose(self) -> None:
        """Let what is under way end, then close every connection. Idempotent."""
        engines = self._reader, self._writer
        self._reader = self._writer = None
        await self._underway.drained()
        for engine in engines:
            if engine is not None:
                await self.close(engine)

    async def close(self, engine: AsyncEngine) -> None:
        """Close the engine's connections."""
        await engine.dispose()

    async def fetch(
        self, statement: Executable, parameters: Mapping[str, Any]
    ) -> Sequence[Row[Any]]:
        """Return the rows of one reading statement."""
        engine = _opened(self._reader)

        async def read() -> Sequence[Row[Any]]:
            async with engine.connect() as connection:
                return (await connection.execute(statement, parameters)).all()

        return await self._underway.to_the_end(self.retrying(read), self.deadline)

    async def write[T](self, work: Work[T]) -> T:
        """Do work in one transaction, committed when this returns.

        The work may be done more than once, so it must not have effects of its own.
        """
        return await self.write_once(lambda connection, _: work(connection))

    async def write_once[T](self, work: WorkOnce[T]) -> T:
        """Do work in one transaction, telling it whether an earlier try may have been committed.

        For work whose second time would end otherwise than its first.
        """
        engine = _opened(self._writer)
        doubtful = False

        async def transaction() -> T:
            nonlocal doubtful
            committing = False
            try:
                async with engine.begin() as connection:
                    result = await work(connection, doubtful)
                    committing = True
            except (DBAPIError, OSError) as error:
                doubtful = doubtful or (committing and self._fault(error) is Fault.LOST)
                raise
            return result

        async def told() -> T:
            try:
                return await self.retrying(transaction)
            except StoreUnavailableError as error:
                if doubtful:
                    raise StoreUnavailableError(UNKNOWN) from error.__cause__
                raise

        return await self._underway.to_the_end(told(), self.deadline)

    async def retrying[T](self, operation: Callable[[], Awaitable[T]]) -> T:
        """Do an operation by the failure policy above."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await operation()
            except PoolTimeoutError as error:
                raise StoreUnavailableError from error
            except (DBAPIError, OSError) as error:
                fault = self._fault(error)
                if fault is Fault.BUG:
                    raise
                if fault is Fault.GONE or attempt == _ATTEMPTS:
                    raise StoreUnavailableError from error
            # Writers that collided must not collide again, nor all come back at once.
            longest = _LONGEST_PAUSE * (attempt if fault is Fault.BUSY else 2 ** (attempt - 1))
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - no secret
        raise AssertionError("unreachable")

    def _fault(self, error: DBAPIError | OSError) -> Fault:
        # Drivers pass on what the network does to them as it is.
        return Fault.LOST if isinstance(error, OSError) else self.fault(error)


def _opened(engine: AsyncEngine | None) -> AsyncEngine:
    if engine is None:
        raise StoreUnavailableError("The store is not open.")
    return engine
