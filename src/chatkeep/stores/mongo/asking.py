"""What the parts of the store share."""

from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from chatkeep.context import RequestContext
from chatkeep.errors import LeaseLostError, NotFoundError
from chatkeep.ports import Store
from chatkeep.stores.mongo.commands import Commands
from chatkeep.stores.mongo.database import MongoDatabase, Queue, Work, WorkOnce
from chatkeep.stores.mongo.statements import Across, Document, Find, Key, Statements
from chatkeep.stores.paging import Order, Scope, read_cursor, start_of


class Placed(NamedTuple):
    """A document of a list."""

    seq: int
    document: Document


class Asking(Store):
    """Asks one database by one set of statements."""

    def __init__(self, database: MongoDatabase) -> None:
        self._db = database
        self._statements = Statements()
        self._across = Across()

    async def _one(self, statement: Find) -> Document:
        documents = await self._db.find(statement)
        return found(documents[0] if documents else None)

    async def _write[T](self, context: RequestContext, queue: Queue, work: Work[T]) -> T:
        """Do a user's work in one transaction; `context.lease` must be held, if there is one."""
        return await self._write_once(context, queue, lambda commands, _: work(commands))

    async def _write_once[T](self, context: RequestContext, queue: Queue, work: WorkOnce[T]) -> T:
        """Do the same with work that wants to know whether an earlier try may be committed.

        Raises:
            LeaseLostError: The lease is not held. Nothing was written.
        """
        if (lease := context.lease) is None:
            return await self._db.write_once(queue, work)
        touch = self._statements.touch_turn(key_of(context), lease.turn_id, lease.fence)

        async def leased(commands: Commands, repeated: bool) -> T:
            # Who takes the turn over meanwhile changes its document too: one of the two gives way.
            if not await commands.update(touch):
                raise LeaseLostError
            return await work(commands, repeated)

        return await self._db.write_once(queue, leased)

    async def _command[T](self, context: RequestContext, queue: Queue, command: Work[T]) -> T:
        """Send one command that changes one document; with a lease, in a transaction."""
        if context.lease is None:
            return await self._db.command(command)
        return await self._write(context, queue, command)

    async def _raise_lost(self, key: Key, turn_id: str) -> NoReturn:
        await self._one(self._statements.load_turn(key, turn_id))
        raise LeaseLostError

    async def _start(self, after: str | None, order: Order, scope: Scope, position: Find) -> int:
        """Return where a page starts.

        `position` finds the item or thread called `after`; its one field is the place in the list.
        """
        if after is None:
            return start_of(order)
        if (seq := read_cursor(scope, after)) is not None:
            return seq
        return int((await self._one(position))[position.fields[0]])


def key_of(context: RequestContext) -> Key:
    """Return who is asking."""
    return Key(context.principal.tenant, context.principal.user)


def placed(documents: Sequence[Document], by: str = "seq") -> list[Placed]:
    """Return the documents of a list in the order of a field, each with its position."""
    return [Placed(document[by], document) for document in documents]


def found[T](value: T | None) -> T:
    """Return a value that is there.

    Raises:
        NotFoundError: It is None.
    """
    if value is None:
        raise NotFoundError
    return value
