"""Threads: written under the owner's counter, deleted with what belongs to them."""

from collections.abc import Callable

from chatkit.types import Page, ThreadMetadata, UserMessageItem

from chatkeep.context import RequestContext
from chatkeep.stores.encoding import attachments_of, decode_thread, encode_thread
from chatkeep.stores.mongo.asking import found, key_of, placed
from chatkeep.stores.mongo.commands import Commands
from chatkeep.stores.mongo.statements import Behind, Document
from chatkeep.stores.mongo.writing import Writing, new_item, new_thread
from chatkeep.stores.paging import build_page, check_page


class Threads(Writing):
    """The threads' part of the store."""

    async def load_thread(self, thread_id: str, context: RequestContext) -> ThreadMetadata:
        """Load a thread."""
        row = await self._one(self._statements.load_thread(key_of(context), thread_id))
        return found(_decode(row))

    async def save_thread(self, thread: ThreadMetadata, context: RequestContext) -> None:
        """Store a thread, new or changed."""
        key, say = key_of(context), self._statements
        # A saved thread is nearly always there: one command.
        update = say.update_thread(key, thread.id, encode_thread(thread))
        queue = (*key, thread.id)
        if await self._command(context, queue, lambda commands: commands.update(update)):
            return

        async def work(commands: Commands) -> None:
            place = await self._take_places(commands, key, 1)
            new = new_thread(thread, place, docs=1, last_seq=0)
            await commands.update(say.put_thread(key, new))

        await self._write(context, key, work)

    async def change_thread(
        self,
        thread_id: str,
        change: Callable[[ThreadMetadata], None],
        context: RequestContext,
    ) -> ThreadMetadata:
        """Change a thread that exists, and return it as it is now."""
        key, say = key_of(context), self._statements

        async def work(commands: Commands) -> ThreadMetadata:
            # Who changes the thread after it was read here makes this give way.
            thread = found(_decode(found(await commands.one(say.load_thread(key, thread_id)))))
            change(thread)
            await commands.update(say.update_thread(key, thread_id, encode_thread(thread)))
            return thread

        return await self._write(context, (*key, thread_id), work)

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
            await self._refuse_if_held(commands, key)
            # Who adds to the thread changes its document too: one of the two gives way.
            if await commands.delete(say.delete_thread(key, thread_id)):
                await self._drop_parts(commands, key, thread_id)

        await self._write(context, (*key, thread_id), work)

    async def create_thread(
        self, thread: ThreadMetadata, message: UserMessageItem, context: RequestContext
    ) -> None:
        """Store a new thread and its first message: both, or neither."""
        key, first, files = key_of(context), new_item(message), attachments_of([message])

        async def work(commands: Commands, repeated: bool) -> None:
            place = await self._take_places(commands, key, 2)
            # The message takes the first position; its author has read it.
            new = new_thread(thread, place, docs=2, last_seq=1)
            await self._create_thread(commands, key, new, first, files, repeated=repeated)

        await self._write_once(context, key, work)

    async def title_thread(self, thread_id: str, title: str, context: RequestContext) -> bool:
        """Set the title if the thread has none yet; say whether that happened."""
        key, say = key_of(context), self._statements
        change = say.title_thread(key, thread_id, title)

        async def work(commands: Commands, repeated: bool) -> bool:
            if await commands.update(change):
                return True
            row = found(await commands.one(say.load_thread(key, thread_id)))
            return bool(repeated and row["title"] == title)

        return await self._write_once(context, (*key, thread_id), work)


def _decode(row: Document) -> ThreadMetadata | None:
    return decode_thread(row["title"], row["body"])
