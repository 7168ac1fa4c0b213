"""Threads that have connections to SQLite and do jobs for the event loop.

A job is a whole call of the store: one way to the thread and one way back, however many statements
it has. The statements in between are not handed to anybody, so the coroutine of a transaction runs
through without waiting: see `finished`.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from sqlalchemy.sql.base import Executable

from chatkeep.stores.sql.prepared import Parameters, Preparing, Result

_MOST_TOGETHER = 64
"""How many writes share one commit at most."""


class SqliteConnection:
    """A connection, used by one thread only."""

    def __init__(self, raw: sqlite3.Connection, prepare: Preparing) -> None:
        self.raw = raw
        self._prepare = prepare

    async def execute(
        self, statement: Executable, parameters: Parameters | Sequence[Parameters]
    ) -> Result:
        """Do a statement, or the same for several parameters, without waiting for anything."""
        return self.run(statement, parameters)

    def run(self, statement: Executable, parameters: Parameters | Sequence[Parameters]) -> Result:
        """Do a statement."""
        prepared = self._prepare(statement)
        if isinstance(parameters, Mapping):
            cursor = self.raw.execute(prepared.text, prepared.arguments(parameters))
        else:
            cursor = self.raw.executemany(prepared.text, map(prepared.arguments, parameters))
        rows = prepared.rows(cursor.fetchall()) if prepared.returns else ()
        return Result(rows, cursor.rowcount)


type Ask[T] = Callable[[SqliteConnection], T]


@dataclass(frozen=True, slots=True)
class _Job:
    ask: Ask[Any]
    future: asyncio.Future[Any]
    context: Context
    """Of the caller: what is logged says for whom."""

    def done(self, connection: SqliteConnection) -> Any:
        return self.context.run(self.ask, connection)


@dataclass(frozen=True, slots=True)
class _Answer:
    job: _Job
    result: Any = None
    error: Exception | None = None


class SqliteThreads:
    """Threads that each do one job after the other.

    Args:
        connect: Opens a thread's connection, in the thread.
        prepare: The statements.
        most: How many threads there may be; another one is started when all have something to do.
    """

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], prepare: Preparing, *, most: int = 1
    ) -> None:
        self._connect = connect
        self._prepare = prepare
        self._most = most
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._ends: list[asyncio.Future[None]] = []  # of the threads
        self._asked = 0

    async def ask[T](self, ask: Ask[T]) -> T:
        """Have a job done, and return what it returns. Who does not wait does not end it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._asked += 1
        if self._asked > len(self._ends) and len(self._ends) < self._most:
            self._ends.append(loop.create_future())
            # Not waited for when the process ends: what is not committed was not acknowledged.
            Thread(target=self._work, args=self._ends[-1:], name="sqlite", daemon=True).start()
        self._jobs.put(_Job(ask, future, copy_context()))
        try:
            return await future
        finally:
            self._asked -= 1

    async def aclose(self) -> None:
        """Do what was asked for, then close the connections. Idempotent."""
        ends, self._ends = self._ends, []
        for _ in ends:
            self._jobs.put(None)
        if ends:
            await asyncio.wait(ends)

    def _work(self, end: asyncio.Future[None]) -> None:
        connection = None
        try:
            while jobs := self._next():
                try:
                    connection = connection or SqliteConnection(self._connect(), self._prepare)
                except Exception as error:  # noqa: BLE001 - for those who asked
                    _tell([_Answer(job, error=error) for job in jobs])
                else:
                    _tell(self._do(connection, jobs))
        finally:
            if connection is not None:
                connection.raw.close()
            _call(end, end.set_result, None)

    def _next(self) -> list[_Job]:
        """Return what is to be done next; nothing at the end."""
        job = self._jobs.get()
        return [] if job is None else [job]

    def _do(self, connection: SqliteConnection, jobs: Sequence[_Job]) -> list[_Answer]:
        return [_answer(job, connection) for job in jobs]


class SqliteWriter(SqliteThreads):
    """A thread whose jobs are transactions.

    Those that came while it was busy are one transaction of the database: they are synced to disk
    together, and only then acknowledged. Each is undone alone when it fails.
    """

    def _next(self) -> list[_Job]:
        jobs = super()._next()
        while jobs and len(jobs) < _MOST_TOGETHER:
            try:
                more = self._jobs.get_nowait()
            except Empty:
                break
            if more is None:  # the end, behind these
                self._jobs.put(None)
                break
            jobs.append(more)
        return jobs

    def _do(self, connection: SqliteConnection, jobs: Sequence[_Job]) -> list[_Answer]:
        raw = connection.raw
        try:
            # The lock is taken at once: a transaction that first reads and then writes could not
            # wait for it, it would fail.
            raw.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            return [_Answer(job, error=error) for job in jobs]
        try:
            if len(jobs) == 1:
                answers = [_Answer(jobs[0], jobs[0].done(connection))]
            else:
                answers = [_undone_alone(job, connection) for job in jobs]
            raw.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - for those who asked
            with suppress(sqlite3.Error):
                if raw.in_transaction:
                    raw.execute("ROLLBACK")
            if len(jobs) == 1:
                return [_Answer(jobs[0], error=error)]
            # One may be the reason, and the others can do without it.
            return [answer for job in jobs for answer in self._do(connection, [job])]
        return answers


def finished[T](work: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns that waits for nothing but its connection."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise RuntimeError("a transaction waited for something else than its database")


def _answer(job: _Job, connection: SqliteConnection) -> _Answer:
    try:
        return _Answer(job, job.done(connection))
    except Exception as error:  # noqa: BLE001 - for who asked
        return _Answer(job, error=error)


def _undone_alone(job: _Job, connection: SqliteConnection) -> _Answer:
    """Do a job in the transaction of several; if it fails, only what it did is taken back."""
    connection.raw.execute("SAVEPOINT job")
    answer = _answer(job, connection)
    if answer.error is not None:
        # Some failures take back the whole transaction, which fails this too.
        connection.raw.execute("ROLLBACK TO job")
    connection.raw.execute("RELEASE job")
    return answer


def _tell(answers: Sequence[_Answer]) -> None:
    """Give the answers to those who asked."""
    _call(answers[0].job.future, _settle, answers)


def _settle(answers: Sequence[_Answer]) -> None:
    for answer in answers:
        future = answer.job.future
        if future.done():
            continue  # nobody waits any more
        if answer.error is None:
            future.set_result(answer.result)
        else:
            future.set_exception(answer.error)


def _call[T](future: asyncio.Future[Any], call: Callable[[T], None], value: T) -> None:
    """Call something in a future's event loop, unless that is over."""
    with suppress(RuntimeError):
        future.get_loop().call_soon_threadsafe(call, value)
