"""SQLite in the memory of one process, gone when it is closed: for trying out, and for tests.

The same statements on the same threads as a file, so that nothing behaves otherwise. There is one
connection, which readers and writers use in turn.
"""

import sqlite3

from sqlalchemy import StaticPool, create_engine

from chatkeep.stores.sql.schema import metadata
from chatkeep.stores.sql.sqlite import ThreadedDatabase
from chatkeep.stores.sql.sqlite_threads import SqliteWriter


class MemoryDatabase(ThreadedDatabase):
    """A SQLite database without a file. Its schema is always the one of this version."""

    async def connect(self) -> None:
        """Create the tables."""
        self._readers = self._writer = SqliteWriter(_connect, self.prepare)

    async def pending(self) -> tuple[str, ...]:
        """Return nothing: there is no older schema."""
        return ()

    async def migrate(self) -> tuple[str, ...]:
        """Do nothing."""
        return ()

    async def scrub(self) -> None:
        """Do nothing: there are no files."""


def _connect() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA foreign_keys=ON")
    # Not disposed of, which would close the connection.
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    metadata.create_all(engine)
    return connection
