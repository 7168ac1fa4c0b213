"""Items and their feedback: new ones take their position under the thread's write lock."""

from collections.abc import Sequence

from chatkit.types import FeedbackKind, Page, ThreadItem

from chatkeep.context import RequestContext
from chatkeep.errors import NotFoundError
from chatkeep.stores.encoding import decode_item
from chatkeep.stores.mongo.asking import key_of, placed
from chatkeep.stores.mongo.commands import Commands
from chatkeep.stores.mongo.statements import Behind, Document, NewItem
from chatkeep.stores.mongo.writing import Writing, asks, new_item
from chatkeep.stores.paging import build_page, check_page


class Items(Writing):
    """The items' part of the store."""

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
        """Load a page of a thread's items: one command, unless the page is empty."""
        limit, direction = check_page(limit, order)
        key, say = key_of(context), self._statements
        scope = ("items", *key, thread_id)
        position = say.item_seq(key, thread_id, after or "")
        start = await self._start(after, direction, scope, position)
        pages = say.item_page if include_hidden else say.shown_item_page
        page = pages(key, thread_id, Behind(start, direction, limit + 1))
        rows = await self._db.find(page)
        if not rows:
            await self._one(say.has_thread(key, thread_id))
            # The thread may have come since, and its first message with it.
            rows = await self._db.find(page)
        return build_page(placed(rows), limit, scope, lambda row: _decode(row.document))

    async def add_thread_item(
        self, thread_id: str, item: ThreadItem, context: RequestContext
    ) -> None:
        """Store an item behind the others, or in its place if it is there already."""
        await self._put(thread_id, new_item(item), context)

    async def save_item(self, thread_id: str, item: ThreadItem, context: RequestContext) -> None:
        """Store an item in its place, or behind the others if it is new."""
        new = new_item(item)
        # Unlike an added item, a saved one is nearly always there: one command.
        update = self._statements.update_item(key_of(context), thread_id, new)
        queue = (*key_of(context), thread_id)
        if not await self._command(context, queue, lambda commands: commands.update(update)):
            await self._put(thread_id, new, context)

    async def load_item(self, thread_id: str, item_id: str, context: RequestContext) -> ThreadItem:
        """Load an item."""
        row = await self._one(self._statements.load_item(key_of(context), thread_id, item_id))
        if (item := _decode(row)) is None:
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
        key = key_of(context)
        delete = self._statements.delete_items(key, thread_id, item_ids)

        async def work(commands: Commands) -> None:
            await self._refuse_if_held(commands, key)
            if item_ids:
                await commands.delete(delete)

        await self._write(context, (*key, thread_id), work)

    async def add_feedback(
        self,
        thread_id: str,
        item_ids: Sequence[str],
        kind: FeedbackKind,
        context: RequestContext,
    ) -> None:
        """Keep the user's latest judgement of each item."""
        key, ids = key_of(context), set(item_ids)
        if not ids:
            await self._one(self._statements.has_thread(key, thread_id))
            return
        judge = self._statements.put_feedback(key, thread_id, sorted(ids), kind)

        async def work(commands: Commands) -> None:
            if await commands.update(judge) < len(ids):
                raise NotFoundError

        await self._write(context, (*key, thread_id), work)

    async def load_feedback(
        self, thread_id: str, context: RequestContext
    ) -> dict[str, FeedbackKind]:
        """Return the user's judgements in a thread, by item id."""
        key = key_of(context)
        rows = await self._db.find(self._statements.load_feedback(key, thread_id))
        if not rows:
            await self._one(self._statements.has_thread(key, thread_id))
        return {row["id"]: row["feedback"] for row in rows}

    async def _put(self, thread_id: str, item: NewItem, context: RequestContext) -> None:
        key = key_of(context)
        if asks(item):

            async def ask(commands: Commands) -> None:
                place = await self._take_places(commands, key, 1)
                await self._ask(commands, key, thread_id, item, place)

            await self._write(context, key, ask)
            return

        async def put(commands: Commands) -> None:
            doc = await self._reserve(commands, key, 1)
            await self._put_item(commands, key, thread_id, item, doc)

        await self._write(context, (*key, thread_id), put)


def _decode(row: Document) -> ThreadItem | None:
    return decode_item(row["type"], row["body"])
