"""PostgreSQL: many processes, one database.

* One pool serves reads and writes. A connection is taken for one call and never held between
  calls: with `pool_size` connections any number of calls is served, each waiting for its turn.
* No ping before use. A connection that turns out to be lost drops the whole pool, and the call is
  repeated on a new one: each call is one transaction, so nothing is done twice. That costs a
  round trip less for each call than asking first, and also covers a loss in the middle.
* A COMMIT whose answer is lost may or may not have happened. Repeating is safe, because every
  write is an upsert, a deletion, or asks whether the earlier try is already there (`write_once`).
* After a failover the old server may live on as a standby: what refuses a write as read-only
  (25006) counts as lost, and new connections are made to a primary only. It may also be silent:
  each host has its own time to answer.
* Positions are taken by `UPDATE … RETURNING`, under the lock of the thread's row, in READ
  COMMITTED: writers of one thread queue there, and commit in the order of their positions.
* Behind a pooler in transaction mode the session may change after each transaction: statements
  are unnamed and prepared anew for each use, which the driver sends in one piece with it.
* The schema is not changed by opening: `chatkeep migrate` does that, under an advisory lock.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Text,
    cast,
    event,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import TSQUERY, insert
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.sql.base import Executable

from chatkeep.errors import SettingsError, StoreUnavailableError
from chatkeep.postgres.connecting import connector, reason
from chatkeep.postgres.url import PostgresUrl
from chatkeep.stores.failure import Fault
from chatkeep.stores.sql import migrate, row_security
from chatkeep.stores.sql.database import Database, Work
from chatkeep.stores.sql.postgres_pool import ERRORS, PostgresConnection, PostgresPool
from chatkeep.stores.sql.prepared import Parameters, Preparing, Row
from chatkeep.stores.sql.schema import metadata, texts
from chatkeep.stores.sql.statements.common import Dialect, p

_STATEMENT_TIMEOUT = 10
_LOCK_TIMEOUT = 5
_IDLE_TIMEOUT = 15
"""Seconds that a transaction may wait for us, who may be gone, before its locks are freed."""
_COMMAND_TIMEOUT = _STATEMENT_TIMEOUT + 2.0
"""Seconds that we wait for the server's answer; its own limit comes first unless it hangs."""
_DEADLINE = 30.0
"""Seconds that a call takes at most, new tries included."""
_CLOSE_TIMEOUT = 5.0

_CACHED_STATEMENTS = 100
"""Prepared statements that a connection keeps."""

_MIGRATION_LOCK = int.from_bytes(b"chatkeep")
_MIGRATION_WAIT = 120
"""Seconds that a migration waits for another one; for the tables it waits as any call does."""

_OLDEST = 14

ROW_SECURITY = "row-security"
"""Stands among the migrations for putting up the wall of `row_security`."""

_BUSY = {"40001", "40P01"}  # serialisation failure, deadlock
_LOST = {
    "25006",  # read-only: a failover made it a standby
    "25P03",  # our transaction was idle for too long
    "53300",  # too many connections
    "57P01",  # shut down by the administrator
    "57P02",  # another process of the server crashed
    "57P03",  # starting up, or shutting down
    "57P05",  # idle for too long
}
_BUG_CLASSES = {"22", "23", "42", "54"}
"""Data, constraint, statement, limit of the program: mistakes of ours."""
_NOT_OURS = {
    "42501",  # the rights were taken away
    "42P01",  # the table is gone
    "42703",  # the column is gone
}

_REFUSALS = {
    "28P01": "The server of {place} refused the user or the password.",
    "28000": "The server of {place} refused the user or the password.",
    "3D000": "The server of {place} has no such database.",
    "42501": "The user of the database {place} lacks a right: {reason}.",
    "55P03": "The database {place} is locked by another session; nothing was changed.",
}


