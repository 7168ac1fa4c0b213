"""Connections to PostgreSQL, lent for one call each, and what a call asks of one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy.sql.base import Executable

from chatkeep.errors import StoreUnavailableError
from chatkeep.stores.sql.prepared import Parameters, Preparing, Result

ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What the driver raises, and what it passes on of the network."""

_LEND_SECONDS = 10.0
"""How long a call waits for a connection."""
_RECYCLE = 1800
"""Seconds after which a connection is replaced: networks forget idle ones."""


class PostgresConnection:
    """A connection of the driver's, which is asked with our statements."""

    def __init__(self, raw: Any, prepare: Preparing) -> None:
        self.raw = raw
        self._prepare = prepare

    async def begin(self) -> None:
        """Begin a transaction."""
        # Said each time: behind a pooler the session is not ours to set.
        await self.raw.execute("BEGIN ISOLATION LEVEL READ COMMITTED")

    async def commit(self) -> None:
        """Commit the transaction."""
        await self.raw.execute("COMMIT")

    async def rollback(self) -> None:
        """Take the transaction back; where that fails, the connection is of no use any more."""
        with suppress(*ERRORS):
            await self.raw.execute("ROLLBACK")

    async def execute(
        self, statement: Executable, parameters: Parameters | Sequence[Parameters]
    ) -> Result:
        """Do a statement, or the same for several parameters in one piece."""
        prepared = self._prepare(statement)
        if not isinstance(parameters, Mapping):
            await self.raw.executemany(prepared.text, list(map(prepared.arguments, parameters)))
            return Result((), -1)
        arguments = prepared.arguments(parameters)
        if prepared.returns:
            rows = prepared.rows(await self.raw.fetch(prepared.text, *arguments))
            return Result(rows, len(rows))
        status: str = await self.raw.execute(prepared.text, *arguments)
        return Result((), _count(status))


@dataclass(frozen=True, slots=True)
class Lent:
    """A connection on loan."""

    raw: Any
    born: float
    era: int


class PostgresPool:
    """As many connections as there may be, made when they are needed.

    The one that was returned last is lent next: what a burst opened is left alone, and ages.

    Args:
        connect: Makes a connection.
        size: How many there may be.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]], size: int) -> None:
        self._connect = connect
        self._free: list[Lent] = []
        self._places = asyncio.Semaphore(size)
        self._era = 0

    async def lend(self) -> Lent:
        """Return a connection, which is to be given back.

        Raises:
            StoreUnavailableError: None became free in time.
        """
        if self._places.locked():
            try:
                async with asyncio.timeout(_LEND_SECONDS):
                    await self._places.acquire()
            except TimeoutError as error:
                raise StoreUnavailableError from error
        else:
            await self._places.acquire()
        try:
            while self._free:
                lent = self._free.pop()
                if lent.born + _RECYCLE > time.monotonic() and not lent.raw.is_closed():
                    return lent
                lent.raw.terminate()
            era = self._era
            return Lent(await self._connect(), time.monotonic(), era)
        except BaseException:  # passed on
            self._places.release()
            raise

    def give_back(self, lent: Lent) -> None:
        """Take a connection back; one that cannot be lent again is cut."""
        if lent.era == self._era and not lent.raw.is_closed() and not lent.raw.is_in_transaction():
            self._free.append(lent)
        else:
            lent.raw.terminate()
        self._places.release()

    def drop(self, lent: Lent) -> None:
        """Cut a connection that was lost, and all that are as old: the server may be another."""
        if lent.era == self._era:
            self._era += 1
            free, self._free = self._free, []
            for each in free:
                each.raw.terminate()
        self.cut(lent)

    def cut(self, lent: Lent) -> None:
        """Cut a connection on which something may still be under way."""
        lent.raw.terminate()
        self._places.release()

    async def aclose(self, seconds: float) -> None:
        """Close what is not lent; a server that hangs is not waited for longer than this."""
        self._era += 1
        free, self._free = self._free, []
        with suppress(*ERRORS):
            await asyncio.gather(*[each.raw.close(timeout=seconds) for each in free])


def _count(status: str) -> int:
    """Return how many rows a statement has changed, which is the last word of its status."""
    count = status.rpartition(" ")[2]
    return int(count) if count.isdecimal() else -1
