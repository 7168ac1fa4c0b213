"""What all parts of the SQL store share: the database, the statements, parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select
from sqlalchemy.sql.base import Executable

from chatkeep.context import Principal, RequestContext
from chatkeep.errors import LeaseLostError, NotFoundError
from chatkeep.stores.encoding import checked_text
from chatkeep.stores.paging import Order, Scope, read_cursor, start_of
from chatkeep.stores.sql.database import Connection, Database, Work, WorkOnce
from chatkeep.stores.sql.statements import Statements

type Parameters = dict[str, Any]


class SqlBase:
    """A part of the store on a `Database`, which says how to connect and how it fails."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._sql = Statements(database.dialect)

    async def _one(self, statement: Select[Any], parameters: Parameters) -> Any:
        rows = await self._db.fetch(statement, parameters)
        return found(rows[0] if rows else None)

    async def _write[T](self, context: RequestContext, work: Work[T]) -> T:
        """Do a user's work in one transaction; `context.lease` must be held, if there is one."""
        return await self._write_once(context, lambda connection, _: work(connection))

    async def _write_once[T](self, context: RequestContext, work: WorkOnce[T]) -> T:
        """Do the same with work that wants to know whether an earlier try may be committed.

        Raises:
            LeaseLostError: The lease is not held. Nothing was written.
        """
        if (lease := context.lease) is None:
            return await self._db.write_once(work)
        held = key_of(context, turn=lease.turn_id, fence=lease.fence)

        async def leased(connection: Connection, repeated: bool) -> T:
            # Before all else: nobody can take the turn over until this is stored.
            if not (await connection.execute(self._sql.touch_turn, held)).rowcount:
                raise LeaseLostError
            return await work(connection, repeated)

        return await self._db.write_once(leased)

    async def _first(
        self, connection: Connection, statement: Executable, values: Parameters
    ) -> Any:
        return (await connection.execute(statement, values)).first()

    async def _start(
        self,
        after: str | None,
        order: Order,
        scope: Scope,
        position: Select[Any],
        parameters: Parameters,
    ) -> int:
        """Return the position that a page begins behind; `position` asks for that of an id."""
        if after is None:
            return start_of(order)
        if (seq := read_cursor(scope, after)) is not None:
            return seq
        row = await self._one(position, parameters)
        return int(row.seq)


def key_of(context: RequestContext, **more: object) -> Parameters:
    """Return the parameters of a statement for the asking user."""
    return key_of_principal(context.principal, **more)


def key_of_principal(principal: Principal, **more: object) -> Parameters:
    """Return the parameters of a statement for a user."""
    return params({"tenant": principal.tenant, "owner": principal.user, **more})


def params(values: Mapping[str, object]) -> Parameters:
    """Return values as parameters of a statement.

    Raises:
        ValueError: A text contains a lone surrogate.
    """
    return {
        f"p_{name}": checked_text(value) if isinstance(value, str) else value
        for name, value in values.items()
    }


def in_order(ids: Sequence[str]) -> list[str]:
    """Return ids in the one order in which rows are locked: two calls then cannot deadlock."""
    return sorted(set(ids))


def found[T](value: T | None) -> T:
    """Return the value.

    Raises:
        NotFoundError: There is none.
    """
    if value is None:
        raise NotFoundError
    return value
