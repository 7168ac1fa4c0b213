"""SQLite: one file, one writer at a time, readers beside it.

* WAL, so that readers and the writer do not wait for each other, also across processes.
* `synchronous=FULL`: a commit is on the disk before it is acknowledged. With NORMAL it would
  survive the death of the process but not of the machine, and a message that the user saw
  accepted must. It costs one sync of the WAL for each write (0.1 to 0.3 ms on a local SSD).
* Reads and writes have a pool each, so that no reader waits behind a queue of writers.
* Writers take the lock when they begin (`BEGIN IMMEDIATE`): a transaction that first reads and
  then writes could not wait for the lock, it would fail. One writing connection for the whole
  process makes its writers queue in the pool, in order, and not in SQLite's busy loop.
"""

import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import (
    URL,
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    cast,
    column,
    event,
    func,
    literal_column,
    select,
    table,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from chatkeep.errors import SettingsError, StoreUnavailableError
from chatkeep.stores.failure import Fault
from chatkeep.stores.sql import migrate
from chatkeep.stores.sql.database import Database
from chatkeep.stores.sql.statements.common import Dialect, p

_READERS = 4
_BUSY_TIMEOUT = 2.0
"""Seconds that SQLite itself waits for another process's lock; the retries come on top."""
_POOL_TIMEOUT = 30.0
_WAL_LIMIT = 64 * 2**20
"""Bytes to which the WAL file is cut back after a burst."""

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_GONE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}

_SCRUB = (
    # Deleted words stay in the index until its parts are merged.
    "INSERT INTO texts_index(texts_index) VALUES ('optimize')",
    "VACUUM",
)

Role = Literal["read", "write", "migrate", "scrub"]


def _hits(_: ColumnElement[bool]) -> FromClause:
    index = table("texts_index", column("rowid", BigInteger))
    matches = literal_column("texts_index").op("MATCH")(p("words"))
    return select(index.c.rowid.label("doc")).where(matches).subquery("hits")


def _match(words: list[str]) -> str:
    return " AND ".join(f'"{word}"*' for word in words)


DIALECT = Dialect(
    insert=insert,
    # 2440587.5 is the Julian day of 1970-01-01. Newer SQLite has unixepoch('subsec').
    now=cast((func.julianday("now") - 2440587.5) * 86_400_000, BigInteger),
    hits=_hits,
    match=_match,
)


def fault(error: DBAPIError) -> Fault:
    """Say what an error of SQLite means."""
    if error.connection_invalidated:
        return Fault.GONE
    code = _code(error)
    if code in _BUSY:
        return Fault.BUSY
    return Fault.GONE if code in _GONE else Fault.BUG


class SqliteDatabase(Database):
    """A SQLite file. It and its directory are created if they are missing, for us alone."""

    dialect = DIALECT
    fault = staticmethod(fault)

    def __init__(self, path: Path, *, busy_timeout: float = _BUSY_TIMEOUT) -> None:
        super().__init__()
        # Absolute at once: the working directory may change before the file is opened.
        self._path = path.absolute()
        self._busy_timeout = busy_timeout

    async def connect(self) -> tuple[AsyncEngine, AsyncEngine]:
        """Open the file, migrate it if needed, and return the engines.

        Raises:
            SettingsError: The file cannot be created or written, or is not ours.
            StoreUnavailableError: Another process keeps it locked, or the disk fails.
        """
        self._create()
        writer = self._engine("write")
        try:
            await self._explaining(lambda: self._migrate(writer))
        except BaseException:  # no connection stays behind; passed on
            await writer.dispose()
            raise
        return self._engine("read"), writer

    async def pending(self) -> tuple[str, ...]:
        """Return the migrations that are still to be applied, oldest first."""
        if not self._path.exists():
            return migrate.REVISIONS
        engine = self._engine("migrate")
        try:
            return await self._explaining(lambda: migrate.pending(engine))
        finally:
            await engine.dispose()

    async def migrate(self) -> tuple[str, ...]:
        """Apply what is pending and return it, which opening does too."""
        self._create()
        engine = self._engine("migrate")
        try:
            return await self._explaining(lambda: migrate.upgrade(engine))
        finally:
            await engine.dispose()

    async def scrub(self) -> None:
        """Merge the words' index, rewrite the file without gaps, and empty the WAL."""
        engine = self._engine("scrub")
        try:
            busy = await self._explaining(lambda: self._scrub(engine))
        finally:
            await engine.dispose()
        if busy:
            raise StoreUnavailableError(
                f"The log of {self._path} could not be emptied: somebody reads it. Try again."
            )

    async def _scrub(self, engine: AsyncEngine) -> bool:
        """Do it, and say whether somebody kept the log from being emptied."""
        async with engine.connect() as connection:
            for statement in _SCRUB:
                await connection.exec_driver_sql(statement)
            emptied = await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            return bool(emptied.one()[0])

    async def _migrate(self, writer: AsyncEngine) -> None:
        if not await migrate.pending(writer):
            return
        # Rebuilding a table, which is how SQLite alters one, would cascade to its children.
        engine = self._engine("migrate")
        try:
            await migrate.upgrade(engine)
        finally:
            await engine.dispose()

    def _create(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its -wal and -shm files the mode of the database file.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise SettingsError(
                f"The database file {self._path} cannot be created or written: {error.strerror}."
            ) from error

    async def _explaining[T](self, operation: Callable[[], Awaitable[T]]) -> T:
        try:
            return await self.retrying(operation)
        except StoreUnavailableError as error:
            raise self._explained(error) from error.__cause__

    def _explained(self, error: StoreUnavailableError) -> SettingsError | StoreUnavailableError:
        cause = error.__cause__
        code = _code(cause) if isinstance(cause, DBAPIError) else None
        if code == sqlite3.SQLITE_NOTADB:
            return SettingsError(f"{self._path} is not a SQLite database.")
        if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
            return SettingsError(
                f"The database {self._path} cannot be written. The user of this process needs "
                "to write the file and its directory."
            )
        reason = cause.orig if isinstance(cause, DBAPIError) else cause
        return StoreUnavailableError(f"The database {self._path} cannot be opened: {reason}.")

    def _engine(self, role: Role) -> AsyncEngine:
        options: dict[str, Any] = {"pool_size": 1, "max_overflow": 0}
        if alone := role in ("read", "scrub"):  # each statement is its own transaction
            options |= {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
        if role == "read":
            options["pool_size"] = _READERS
        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(self._path)),
            # Transactions are ours to begin: the driver's own ones are not IMMEDIATE.
            connect_args={"timeout": self._busy_timeout, "isolation_level": None},
            pool_timeout=_POOL_TIMEOUT,
            # Nothing to roll back: every transaction ends before its connection is returned.
            pool_reset_on_return=None,
            hide_parameters=True,  # errors would quote what users wrote
            **options,
        )

        def configure(connection: Any, _: object) -> None:
            cursor = connection.cursor()
            for pragma in self._pragmas(role):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

        event.listen(engine.sync_engine, "connect", configure)
        if not alone:
            event.listen(engine.sync_engine, "begin", begin_immediate)
        return engine

    def _pragmas(self, role: Role) -> tuple[str, ...]:
        if role == "read":
            return ("query_only=ON",)
        return (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"journal_size_limit={_WAL_LIMIT}",
            f"foreign_keys={'OFF' if role == 'migrate' else 'ON'}",
        )


def begin_immediate(connection: Connection) -> None:
    """Begin a transaction that may write, or wait for that now."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _code(error: DBAPIError) -> int | None:
    """Return SQLite's primary result code, of which the extended ones are variants."""
    code: int | None = getattr(error.orig, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
