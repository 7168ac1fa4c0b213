"""Threads, items, attachments and feedback on SQL."""

from collections.abc import Callable, Sequence

from chatkit.types import (
    Attachment,
    FeedbackKind,
    Page,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
)

from chatkeep.context import RequestContext
from chatkeep.errors import NotFoundError
from chatkeep.stores.encoding import (
    decode_attachment,
    decode_item,
    decode_thread,
    encode_attachment,
    now,
)
from chatkeep.stores.paging import build_page, check_page
from chatkeep.stores.sql.base import found, in_order, key_of, params
from chatkeep.stores.sql.database import Connection, ConstraintError
from chatkeep.stores.sql.writing import SqlWriting, item_values, thread_values


class SqlConversations(SqlWriting):
    """What is said, and what belongs to it."""

    async def load_thread(self, thread_id: str, context: RequestContext) -> ThreadMetadata:
        """Load a thread."""
        row = await self._one(self._sql.load_thread, key_of(context, thread=thread_id))
        return found(decode_thread(row.title, row.body))

    async def save_thread(self, thread: ThreadMetadata, context: RequestContext) -> None:
        """Store a thread, new or changed."""
        values = thread_values(key_of(context), thread)

        async def work(connection: Connection) -> None:
            # A saved thread is nearly always there.
            old = (await connection.execute(self._sql.load_thread_locked, values)).first()
            if old is None:
                seq = await self._take_thread_seq(connection, values)
                await connection.execute(self._sql.put_thread, {**values, "p_seq": seq})
            else:
                await connection.execute(self._sql.update_thread, values)
            if old is None or old.title != thread.title:
                await self._index_title(connection, values)

        await self._write(context, work)

    async def change_thread(
        self,
        thread_id: str,
        change: Callable[[ThreadMetadata], None],
        context: RequestContext,
    ) -> ThreadMetadata:
        """Change a thread that exists, and return it as it is now."""
        key = key_of(context, thread=thread_id)

        async def work(connection: Connection) -> ThreadMetadata:
            row = found((await connection.execute(self._sql.load_thread_locked, key)).first())
            thread = found(decode_thread(row.title, row.body))
            change(thread)
            values = {**thread_values(key, thread), **key}
            await connection.execute(self._sql.update_thread, values)
            if thread.title != row.title:
                await self._index_title(connection, values)
            return thread

        return await self._write(context, work)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: RequestContext
    ) -> Page[ThreadMetadata]:
        """Load a page of the user's threads."""
        limit, direction = check_page(limit, order)
        key = key_of(context)
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
        key = key_of(context, thread=thread_id)
        await self._write(context, lambda connection: self._drop_thread(connection, key))

    async def create_thread(
        self, thread: ThreadMetadata, message: UserMessageItem, context: RequestContext
    ) -> None:
        """Store a new thread and its first message: both, or neither."""
        values = thread_values(key_of(context), thread)
        first = item_values(key_of(context, thread=thread.id), message)
        attachment_ids = [attachment.id for attachment in message.attachments]

        async def work(connection: Connection, repeated: bool) -> None:
            await self._create_thread(connection, values, first, attachment_ids, repeated=repeated)

        await self._write_once(context, work)

    async def title_thread(self, thread_id: str, title: str, context: RequestContext) -> bool:
        """Set the title if the thread has none yet; say whether that happened."""
        values = key_of(context, thread=thread_id, title=title)

        async def work(connection: Connection, repeated: bool) -> bool:
            if (await connection.execute(self._sql.title_thread, values)).rowcount:
                await self._add_title(connection, values)
                return True
            row = found((await connection.execute(self._sql.load_thread, values)).first())
            return bool(repeated and row.title == title)

        return await self._write_once(context, work)

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
        key = key_of(context, thread=thread_id)
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
        values = item_values(key_of(context, thread=thread_id), item)
        await self._write(context, lambda connection: self._put_item(connection, values))

    async def save_item(self, thread_id: str, item: ThreadItem, context: RequestContext) -> None:
        """Store an item in its place, or behind the others if it is new."""
        values = item_values(key_of(context, thread=thread_id), item)
        await self._write(context, lambda connection: self._save_item(connection, values))

    async def load_item(self, thread_id: str, item_id: str, context: RequestContext) -> ThreadItem:
        """Load an item."""
        row = await self._one(self._sql.load_item, key_of(context, thread=thread_id, item=item_id))
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
        key = key_of(context, thread=thread_id)
        rows = [{**key, **params({"item": each})} for each in in_order(item_ids)]

        async def work(connection: Connection) -> None:
            await self._refuse_if_held(connection, key)
            if rows:
                await connection.execute(self._sql.delete_item, rows)

        await self._write(context, work)

    async def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        """Store an attachment's record, new or changed."""
        record = encode_attachment(attachment)
        values = key_of(
            context,
            attachment=attachment.id,
            thread=record.thread_id,
            body=record.body,
            now=now(),
        )

        async def work(connection: Connection) -> None:
            await connection.execute(self._sql.put_attachment, values)

        await self._write(context, work)

    async def bind_attachment(
        self, attachment_id: str, thread_id: str, context: RequestContext
    ) -> None:
        """Make an attachment part of a thread."""
        key = key_of(context, attachment=attachment_id, thread=thread_id)
        await self._write(
            context, lambda connection: self._bind_attachments(connection, key, [attachment_id])
        )

    async def replace_attachment(
        self, old: Attachment, new: Attachment, context: RequestContext
    ) -> bool:
        """Store an attachment's record if it is still `old`; say whether that happened."""
        before, after = encode_attachment(old), encode_attachment(new)
        values = key_of(context, attachment=old.id, old=before.body, body=after.body)

        async def work(connection: Connection, repeated: bool) -> bool:
            if (await connection.execute(self._sql.replace_attachment, values)).rowcount:
                return True
            row = found((await connection.execute(self._sql.load_attachment, values)).first())
            return bool(repeated and row.body == after.body)

        return await self._write_once(context, work)

    async def load_attachment(self, attachment_id: str, context: RequestContext) -> Attachment:
        """Load an attachment's record."""
        row = await self._one(self._sql.load_attachment, key_of(context, attachment=attachment_id))
        if (attachment := decode_attachment(row.thread_id, row.body)) is None:
            raise NotFoundError
        return attachment

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        """Delete an attachment's record."""
        key = key_of(context, attachment=attachment_id)

        async def work(connection: Connection) -> None:
            await self._refuse_if_held(connection, key)
            await connection.execute(self._sql.delete_attachment, key)

        await self._write(context, work)

    async def add_feedback(
        self,
        thread_id: str,
        item_ids: Sequence[str],
        kind: FeedbackKind,
        context: RequestContext,
    ) -> None:
        """Keep the user's latest judgement of each item."""
        if not item_ids:
            await self._one(self._sql.has_thread, key_of(context, thread=thread_id))
        rows = [
            key_of(context, thread=thread_id, item=each, kind=kind) for each in in_order(item_ids)
        ]

        async def work(connection: Connection) -> None:
            if rows:
                await connection.execute(self._sql.put_feedback, rows)

        try:
            await self._write(context, work)
        except ConstraintError as error:
            # The only constraint that an upsert of feedback can break is that its item exists.
            raise NotFoundError from error

    async def load_feedback(
        self, thread_id: str, context: RequestContext
    ) -> dict[str, FeedbackKind]:
        """Return the user's judgements in a thread, by item id."""
        key = key_of(context, thread=thread_id)
        rows = await self._db.fetch(self._sql.load_feedback, key)
        if not rows:
            await self._one(self._sql.has_thread, key)
        return {row.item_id: row.kind for row in rows}
