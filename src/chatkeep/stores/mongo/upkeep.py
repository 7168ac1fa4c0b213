"""The operators' side of the store."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from chatkeep.context import Principal
from chatkeep.errors import HeldError, NotFoundError
from chatkeep.ports.records import Hold, Receipt, Record
from chatkeep.ports.upkeep import Expired, StaleAttachment
from chatkeep.stores.encoding import milliseconds, moment_of
from chatkeep.stores.mongo.commands import Commands
from chatkeep.stores.mongo.records import mark_logs, table_of, take_docs
from chatkeep.stores.mongo.schema import (
    ATTACHMENTS,
    ITEMS,
    OWNERS,
    SHARES,
    SPENDING,
    THREADS,
    TOOL_CALLS,
    TURN_EVENTS,
    TURNS,
)
from chatkeep.stores.mongo.statements import Document, Find, Key, Update
from chatkeep.stores.mongo.writing import Writing

_SCHEME = "operator"
_CHUNK = 500  # MongoDB advises to change no more than 1,000 documents at once
_ERASED = (SPENDING, TOOL_CALLS, TURN_EVENTS, TURNS, SHARES, ATTACHMENTS, ITEMS, THREADS, OWNERS)
"""What is erased, each before that which it refers to."""


class Upkeep(Writing):
    """What is done across users."""

    async def read_records(self, table: str, after: Record | None, limit: int) -> Sequence[Record]:
        """Return the next records of a table behind one, in the order of its key."""
        where = table_of(table)
        return [where.record(each) for each in await self._db.find(where.read(after, limit))]

    async def write_records(self, table: str, records: Sequence[Record]) -> None:
        """Store records, in place of those with the same key, in one transaction."""
        where = table_of(table)
        marks = mark_logs(records) if where.collection == TURN_EVENTS else []

        async def work(commands: Commands) -> None:
            docs = await _docs(commands, records) if where.found else [None] * len(records)
            updates: list[Update] = [
                where.write(record, doc) for record, doc in zip(records, docs, strict=True)
            ]
            there = await commands.update_each(updates)
            if where.part and there < len(records):
                raise NotFoundError
            await commands.update_each(marks)

        if records:
            await self._db.write(("records",), work)

    async def load_users(
        self, tenant: str | None, after: Principal | None, limit: int
    ) -> Sequence[Principal]:
        """Return users by name."""
        last = None if after is None else Key(after.tenant, after.user)
        rows = await self._db.find(self._across.load_users(tenant, last, limit))
        return [_principal(row) for row in rows]

    async def load_tenants(self) -> Sequence[str]:
        """Return the names of all tenants."""
        return sorted(await self._db.distinct(self._across.load_tenants()))

    async def erase(self, tenant: str, user: str | None) -> Receipt:
        """Delete all records of a user, or of a tenant; return how many there were.

        In many short transactions: what is interrupted is finished by doing it again.
        """
        receipt = Counter(dict.fromkeys((*_ERASED, "feedback"), 0))
        for collection in _ERASED:
            some = self._across.some_of(collection, tenant, user, _CHUNK)

            async def work(commands: Commands, some: Find = some) -> list[Document]:
                await self._refuse_to_erase(commands, tenant, user)
                found = await commands.find(some)
                if found:
                    await commands.delete(self._across.delete_these(some, found))
                return found

            while found := await self._db.write((tenant, user or ""), work):
                receipt[collection] += len(found)
                receipt["feedback"] += sum("feedback" in each for each in found)
        return dict(receipt)

    async def scrub(self) -> None:
        """Do nothing: the server overwrites what was deleted as it writes on."""

    async def expire_threads(self, tenant: str, before: datetime, limit: int) -> Sequence[Expired]:
        """Delete threads of a tenant in which nobody wrote since a moment."""
        moment, expired = milliseconds(before), []
        holds = await self._db.find(self._across.load_holds(tenant))
        spared = [hold["owner"] for hold in holds]
        if "" in spared:
            return []
        old = self._across.old_threads(tenant, moment, spared, limit)
        for row in await self._db.find(old):
            key = Key(tenant, row["owner"])
            try:
                attachment_ids = await self._drop_old_thread(key, row["id"], moment)
            except HeldError:
                continue  # since a moment ago
            if attachment_ids is not None:
                principal = Principal(*key, _SCHEME)
                expired.append(Expired(principal, row["id"], attachment_ids))
        return expired

    async def put_hold(self, hold: Hold) -> None:
        """Begin a legal hold, or change its reason."""
        key = Key(hold.tenant, hold.user or "")
        put = self._across.put_hold(key, hold.reason, milliseconds(hold.created_at))
        await self._db.command(lambda commands: commands.update(put))

    async def delete_hold(self, tenant: str, user: str | None) -> None:
        """End a legal hold."""
        delete = self._across.delete_hold(Key(tenant, user or ""))
        await self._db.command(lambda commands: commands.delete(delete))

    async def load_holds(self) -> Sequence[Hold]:
        """Return all legal holds."""
        return [
            Hold(row["tenant"], row["owner"] or None, row["reason"], moment_of(row["created_at"]))
            for row in await self._db.find(self._across.load_holds())
        ]

    async def stale_attachments(self, before: datetime, limit: int) -> Sequence[StaleAttachment]:
        """Return attachments that were created before a moment and belong to no thread."""
        stale = self._across.stale_attachments(milliseconds(before), limit)
        return [StaleAttachment(_principal(row), row["id"]) for row in await self._db.find(stale)]

    async def _refuse_to_erase(self, commands: Commands, tenant: str, user: str | None) -> None:
        """Return when nothing forbids it: any hold does for a tenant, their own for a user."""
        if user is not None:
            await self._refuse_if_held(commands, Key(tenant, user))
        elif await commands.one(self._across.load_holds(tenant)) is not None:
            raise HeldError

    async def _drop_old_thread(self, key: Key, thread_id: str, moment: int) -> list[str] | None:
        """Delete a thread if it is still old; return its attachments, or None if it is not."""

        async def work(commands: Commands) -> list[str] | None:
            await self._refuse_if_held(commands, key)
            # Again: somebody may have written in it since it was looked for.
            if not await commands.delete(self._across.delete_old_thread(key, thread_id, moment)):
                return None
            gone = await commands.find(self._across.attachments_of_thread(key, thread_id))
            await self._drop_parts(commands, key, thread_id)
            return [row["id"] for row in gone]

        return await self._db.write((*key, thread_id), work)


async def _docs(commands: Commands, records: Sequence[Record]) -> list[int]:
    """Return a place among what is found for each record, in their order."""
    owners = [Key(str(each["tenant"]), str(each["owner"])) for each in records]
    last = {}
    for key, count in Counter(owners).items():
        taken = await commands.take(take_docs(key, count))
        last[key] = taken["last_doc"] - count if taken else 0
    docs = []
    for key in owners:
        last[key] += 1
        docs.append(last[key])
    return docs


def _principal(row: Document) -> Principal:
    return Principal(row["tenant"], row["owner"], _SCHEME)
