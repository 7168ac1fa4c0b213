"""What the parts of the store share."""

from collections.abc import Sequence
from typing import NamedTuple

from chatkeep.context import RequestContext
from chatkeep.errors import NotFoundError
from chatkeep.ports import Store
from chatkeep.stores.mongo.database import MongoDatabase
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
