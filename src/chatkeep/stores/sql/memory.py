"""SQLite in the memory of one process, gone when it is closed: for trying out, and for tests.

The same statements on the same engine as a file, so that nothing behaves otherwise. There is one
connection, which readers and writers use in turn.
"""

from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from chatkeep.stores.sql.database import Database
from chatkeep.stores.sql.schema import metadata
from chatkeep.stores.sql.sqlite import DIALECT, begin_immediate, fault

_READING = {"chatkeep_reading": True}


class MemoryDatabase(Database):
    """A SQLite database without a file. Its schema is always the one of this version."""

    dialect = DIALECT

    async def connect(self) -> tuple[AsyncEngine, AsyncEngine]:
        """Create the tables and return two views of the one connection."""
        writer = create_async_engine(
            "sqlite+aiosqlite://",
            connect_args={"isolation_level": None},  # transactions are ours to begin
            poolclass=AsyncAdaptedQueuePool,  # the usual one would lend the connection twice
            pool_size=1,
            max_overflow=0,
            pool_reset_on_return=None,
            hide_parameters=True,
        )
        event.listen(writer.sync_engine, "connect", _configure)
        event.listen(writer.sync_engine, "begin", _begin)
        async with writer.begin() as connection:
            await connection.run_sync(metadata.create_all)
        return writer.execution_options(**_READING), writer

    async def pending(self) -> tuple[str, ...]:
        """Return nothing: there is no older schema."""
        return ()

    async def migrate(self) -> tuple[str, ...]:
        """Do nothing."""
        return ()

    async def scrub(self) -> None:
        """Do nothing: there are no files."""

    fault = staticmethod(fault)


def _configure(connection: Any, _: object) -> None:
    connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: Connection) -> None:
    if "chatkeep_reading" not in connection.get_execution_options():
        begin_immediate(connection)