def _hits(own: ColumnElement[bool]) -> FromClause:
    # Exactly as in the index, hence no parameters.
    vector: ColumnElement[Any] = literal_column(
        "array_to_tsvector(string_to_array(texts.words, ' '))"
    )
    matches = vector.op("@@")(cast(cast(p("words"), Text), TSQUERY))
    # The offset keeps the planner from walking through all texts, newest first, in the hope of
    # finding enough of this user's soon.
    return select(texts.c.doc).where(own, matches).offset(literal_column("0")).subquery("hits")


def _match(words: list[str]) -> str:
    return " & ".join(f"'{word}':*" for word in words)


DIALECT = Dialect(
    insert=insert,
    now=cast(func.extract("epoch", func.clock_timestamp()) * 1000, BigInteger),
    hits=_hits,
    match=_match,
)


class PostgresDatabase(Database):
    """A PostgreSQL database, whose schema `migrate()` makes."""

    dialect = DIALECT
    deadline = _DEADLINE
    errors = (*ERRORS, DBAPIError)
    broken = (asyncpg.IntegrityConstraintViolationError,)

    def __init__(self, url: PostgresUrl) -> None:
        super().__init__()
        self.prepare = Preparing(asyncpg_dialect())  # type: ignore[no-untyped-call]
        self._url = url
        self._pool: PostgresPool | None = None

    async def connect(self) -> None:
        """Connect, and check server and schema.

        Raises:
            SettingsError: The URL, the rights or the schema do not allow a start.
            StoreUnavailableError: The server cannot be reached.
        """
        pool = PostgresPool(self._connector(), self._url.pool_size)
        try:
            await self._explaining(lambda: self._check_all(pool))
        except BaseException:  # no connection stays behind; passed on
            await pool.aclose(_CLOSE_TIMEOUT)
            raise
        self._pool = pool

    async def disconnect(self) -> None:
        """Close every connection; a server that hangs is not waited for."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose(_CLOSE_TIMEOUT)

    async def read(self, statement: Executable, parameters: Parameters) -> Sequence[Row]:
        """Return the rows of one reading statement."""
        if self._url.row_security:
            # For whom a read is, is said in its transaction.
            asked = await self.transaction(lambda each: each.execute(statement, parameters))
            return asked.all()
        async with self._lent(_opened(self._pool)) as raw:
            connection = PostgresConnection(raw, self.prepare)
            return (await connection.execute(statement, parameters)).all()

    async def transaction[T](self, work: Work[T]) -> T:
        """Do work in one transaction."""
        kind = row_security.WalledConnection if self._url.row_security else PostgresConnection
        async with self._lent(_opened(self._pool)) as raw:
            connection = kind(raw, self.prepare)
            await connection.begin()
            try:
                result = await work(connection)
            except OSError:
                raise  # nobody answers
            except Exception:
                await connection.rollback()
                raise
            await connection.commit()
            return result

    @asynccontextmanager
    async def _lent(self, pool: PostgresPool) -> AsyncIterator[Any]:
        """Lend a connection of the driver's for one call."""
        lent = await pool.lend()
        try:
            yield lent.raw
        except self.errors as error:
            if self.fault(error) is Fault.LOST:
                pool.drop(lent)
                raise
            closed = lent.raw.is_closed()
            pool.give_back(lent)
            if closed:
                raise ConnectionResetError from error
            raise
        except Exception:
            pool.give_back(lent)
            raise
        except BaseException:
            pool.cut(lent)
            raise
        else:
            pool.give_back(lent)

    async def pending(self) -> tuple[str, ...]:
        """Return the migrations that are still to be applied, oldest first."""
        pool = PostgresPool(self._connector(), 1)
        try:
            return await self._explaining(lambda: self._pending_of(pool))
        finally:
            await pool.aclose(_CLOSE_TIMEOUT)

    async def migrate(self) -> tuple[str, ...]:
        """Apply what is pending and return it. Others that migrate meanwhile wait."""
        engine = self._engine()
        event.listen(engine.sync_engine, "begin", _lock_migrations)
        try:
            return await self._explaining(lambda: self._migrate(engine))
        finally:
            await _dispose(engine)

    async def scrub(self) -> None:
        """Free the rows that were deleted, for others to overwrite.

        Neither the WAL nor backups are in reach; see the documentation.
        """
        pool = PostgresPool(self._connector(migrating=True), 1)
        try:
            await self._explaining(lambda: self._vacuum(pool))
        finally:
            await pool.aclose(_CLOSE_TIMEOUT)

    async def _vacuum(self, pool: PostgresPool) -> None:
        async with self._lent(pool) as raw:
            for name in metadata.tables:
                await raw.execute(f"VACUUM {name}")

    def fault(self, error: Exception) -> Fault:
        """Say what an error of PostgreSQL, or of its driver, means."""
        cause = driver_error(error)
        if isinstance(cause, OSError):
            return Fault.LOST
        state = getattr(cause, "sqlstate", None)
        if state in _BUSY or isinstance(cause, asyncpg.InvalidCachedStatementError):
            return Fault.BUSY
        if state is None:
            return _client_fault(cause)
        if is_lost(state):
            return Fault.LOST
        ours = state[:2] in _BUG_CLASSES and state not in _NOT_OURS
        return Fault.BUG if ours else Fault.GONE

    async def _pending_of(self, pool: PostgresPool) -> tuple[str, ...]:
        async with self._lent(pool) as raw:
            return await self._pending(raw)

    async def _pending(self, raw: Any) -> tuple[str, ...]:
        known = await raw.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
        revision = await raw.fetchval("SELECT version_num FROM alembic_version") if known else None
        todo = migrate.behind(revision)
        if self._url.row_security:
            todo += () if await row_security.is_on(raw) else (ROW_SECURITY,)
        return todo

    async def _migrate(self, engine: AsyncEngine) -> tuple[str, ...]:
        done = await migrate.upgrade(engine)
        if self._url.row_security:
            async with engine.begin() as connection:
                raw: Any = (await connection.get_raw_connection()).driver_connection
                if not await row_security.is_on(raw):
                    await row_security.build(raw)
                    done += (ROW_SECURITY,)
        return done

    async def _check_all(self, pool: PostgresPool) -> None:
        async with self._lent(pool) as raw:
            await self._check(raw)

    async def _check(self, raw: Any) -> None:
        version, encoding, schema = await raw.fetchrow(_ABOUT)
        exempt = self._url.row_security and await row_security.is_exempt(raw)
        if version // 10_000 < _OLDEST:
            raise SettingsError(
                f"The server of {self._url.place} is PostgreSQL {version // 10_000}; Chatkeep "
                f"needs {_OLDEST} or newer."
            )
        if encoding != "UTF8":
            raise SettingsError(
                f"The database {self._url.place} has the encoding {encoding}; Chatkeep needs one "
                "made with ENCODING 'UTF8'."
            )
        if schema is None:
            raise SettingsError(
                f"The user of the database {self._url.place} has no schema to work in: its "
                "search_path names none that exists and that it may use."
            )
        if exempt:
            raise SettingsError(
                f"row_security=on has no effect for the user of {self._url.place}: a superuser, "
                "or one with BYPASSRLS. Use a user who only owns the database."
            )
        if todo := await self._pending(raw):
            raise SettingsError(
                f"The database {self._url.place} needs {len(todo)} migration(s), from {todo[0]} "
                f"to {todo[-1]}. Run `chatkeep migrate`, then start again."
            )

    async def _explaining[T](self, operation: Callable[[], Awaitable[T]]) -> T:
        """Do an operation of the start; what hinders it is one line without a password."""
        try:
            return await self.retrying(operation)
        except StoreUnavailableError as error:
            raise self._explained(error.__cause__) from error.__cause__

    def _explained(self, cause: BaseException | None) -> SettingsError | StoreUnavailableError:
        place = self._url.place
        driver = driver_error(cause)
        state = getattr(driver, "sqlstate", None)
        if state in _REFUSALS:
            return SettingsError(_REFUSALS[state].format(place=place, reason=reason(driver)))
        if isinstance(driver, asyncpg.ClientConfigurationError):
            return SettingsError(f"The database URL cannot be used: {driver.args[0]}.")
        if "unsupported startup parameter" in str(driver):
            return SettingsError(
                f"{place} is a pooler ({reason(driver)}). See PgBouncer in the documentation."
            )
        if isinstance(driver, ssl.SSLError) or "SSL" in str(driver):
            return SettingsError(
                f"No encrypted connection to {place}: {reason(driver)}. See sslmode in the "
                "documentation."
            )
        return StoreUnavailableError(f"The database {place} cannot be reached: {reason(driver)}.")

    def _connector(self, *, migrating: bool = False) -> Callable[[], Awaitable[Any]]:
        return connector(
            self._url,
            command_timeout=None if migrating else _COMMAND_TIMEOUT,
            # Behind a pooler statements are unnamed.
            statement_cache_size=0 if self._url.pooled else _CACHED_STATEMENTS,
            max_cacheable_statement_size=0,  # however long
            server_settings=self._session(migrating=migrating),
        )

    def _engine(self) -> AsyncEngine:
        """Return an engine for migrations, which Alembic wants."""
        connect = self._connector(migrating=True)

        def creator() -> Any:
            return engine.sync_engine.dialect.loaded_dbapi.connect(
                async_creator_fn=connect, prepared_statement_cache_size=0
            )

        engine = create_async_engine(
            "postgresql+asyncpg://",  # the driver gets the URL itself
            creator=creator,
            pool_size=1,
            max_overflow=0,
            isolation_level="READ COMMITTED",
            hide_parameters=True,
        )
        event.listen(engine.sync_engine, "handle_error", _drop_lost_connections)
        return engine

    def _session(self, *, migrating: bool) -> dict[str, str]:
        """Return the settings that a session begins with."""
        settings = {"application_name": "chatkeep", "timezone": "UTC"}
        if self._url.pooled:
            return settings  # a pooler knows no others: sessions are not ours to set
        return settings | {
            "default_transaction_isolation": "read committed",
            # A migration takes the time it takes, but must not make others wait for its locks.
            "statement_timeout": "0" if migrating else f"{_STATEMENT_TIMEOUT}s",
            "lock_timeout": f"{_LOCK_TIMEOUT}s",
            "idle_in_transaction_session_timeout": f"{_IDLE_TIMEOUT}s",
        }


