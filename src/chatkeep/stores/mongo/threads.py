"""Threads: written under the owner's counter, deleted with what belongs to them."""

from chatkit.types import Page, ThreadMetadata, UserMessageItem

from chatkeep.context import RequestContext
from chatkeep.errors import ConflictError, NotFoundError
from chatkeep.stores.encoding import decode_thread, encode_item, encode_thread
from chatkeep.stores.mongo.asking import Asking, found, key_of, placed
from chatkeep.stores.mongo.commands import Commands
from chatkeep.stores.mongo.statements import Behind, Document
from chatkeep.stores.paging import build_page, check_page


class Threads(Asking):
    """The threads' part of the store."""

    async def load_thread(self, thread_id: str, context: RequestContext) -> ThreadMetadata:
        """Load a thread."""
        row = await self._one(self._statements.load_thread(key_of(context), thread_id))
        return found(_decode(row))

    async def save_thread(self, thread: ThreadMetadata, context: RequestContext) -> None:
        """Store a thread, new or changed."""
        key, record, say = key_of(context), encode_thread(thread), self._statements
        # A saved thread is nearly always there: one command.
        update = say.update_thread(key, thread.id, record)
        if await self._db.command(lambda commands: commands.update(update)):
            return

        async def work(commands: Commands) -> None:
            seq = found(await commands.take(say.take_thread_seq(key)))
            await commands.update(say.put_thread(key, thread.id, record, seq, last_seq=0))

        await self._db.write(key, work)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: RequestContext
    ) -> Page[ThreadMetadata]:
        """Load a page of the user's threads."""
        limit, direction = check_page(limit, order)
        key, scope = key_of(context), ("threads", *key_of(context))
        position = self._statements.has_thread(key, after or "")
        start = await self._start(after, direction, scope, position)
        behind = Behind(start, direction, limit + 1)
        rows = await self._db.find(self._statements.thread_page(key, behind))
        return build_page(placed(rows), limit, scope, lambda row: _decode(row.document))

    async def delete_thread(self, thread_id: str, context: RequestContext) -> None:
        """Delete a thread and everything that belongs to it."""
        key, say = key_of(context), self._statements

        async def work(commands: Commands) -> None:
            # Who adds to the thread changes its document too: one of the two gives way.
            if await commands.delete(say.delete_thread(key, thread_id)):
                await commands.delete(say.delete_items_of_thread(key, thread_id))
                await commands.delete(say.delete_attachments_of_thread(key, thread_id))

        await self._db.write((*key, thread_id), work)

    async def create_thread(
        self, thread: ThreadMetadata, message: UserMessageItem, context: RequestContext
    ) -> None:
        """Store a new thread and its first message: both, or neither."""
        key, say = key_of(context), self._statements
        record, first = encode_thread(thread), encode_item(message)

        async def work(commands: Commands, repeated: bool) -> None:
            for attachment in message.attachments:
                if not await commands.update(say.bind_attachment(key, attachment.id, thread.id)):
                    raise NotFoundError
            if await commands.one(say.has_thread(key, thread.id)) is None:
                seq = found(await commands.take(say.take_thread_seq(key)))
                await commands.update(say.put_thread(key, thread.id, record, seq, last_seq=1))
                await commands.update(say.put_item(key, thread.id, message.id, first, seq=1))
            elif not (repeated and await commands.one(say.item_seq(key, thread.id, message.id))):
                raise ConflictError

        await self._db.write_once(key, work)

    async def title_thread(self, thread_id: str, title: str, context: RequestContext) -> bool:
        """Set the title if the thread has none yet; say whether that happened."""
        key, say = key_of(context), self._statements
        change = say.title_thread(key, thread_id, title)

        async def work(commands: Commands, repeated: bool) -> bool:
            if await commands.update(change):
                return True
            row = found(await commands.one(say.load_thread(key, thread_id)))
            return bool(repeated and row["title"] == title)

        return await self._db.write_once((*key, thread_id), work)


def _decode(row: Document) -> ThreadMetadata | None:
    return decode_thread(row["title"], row["body"])
