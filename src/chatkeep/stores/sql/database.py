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
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from sqlalchemy.sql.base import Executable

from chatkeep.errors import StoreUnavailableError
from chatkeep.stores.failure import UNKNOWN, Fault, Underway
from chatkeep.stores.sql.prepared import Parameters, Result, Row
from chatkeep.stores.sql.statements import Dialect

_ATTEMPTS = 6
_LONGEST_PAUSE = 0.1
"""Seconds before the first new try. Each later one may wait that much longer after a collision,
twice as long after a loss: together long enough for a server to start again."""


class ConstraintError(Exception):
    """A constraint of the schema was broken, of which the caller knows what it means."""


class Connection(Protocol):
    """What a transaction asks. Its code may wait for this, and for nothing else."""

    async def execute(
        self, statement: Executable, parameters: Parameters | Sequence[Parameters]
    ) -> Result:
        """Do a statement, or the same for several parameters."""
        ...


type Work[T] = Callable[[Connection], Coroutine[Any, Any, T]]
type WorkOnce[T] = Callable[[Connection, bool], Coroutine[Any, Any, T]]


class Database(ABC):
    """Connections to one database, and what is special about its kind."""

    dialect: Dialect
    """How its statements differ."""

    errors: tuple[type[Exception], ...]
    """What its driver raises, and what it passes on of the network."""

    broken: tuple[type[Exception], ...]
    """What its driver raises when a constraint is broken."""

    deadline: float | None = None
    """Seconds after which a caller is told that the database is gone, whatever the driver does;
    what is still under way a second later is cut."""

    def __init__(self) -> None:
        self._is_open = False
        self._underway = Underway()

    @abstractmethod
    async def connect(self) -> None:
        """Get ready for calls, the schema up to date."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Close every connection."""

    @abstractmethod
    async def read(self, statement: Executable, parameters: Parameters) -> Sequence[Row]:
        """Return the rows of one reading statement."""

    @abstractmethod
    async def transaction[T](self, work: Work[T]) -> T:
        """Do work in one transaction, committed when this returns, taken back when it raises."""

    @abstractmethod
    async def pending(self) -> tuple[str, ...]:
        """Return the migrations that are still to be applied, oldest first. Changes nothing."""

    @abstractmethod
    async def migrate(self) -> tuple[str, ...]:
        """Apply what is pending and return it."""

    @abstractmethod
    def fault(self, error: Exception) -> Fault:
        """Say what an error of the driver means."""

    @abstractmethod
    async def scrub(self) -> None:
        """Overwrite what deleted rows have left in the files, where that can be done."""

    async def open(self) -> None:
        """Connect, once."""
        if not self._is_open:
            await self.connect()
            self._is_open = True

    async def aclose(self) -> None:
        """Let what is under way end, then close every connection. Idempotent."""
        was_open, self._is_open = self._is_open, False
        await self._underway.drained()
        if was_open:
            await self.disconnect()

    async def fetch(self, statement: Executable, parameters: Parameters) -> Sequence[Row]:
        """Return the rows of one reading statement."""
        self._check_open()
        reading = self.retrying(lambda: self.read(statement, parameters))
        return await self._underway.to_the_end(reading, self.deadline)

    async def write[T](self, work: Work[T]) -> T:
        """Do work in one transaction, committed when this returns.

        The work may be done more than once, so it must not have effects of its own.
        """
        return await self.write_once(lambda connection, _: work(connection))

    async def write_once[T](self, work: WorkOnce[T]) -> T:
        """Do work in one transaction, telling it whether an earlier try may have been committed.

        For work whose second time would end otherwise than its first.

        Raises:
            ConstraintError: It broke a constraint.
        """
        self._check_open()
        doubtful = committing = False

        async def watched(connection: Connection) -> T:
            nonlocal committing
            committing = False
            result = await work(connection, doubtful)
            committing = True
            return result

        async def transaction() -> T:
            nonlocal doubtful
            try:
                return await self.transaction(watched)
            except self.errors as error:
                doubtful = doubtful or (committing and self._fault(error) is Fault.LOST)
                raise

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
            except self.broken as error:
                raise ConstraintError from error
            except self.errors as error:
                fault = self._fault(error)
                if fault is Fault.BUG:
                    raise
                if fault is Fault.GONE or attempt == _ATTEMPTS:
                    raise StoreUnavailableError from error
            # Writers that collided must not collide again, nor all come back at once.
            longest = _LONGEST_PAUSE * (attempt if fault is Fault.BUSY else 2 ** (attempt - 1))
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - no secret
        raise AssertionError("unreachable")

    def _fault(self, error: Exception) -> Fault:
        # Drivers pass on what the network does to them as it is.
        return Fault.LOST if isinstance(error, OSError) else self.fault(error)

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreUnavailableError("The store is not open.")
