"""SQLite: one file, one writer at a time, readers beside it.

* WAL, so that readers and the writer do not wait for each other, also across processes.
* `synchronous=FULL`: a commit is on the disk before it is acknowledged. With NORMAL it would
  survive the death of the process but not of the machine, and a message that the user saw
  accepted must. It costs one sync of the WAL for each write (0.1 to 0.3 ms on a local SSD).
* Readers have threads of their own, so that none waits behind a queue of writers.
* Writers take the lock when they begin (`BEGIN IMMEDIATE`). One writing connection for the whole
  process makes its writers queue at its thread, in order, and not in SQLite's busy loop; those
  that have queued are committed together.
"""

import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import (
    URL,
    BigInteger,
    ColumnElement,
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
from sqlalchemy.dialects.sqlite.pysqlite import dialect as pysqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable

from chatkeep.errors import SettingsError, StoreUnavailableError
from chatkeep.stores.failure import Fault
from chatkeep.stores.sql import migrate
from chatkeep.stores.sql.database import Database, Work
from chatkeep.stores.sql.prepared import Parameters, Preparing, Row
from chatkeep.stores.sql.sqlite_threads import (
    SqliteConnection,
    SqliteThreads,
    SqliteWriter,
    finished,
)
from chatkeep.stores.sql.statements.common import Dialect, p

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_READERS = 4
_BUSY_TIMEOUT = 2.0
"""Seconds that SQLite itself waits for another process's lock; the retries come on top."""
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

Role = Literal["read", "write", "migrate"]


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


class ThreadedDatabase(Database):
    """A database of SQLite's, whose calls are jobs of threads."""

    dialect = DIALECT
    errors = (sqlite3.Error, DBAPIError, OSError)
    broken = (sqlite3.IntegrityError,)

    def __init__(self) -> None:
        super().__init__()
        self.prepare = Preparing(pysqlite())
        self._readers: SqliteThreads | None = None
        self._writer: SqliteThreads | None = None

    async def disconnect(self) -> None:
        """Close every connection."""
        threads = self._readers, self._writer
        self._readers = self._writer = None
        for each in threads:
            if each is not None:
                await each.aclose()

    async def read(self, statement: Executable, parameters: Parameters) -> Sequence[Row]:
        """Return the rows of one reading statement."""
        return await _of(self._readers).ask(lambda each: each.run(statement, parameters).all())

    async def transaction[T](self, work: Work[T]) -> T:
        """Do work in one transaction."""
        return await _of(self._writer).ask(lambda connection: finished(work(connection)))

    def fault(self, error: Exception) -> Fault:
        """Say what an error of SQLite means."""
        code = _code(error)
        if code in _BUSY:
            return Fault.BUSY
        return Fault.GONE if code in _GONE else Fault.BUG


class SqliteDatabase(ThreadedDatabase):
    """A SQLite file. It and its directory are created if they are missing, for us alone."""

    def __init__(self, path: Path, *, busy_timeout: float = _BUSY_TIMEOUT) -> None:
        super().__init__()
        # Absolute at once: the working directory may change before the file is opened.
        self._path = path.absolute()
        self._busy_timeout = busy_timeout

    async def connect(self) -> None:
        """Open the file, and migrate it if needed.

        Raises:
            SettingsError: The file cannot be created or written, or is not ours.
            StoreUnavailableError: Another process keeps it locked, or the disk fails.
        """
        self._create()
        writer = SqliteWriter(partial(self._connect, "write"), self.prepare)
        try:
            await self._explaining(lambda: self._migrate_if_needed(writer))
        except BaseException:  # no connection stays behind; passed on
            await writer.aclose()
            raise
        self._writer = writer
        readers = SqliteThreads(partial(self._connect, "read"), self.prepare, most=_READERS)
        self._readers = readers

    async def pending(self) -> tuple[str, ...]:
        """Return the migrations that are still to be applied, oldest first."""
        if not self._path.exists():
            return migrate.REVISIONS
        engine = self._engine()
        try:
            return await self._explaining(lambda: migrate.pending(engine))
        finally:
            await engine.dispose()

    async def migrate(self) -> tuple[str, ...]:
        """Apply what is pending and return it, which opening does too."""
        self._create()
        return await self._explaining(self._migrate)

    async def scrub(self) -> None:
        """Merge the words' index, rewrite the file without gaps, and empty the WAL."""
        thread = SqliteThreads(partial(self._connect, "write"), self.prepare)
        try:
            busy = await self._explaining(lambda: thread.ask(_scrub))
        finally:
            await thread.aclose()
        if busy:
            raise StoreUnavailableError(
                f"The log of {self._path} could not be emptied: somebody reads it. Try again."
            )

    async def _migrate_if_needed(self, writer: SqliteThreads) -> None:
        if migrate.behind(await writer.ask(_revision)):
            await self._migrate()

    async def _migrate(self) -> tuple[str, ...]:
        engine = self._engine()
        try:
            return await migrate.upgrade(engine)
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
        code = _code(cause)
        if code == sqlite3.SQLITE_NOTADB:
            return SettingsError(f"{self._path} is not a SQLite database.")
        if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
            return SettingsError(
                f"The database {self._path} cannot be written. The user of this process needs "
                "to write the file and its directory."
            )
        reason = cause.orig if isinstance(cause, DBAPIError) else cause
        return StoreUnavailableError(f"The database {self._path} cannot be opened: {reason}.")

    def _connect(self, role: Role) -> sqlite3.Connection:
        # Transactions are ours to begin: the driver's own ones are not IMMEDIATE.
        raw = sqlite3.connect(self._path, timeout=self._busy_timeout, isolation_level=None)
        try:
            _configure(raw, role)
        except BaseException:
            raw.close()
            raise
        return raw

    def _engine(self) -> "AsyncEngine":
        """Return an engine for migrations, which Alembic wants."""
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - rarely needed

        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(self._path)),
            connect_args={"timeout": self._busy_timeout, "isolation_level": None},
            # Nothing to roll back: every transaction ends before its connection is returned.
            pool_reset_on_return=None,
            hide_parameters=True,
            pool_size=1,
            max_overflow=0,
        )
        event.listen(engine.sync_engine, "connect", lambda raw, _: _configure(raw, "migrate"))
        event.listen(engine.sync_engine, "begin", _begin_immediate)
        return engine


def _configure(connection: Any, role: Role) -> None:
    cursor = connection.cursor()
    for pragma in _pragmas(role):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _pragmas(role: Role) -> tuple[str, ...]:
    if role == "read":
        return ("query_only=ON",)
    return (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"journal_size_limit={_WAL_LIMIT}",
        # Rebuilding a table, which is how SQLite alters one, would cascade to its children.
        f"foreign_keys={'OFF' if role == 'migrate' else 'ON'}",
    )


def _begin_immediate(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _revision(connection: SqliteConnection) -> str | None:
    """Return the revision of the schema; None where there is none."""
    raw = connection.raw
    if not raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
        return None
    row = raw.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _scrub(connection: SqliteConnection) -> bool:
    """Scrub the file, and say whether somebody kept the log from being emptied."""
    for statement in _SCRUB:
        connection.raw.execute(statement)
    return bool(connection.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])


def _code(error: BaseException | None) -> int | None:
    """Return SQLite's primary result code, of which the extended ones are variants."""
    driver = error.orig if isinstance(error, DBAPIError) else error
    code: int | None = getattr(driver, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _of(threads: SqliteThreads | None) -> SqliteThreads:
    if threads is None:
        raise StoreUnavailableError("The store is not open.")
    return threads
