"""The operators' side of the store on SQL."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from chatkeep.context import Principal
from chatkeep.errors import HeldError
from chatkeep.ports.records import Hold, Receipt, Record
from chatkeep.ports.upkeep import Expired, StaleAttachment
from chatkeep.stores.encoding import decode_item_text, milliseconds, moment_of
from chatkeep.stores.sql.base import Parameters, key_of_principal, params
from chatkeep.stores.sql.database import Connection, Database
from chatkeep.stores.sql.statements.upkeep import Upkeep
from chatkeep.stores.sql.writing import SqlWriting
from chatkeep.stores.words import entry_words

_SCHEME = "operator"


class SqlUpkeep(SqlWriting):
    """What is done across users."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._upkeep = Upkeep(database.dialect)

    async def read_records(self, table: str, after: Record | None, limit: int) -> Sequence[Record]:
        """Return the next records of a table behind one, in the order of its key."""
        _check_table(table, self._upkeep.put_record)
        statement = self._upkeep.first_records[table]
        values = {"p_limit": limit}
        if after is not None:
            statement = self._upkeep.next_records[table]
            values |= params(after)
        return [row._asdict() for row in await self._db.fetch(statement, values)]

    async def write_records(self, table: str, records: Sequence[Record]) -> None:
        """Store records, in place of those with the same key, in one transaction."""
        _check_table(table, self._upkeep.put_record)
        rows = [params(record) for record in records]

        async def work(connection: Connection) -> None:
            if not rows:
                return
            await connection.execute(self._upkeep.put_record[table], rows)
            for row in rows:
                await self._index_record(connection, table, row)

        await self._db.write(work)

    async def load_users(
        self, tenant: str | None, after: Principal | None, limit: int
    ) -> Sequence[Principal]:
        """Return users by name."""
        last = ("", "") if after is None else (after.tenant, after.user)
        statement = self._upkeep.load_users
        if tenant is not None:
            statement = self._upkeep.load_users_of_tenant
            last = tenant, last[1]
        values = params({"tenant": last[0], "owner": last[1], "limit": limit})
        rows = await self._db.fetch(statement, values)
        return [Principal(row.tenant, row.owner, _SCHEME) for row in rows]

    async def load_tenants(self) -> Sequence[str]:
        """Return the names of all tenants."""
        return [row.tenant for row in await self._db.fetch(self._upkeep.load_tenants, {})]

    async def erase(self, tenant: str, user: str | None) -> Receipt:
        """Delete all records of a user, or of a tenant; return how many there were.

        In many short transactions: what is interrupted is finished by doing it again.
        """
        key = params({"tenant": tenant, "owner": user or ""})
        deletes = self._upkeep.erase_tenant if user is None else self._upkeep.erase_user
        receipt: dict[str, int] = {}

        for table, statement in deletes.items():

            async def work(connection: Connection, statement: Any = statement) -> int:
                # A tenant with any hold is not erased, a user with one of their own is not.
                held = self._upkeep.load_any_hold if user is None else self._sql.load_own_hold
                if (await connection.execute(held, key)).first() is not None:
                    raise HeldError
                return (await connection.execute(statement, key)).rowcount

            receipt[table] = 0
            while count := await self._db.write(work):
                receipt[table] += count
        del receipt["texts"]
        return receipt

    async def scrub(self) -> None:
        """Overwrite what deleted records have left in the files of the database."""
        await self._db.scrub()

    async def expire_threads(self, tenant: str, before: datetime, limit: int) -> Sequence[Expired]:
        """Delete threads of a tenant in which nobody wrote since a moment."""
        values = params({"tenant": tenant, "before": milliseconds(before), "limit": limit})
        expired = []
        for row in await self._db.fetch(self._upkeep.old_threads, values):
            principal = Principal(row.tenant, row.owner, _SCHEME)
            key = {**values, **key_of_principal(principal, thread=row.id)}
            try:
                attachment_ids = await self._db.write(partial(self._drop_old_thread, key=key))
            except HeldError:
                continue  # since a moment ago
            if attachment_ids is not None:
                expired.append(Expired(principal, row.id, attachment_ids))
        return expired

    async def _drop_old_thread(self, connection: Connection, key: Parameters) -> list[str] | None:
        """Delete a thread if it is still old; return its attachments, or None if it is not."""
        await self._refuse_if_held(connection, key)
        if not (await connection.execute(self._upkeep.delete_old_thread, key)).rowcount:
            return None
        gone = (await connection.execute(self._upkeep.attachments_of_old, key)).all()
        await connection.execute(self._sql.delete_attachments_of_thread, key)
        return [row.id for row in gone]

    async def put_hold(self, hold: Hold) -> None:
        """Begin a legal hold, or change its reason."""
        values = params(
            {
                "tenant": hold.tenant,
                "owner": hold.user or "",
                "reason": hold.reason,
                "created_at": milliseconds(hold.created_at),
            }
        )

        async def work(connection: Connection) -> None:
            await connection.execute(self._upkeep.put_hold, values)

        await self._db.write(work)

    async def delete_hold(self, tenant: str, user: str | None) -> None:
        """End a legal hold."""
        key = params({"tenant": tenant, "owner": user or ""})

        async def work(connection: Connection) -> None:
            await connection.execute(self._upkeep.delete_hold, key)

        await self._db.write(work)

    async def load_holds(self) -> Sequence[Hold]:
        """Return all legal holds."""
        rows = await self._db.fetch(self._upkeep.load_holds, {"p_limit": 2**31 - 1})
        return [
            Hold(row.tenant, row.owner or None, row.reason, moment_of(row.created_at))
            for row in rows
        ]

    async def stale_attachments(self, before: datetime, limit: int) -> Sequence[StaleAttachment]:
        """Return attachments that were created before a moment and belong to no thread."""
        values = params({"before": milliseconds(before), "limit": limit})
        rows = await self._db.fetch(self._upkeep.stale_attachments, values)
        return [StaleAttachment(Principal(row.tenant, row.owner, _SCHEME), row.id) for row in rows]

    async def _index_record(self, connection: Connection, table: str, row: Parameters) -> None:
        if table == "threads":
            await self._index_title(connection, {**row, "p_thread": row["p_id"]})
        elif table == "items":
            text = decode_item_text(row["p_type"], row["p_body"])
            words = entry_words(row["p_tenant"], row["p_owner"], text) if text is not None else None
            values = {"p_thread": row["p_thread_id"], "p_item": row["p_id"], "p_words": words}
            await self._index_item(connection, {**row, **values})


def _check_table(table: str, known: dict[str, Any]) -> None:
    if table not in known:
        raise ValueError(f"no table of records is called {table!r}")
