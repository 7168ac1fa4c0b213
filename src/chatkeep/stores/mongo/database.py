"""The connection to a MongoDB database, and its failure policy.

* A write of several documents is one transaction; a write of one document is a single command.
  Both are acknowledged when a majority of the replica set has them in its journals. Reads ask the
  primary, which has all that was acknowledged.
* A transaction that meets another one is ended by the server at once, without waiting, and tried
  again after a random pause, for `_PATIENCE`. So that writers of one process do not meet, those
  who would change the same document queue here.
* A COMMIT whose answer is lost is asked for again, in the same session: the server then tells its
  outcome, and does not do it twice. Should it not know the transaction any more, the work is
  repeated: every write is an upsert, a deletion, or asks whether its first try is there already
  (`write_once`). If nobody answers, the error says that the outcome is unknown.
* A lost connection, or a server that is not the primary any more, is tried again; the driver
  looks for the new primary meanwhile.
* What is left is a `StoreUnavailableError`; the driver's error is its `__cause__`. Errors that
  only a mistake of ours explains pass as they are.
* Cancelling the caller does not cut an operation under way; see `chatkeep.stores.failure`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

import pymongo
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DocumentTooLarge, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from chatkeep.errors import StoreUnavailableError
from chatkeep.stores.failure import Underway
from chatkeep.stores.mongo import opening
from chatkeep.stores.mongo.commands import Commands, Database
from chatkeep.stores.mongo.faults import Tries, leaves_doubt
from chatkeep.stores.mongo.schema import prepare
from chatkeep.stores.mongo.statements import Distinct, Document, Find
from chatkeep.stores.mongo.url import MongoUrl

_PATIENCE = 10.0
"""Seconds after which no new try is begun, and for which a writer queues. A try may take as long
as the URL says: the driver looks for a primary meanwhile, and the server is told the limit."""
_DOUBT = 5.0
"""Seconds for which the outcome of a commit is asked for, at least."""
_DEADLINE = 30.0
"""Seconds that a call takes at most."""
_PING = 5.0
_INDEXING = 600.0
"""Seconds that making an index may take."""
_CLOSE_TIMEOUT = 5.0

type Work[T] = Callable[[Commands], Awaitable[T]]
type WorkOnce[T] = Callable[[Commands, bool], Awaitable[T]]
type Queue = tuple[str, ...]
"""What writers queue for: a user's list of threads, or one thread."""


class MongoDatabase:
    """A MongoDB database: of a replica set, or of a sharded cluster."""

    deadline: float | None = _DEADLINE
    """Seconds after which a caller is told that the database is gone, whatever the driver does;
    what is still under way a second later is cut."""

    def __init__(self, url: MongoUrl) -> None:
        self._url = url
        self._database: Database | None = None
        self._underway = Underway()
        # A lock lives as long as somebody holds it or waits for it.
        self._queues: WeakValueDictionary[Queue, asyncio.Lock] = WeakValueDictionary()

    async def open(self) -> None:
        """Connect, once; check the server, and make what is missing of the schema.

        Raises:
            SettingsError: The URL, the rights, the server or the schema do not allow a start.
            StoreUnavailableError: The server cannot be reached.
        """
        if self._database is not None:
            return
        database = opening.connect(self._url)
        try:
            with opening.explained(self._url):
                await self._tried(lambda: opening.check(database, self._url))
                await self._tried(lambda: prepare(database), limit=_INDEXING)
        except BaseException:  # no connection stays behind; passed on
            await _close(database)
            raise
        self._database = database

    async def aclose(self) -> None:
        """Let what is under way end, then close every connection. Idempotent."""
        database, self._database = self._database, None
        await self._underway.drained()
        if database is not None:
            await _close(database)

    async def ping(self) -> None:
        """Ask the primary for something that takes it no time."""
        database = self._opened()
        limit = min(_PING, self._url.attempt)
        asked = self._tried(lambda: database.command("ping"), Tries(0), limit)
        await self._underway.to_the_end(asked, self.deadline)

    async def find(self, statement: Find) -> list[Document]:
        """Return the documents of one statement."""
        commands = Commands(self._opened(), None)
        found = self._tried(lambda: commands.find(statement))
        return await self._underway.to_the_end(found, self.deadline)

    async def distinct(self, statement: Distinct) -> list[Any]:
        """Return the different values of a field."""
        commands = Commands(self._opened(), None)
        found = self._tried(lambda: commands.distinct(statement))
        return await self._underway.to_the_end(found, self.deadline)

    async def command[T](self, command: Work[T]) -> T:
        """Send one command that changes one document, by itself; return what it says.

        It may be sent more than once, so its second time must end as its first.
        """
        commands = Commands(self._opened(), None)
        tries = Tries(_PATIENCE)

        async def sent() -> T:
            try:
                return await command(commands)
            except PyMongoError as error:
                tries.doubtful = tries.doubtful or leaves_doubt(error)
                raise

        return await self._underway.to_the_end(self._tried(sent, tries), self.deadline)

    async def write[T](self, queue: Queue, work: Work[T]) -> T:
        """Do work in one transaction, committed when this returns.

        The work may be done more than once, so it must not have effects of its own.
        """
        return await self.write_once(queue, lambda commands, _: work(commands))

    async def write_once[T](self, queue: Queue, work: WorkOnce[T]) -> T:
        """Do work in one transaction, telling it whether an earlier try may have been committed.

        For work whose second time would end otherwise than its first.
        """
        database = self._opened()

        async def transaction(tries: Tries) -> T:
            async with database.client.start_session(causal_consistency=False) as session:
                await session.start_transaction(
                    ReadConcern("snapshot"), opening.MAJORITY, ReadPreference.PRIMARY
                )
                result = await work(Commands(database, session), tries.doubtful)
                await _commit(session, tries)
                return result

        async def queued() -> T:
            async with self._turn(queue):
                tries = Tries(_PATIENCE)
                return await self._tried(lambda: transaction(tries), tries)

        return await self._underway.to_the_end(queued(), self.deadline)

    @asynccontextmanager
    async def _turn(self, queue: Queue) -> AsyncIterator[None]:
        lock = self._queues.setdefault(queue, asyncio.Lock())
        try:
            async with asyncio.timeout(_PATIENCE):
                await lock.acquire()
        except TimeoutError as error:
            raise StoreUnavailableError from error
        try:
            yield
        finally:
            lock.release()

    async def _tried[T](
        self,
        operation: Callable[[], Awaitable[T]],
        tries: Tries | None = None,
        limit: float | None = None,
    ) -> T:
        """Do an operation by the failure policy above; each try takes `limit` seconds at most."""
        tries = tries or Tries(_PATIENCE)
        while True:
            try:
                with pymongo.timeout(limit or self._url.attempt):
                    return await operation()
            except (PyMongoError, DocumentTooLarge) as error:
                await tries.again(error)

    def _opened(self) -> Database:
        if self._database is None:
            raise StoreUnavailableError("The store is not open.")
        return self._database


async def _commit(session: AsyncClientSession, tries: Tries) -> None:
    while True:
        try:
            await session.commit_transaction()
        except PyMongoError as error:
            if not error.has_error_label("UnknownTransactionCommitResult"):
                raise
            tries.doubt(_DOUBT)
            await tries.again(error)
        else:
            return


async def _close(database: Database) -> None:
    # A server that hangs is not waited for: the driver tells it that its sessions end.
    with pymongo.timeout(_CLOSE_TIMEOUT):
        await database.client.close()
