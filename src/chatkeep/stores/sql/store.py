"""The `Store` on a SQL database."""

from collections.abc import Mapping, Sequence
from typing import Any

from chatkit.types import (
    Attachment,
    FeedbackKind,
    Page,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
)
from sqlalchemy import Select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from chatkeep.context import RequestContext
from chatkeep.errors import ConflictError, NotFoundError
from chatkeep.ports import Store
from chatkeep.stores.encoding import (
    checked_text,
    decode_attachment,
    decode_item,
    decode_thread,
    encode_attachment,
    encode_item,
    encode_thread,
)
from chatkeep.stores.paging import Order, Scope, build_page, check_page, read_cursor, start_of
from chatkeep.stores.sql.database import Database
from chatkeep.stores.sql.statements import Statements

Parameters = dict[str, Any]


class SqlStore(Store):
    """A `Store` on a `Database`, which says how to connect and how it fails."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._sql = Statements(database.insert)

    async def open(self) -> None:
        """Connect; the schema is, or is made, the one this version needs."""
        await self._db.open()

    async def pending(self) -> tuple[str, ...]:
        """Return the migrations that the database still needs. Works without `open()`."""
        return await self._db.pending()

    async def migrate(self) -> tuple[str, ...]:
        """Apply the migrations that the database still needs. Works without `open()`."""
        return await self._db.migrate()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._db.aclose()

    async def ping(self) -> None:
        """Ask the database for something that takes it no time."""
        await self._db.fetch(self._sql.has_thread, {"p_tenant": "", "p_owner": "", "p_thread": ""})

    async def load_thread(self, thread_id: str, context: RequestContext) -> ThreadMetadata:
        """Load a thread."""
        row = await self._one(self._sql.load_thread, _key(context, thread=thread_id))
        return _found(decode_thread(row.title, row.body))

    async def save_thread(self, thread: ThreadMetadata, context: RequestContext) -> None:
        """Store a thread, new or changed."""
        record = encode_thread(thread)
        values = _key(context, thread=thread.id, **record._asdict(), next_seq=1)

        async def work(connection: AsyncConnection) -> None:
            # A saved thread is nearly always there: one statement.
            if not (await connection.execute(self._sql.update_thread, values)).rowcount:
                seq = await self._take_thread_seq(connection, values)
                await connection.execute(self._sql.put_thread, {**values, "p_seq": seq})

        await self._db.write(work)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: RequestContext
    ) -> Page[ThreadMetadata]:
        """Load a page of the user's threads."""
        limit, direction = check_page(limit, order)
        key = _key(context)
        scope = ("threads", key["p_tenant"], key["p_owner"])
        start = await self._start(
            after, direction, scope, self._sql.has_thread, {**key, "p_thread": after}
        )
        rows = await self._db.fetch(
            self._sql.thread_page[direction], {**key, "p_start": start, "p_limit": limit + 1}
        )
        return build_page(rows, limit, scope, lambda row: decode_thread(row.title, row.body))

    async def delete_thread(self, thread_id: str, context: RequestContext) -> None:
        """Delete a thread and everything that belongs to it."""
        key = _key(context, thread=thread_id)

        async def work(connection: AsyncConnection) -> None:
            if (await connection.execute(self._sql.delete_thread, key)).rowcount:
                await connection.execute(self._sql.delete_attachments_of_thread, key)

        await self._db.write(work)

    async def create_thread(
        self, thread: ThreadMetadata, message: UserMessageItem, context: RequestContext
    ) -> None:
        """Store a new thread and its first message: both, or neither."""
        key = _key(context, thread=thread.id)
        values = {**key, **_params(encode_thread(thread)._asdict()), "p_next_seq": 2}
        first = {**key, **_params(encode_item(message)._asdict()), "p_item": message.id, "p_seq": 1}

        async def work(connection: AsyncConnection, repeated: bool) -> None:
            for attachment in message.attachments:
                bind = {**key, "p_attachment": attachment.id}
                if not (await connection.execute(self._sql.bind_attachment, bind)).rowcount:
                    raise NotFoundError
            seq = await self._take_thread_seq(connection, values)
            created = await connection.execute(self._sql.insert_thread, {**values, "p_seq": seq})
            if created.rowcount:
                await connection.execute(self._sql.put_item, first)
            elif not (repeated and await self._has_item(connection, first)):
                raise ConflictError

        await self._db.write_once(work)

    async def title_thread(self, thread_id: str, title: str, context: RequestContext) -> bool:
        """Set the title if the thread has none yet; say whether that happened."""
        key = _key(context, thread=thread_id)
        values = {**key, **_params({"title": title})}

        async def work(connection: AsyncConnection, repeated: bool) -> bool:
            if (await connection.execute(self._sql.title_thread, values)).rowcount:
                return True
            row = _found((await connection.execute(self._sql.load_thread, key)).first())
            return bool(repeated and row.title == title)

        return await self._db.write_once(work)

    async def load_thread_items(
        self,
        thread_id: str,
        after: str | None,
        limit: int,
        order: str,
        context: RequestContext,
        *,
        include_hidden: bool = True,
    ) -> Page[ThreadItem]:
        """Load a page of a thread's items: one statement, unless the page is empty."""
        limit, direction = check_page(limit, order)
        key = _key(context, thread=thread_id)
        scope = ("items", key["p_tenant"], key["p_owner"], thread_id)
        start = await self._start(
            after, direction, scope, self._sql.item_seq, {**key, "p_item": after}
        )
        pages = self._sql.item_page if include_hidden else self._sql.shown_item_page
        page = pages[direction], {**key, "p_start": start, "p_limit": limit + 1}
        rows = await self._db.fetch(*page)
        if not rows:
            await self._one(self._sql.has_thread, key)
            # The thread may have come since, and its first message with it.
            rows = await self._db.fetch(*page)
        return build_page(rows, limit, scope, lambda row: decode_item(row.type, row.body))

    async def add_thread_item(
        self, thread_id: str, item: ThreadItem, context: RequestContext
    ) -> None:
        """Store an item behind the others, or in its place if it is there already."""
        values = _key(context, thread=thread_id, item=item.id, **encode_item(item)._asdict())

        async def work(connection: AsyncConnection) -> None:
            await self._put_item(connection, values)

        await self._db.write(work)

    async def save_item(self, thread_id: str, item: ThreadItem, context: RequestContext) -> None:
        """Store an item in its place, or behind the others if it is new."""
        values = _key(context, thread=thread_id, item=item.id, **encode_item(item)._asdict())

        async def work(connection: AsyncConnection) -> None:
            # Unlike an added item, a saved one is nearly always there: one statement.
            if not (await connection.execute(self._sql.update_item, values)).rowcount:
                await self._put_item(connection, values)

        await self._db.write(work)

    async def load_item(self, thread_id: str, item_id: str, context: RequestContext) -> ThreadItem:
        """Load an item."""
        row = await self._one(self._sql.load_item, _key(context, thread=thread_id, item=item_id))
        if (item := decode_item(row.type, row.body)) is None:
            raise NotFoundError
        return item

    async def delete_thread_item(
        self, thread_id: str, item_id: str, context: RequestContext
    ) -> None:
        """Delete an item and its feedback."""
        await self.delete_thread_items(thread_id, [item_id], context)

    async def delete_thread_items(
        self, thread_id: str, item_ids: Sequence[str], context: RequestContext
    ) -> None:
        """Delete several items and their feedback."""
        await self._write_each(
            self._sql.delete_item,
            [_key(context, thread=thread_id, item=each) for each in _in_order(item_ids)],
        )

    async def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        """Store an attachment's record, new or changed."""
        record = encode_attachment(attachment)
        values = _key(context, attachment=attachment.id, thread=record.thread_id, body=record.body)
        await self._write_each(self._sql.put_attachment, [values])

    async def load_attachment(self, attachment_id: str, context: RequestContext) -> Attachment:
        """Load an attachment's record."""
        row = await self._one(self._sql.load_attachment, _key(context, attachment=attachment_id))
        if (attachment := decode_attachment(row.thread_id, row.body)) is None:
            raise NotFoundError
        return attachment

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        """Delete an attachment's record."""
        await self._write_each(
            self._sql.delete_attachment, [_key(context, attachment=attachment_id)]
        )

    async def add_feedback(
        self,
        thread_id: str,
        item_ids: Sequence[str],
        kind: FeedbackKind,
        context: RequestContext,
    ) -> None:
        """Keep the user's latest judgement of each item."""
        if not item_ids:
            await self._one(self._sql.has_thread, _key(context, thread=thread_id))
        rows = [
            _key(context, thread=thread_id, item=each, kind=kind) for each in _in_order(item_ids)
        ]
        try:
            await self._write_each(self._sql.put_feedback, rows)
        except IntegrityError as error:
            # The only constraint that an upsert of feedback can break is that its item exists.
            raise NotFoundError from error

    async def load_feedback(
        self, thread_id: str, context: RequestContext
    ) -> dict[str, FeedbackKind]:
        """Return the user's judgements in a thread, by item id."""
        key = _key(context, thread=thread_id)
        rows = await self._db.fetch(self._sql.load_feedback, key)
        if not rows:
            await self._one(self._sql.has_thread, key)
        return {row.item_id: row.kind for row in rows}

    async def _one(self, statement: Select[Any], parameters: Parameters) -> Any:
        rows = await self._db.fetch(statement, parameters)
        return _found(rows[0] if rows else None)

    async def _start(
        self,
        after: str | None,
        order: Order,
        scope: Scope,
        position: Select[Any],
        parameters: Parameters,
    ) -> int:
        if after is None:
            return start_of(order)
        if (seq := read_cursor(scope, after)) is not None:
            return seq
        row = await self._one(position, parameters)
        return int(row.seq)

    async def _write_each(self, statement: Any, rows: Sequence[Parameters]) -> None:
        if not rows:
            return

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement, rows)

        await self._db.write(work)

    async def _take_thread_seq(self, connection: AsyncConnection, values: Parameters) -> int:
        return int((await connection.execute(self._sql.take_thread_seq, values)).scalar_one())

    async def _has_item(self, connection: AsyncConnection, values: Parameters) -> bool:
        return (await connection.execute(self._sql.item_seq, values)).first() is not None

    async def _put_item(self, connection: AsyncConnection, values: Parameters) -> None:
        seq = (await connection.execute(self._sql.take_item_seq, values)).scalar_one_or_none()
        if seq is None:
            raise NotFoundError
        await connection.execute(self._sql.put_item, {**values, "p_seq": seq})


def _key(context: RequestContext, **more: object) -> Parameters:
    principal = context.principal
    return _params({"tenant": principal.tenant, "owner": principal.user, **more})


def _params(values: Mapping[str, object]) -> Parameters:
    return {
        f"p_{name}": checked_text(value) if isinstance(value, str) else value
        for name, value in values.items()
    }


def _in_order(item_ids: Sequence[str]) -> list[str]:
    """Return ids in the one order in which rows are locked: two calls then cannot deadlock."""
    return sorted(set(item_ids))


def _found[T](value: T | None) -> T:
    if value is None:
        raise NotFoundError
    return value