_ABOUT = (
    "SELECT current_setting('server_version_num')::integer, current_setting('server_encoding'), "
    "current_schema()"
)


def driver_error(error: BaseException | None) -> BaseException | None:
    """Return the driver's own error, which SQLAlchemy wraps twice."""
    if not isinstance(error, DBAPIError):
        return error
    return error.orig.__cause__ if error.orig is not None else None


def is_lost(state: str) -> bool:
    """Say whether a state of the server's means that the connection is of no use any more."""
    return state in _LOST or state.startswith("08")  # 08: the connection itself


def _client_fault(error: BaseException | None) -> Fault:
    """Say what an error means that did not come from the server."""
    if isinstance(error, asyncpg.ClientConfigurationError):
        return Fault.GONE
    if isinstance(error, asyncpg.DataError):
        return Fault.BUG
    lost = isinstance(error, asyncpg.TargetServerAttributeNotMatched) or "clos" in str(error)
    return Fault.LOST if lost else Fault.BUG


def _drop_lost_connections(context: ExceptionContext) -> None:
    """Drop the pool when the server is lost, also when a connection to it still stands."""
    error = context.original_exception
    state = getattr(error, "sqlstate", None)
    # An OSError in the middle of a call is the network's, or our own limit for the answer.
    if isinstance(error, OSError) or (isinstance(state, str) and is_lost(state)):
        context.is_disconnect = True


def _lock_migrations(connection: Connection) -> None:
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_MIGRATION_WAIT}s'")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}s'")


def _opened(pool: PostgresPool | None) -> PostgresPool:
    if pool is None:
        raise StoreUnavailableError("The store is not open.")
    return pool


async def _dispose(engine: AsyncEngine) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_TIMEOUT):
            await engine.dispose()
