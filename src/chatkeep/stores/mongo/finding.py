"""Lists of conversations by last activity, and searching."""

import asyncio
from typing import NamedTuple

from chatkit.types import Page

from chatkeep.context import RequestContext
from chatkeep.errors import NotFoundError
from chatkeep.ports.records import SearchHit, ThreadSummary
from chatkeep.stores.encoding import decode_item_text, decode_thread, moment_of, preview_of
from chatkeep.stores.mongo.asking import Asking, Placed, found, key_of, placed
from chatkeep.stores.mongo.database import Queue
from chatkeep.stores.mongo.statements import Behind, Document, Key, Update
from chatkeep.stores.paging import build_page, check_page, read_cursor, start_of
from chatkeep.stores.words import excerpt, query_words


class Finding(Asking):
    """How a conversation is found again."""

    async def load_summaries(
        self,
        limit: int,
        after: str | None,
        order: str,
        context: RequestContext,
        *,
        archived: bool = False,
        previews: bool = True,
    ) -> Page[ThreadSummary]:
        """Load a page of the user's threads by last activity: one command."""
        limit, direction = check_page(limit, order)
        key, say = key_of(context), self._statements
        scope = ("summaries", *key, str(archived))
        position = say.thread_activity(key, after or "")
        start = await self._start(after, direction, scope, position)
        pages = say.summary_page if previews else say.activity_page
        page = pages(key, archived, Behind(start, direction, limit + 1))
        rows = placed(await self._db.find(page), "active_seq")
        return build_page(rows, limit, scope, lambda row: _summary(row.document))

    async def archive_thread(self, thread_id: str, archived: bool, context: RequestContext) -> None:
        """Put a thread away, or take it back."""
        key = key_of(context)
        change = self._statements.archive_thread(key, thread_id, archived)
        await self._change(change, (*key, thread_id), context)

    async def mark_read(self, thread_id: str, context: RequestContext) -> None:
        """Note that the user has read all there is."""
        key = key_of(context)
        await self._change(self._statements.mark_read(key, thread_id), (*key, thread_id), context)

    async def search(
        self, text: str, limit: int, after: str | None, context: RequestContext
    ) -> Page[SearchHit]:
        """Find messages and titles with all words of a text, newest first."""
        limit, _ = check_page(limit, "desc")
        key, say = key_of(context), self._statements
        scope = ("search", *key)
        start = start_of("desc") if after is None else found(read_cursor(scope, after))
        words = query_words(text)
        if not words:
            return Page(data=[], has_more=False, after=None)
        behind = Behind(start, "desc", limit + 1)
        messages, threads = await asyncio.gather(
            self._db.find(say.found_messages(key, words, behind)),
            self._db.find(say.found_titles(key, words, behind)),
        )
        both = [*placed(messages, "doc"), *placed(threads, "doc")]
        rows = sorted(both, key=lambda row: row.seq, reverse=True)[: limit + 1]
        texts = [_text(row.document) for row in rows]
        titles = await self._titles(key, [each.thread_id for each in texts])
        return build_page(rows, limit, scope, lambda row: _hit(row, titles, words))

    async def _titles(self, key: Key, thread_ids: list[str]) -> dict[str, str | None]:
        if not thread_ids:
            return {}
        these = self._statements.titles(key, sorted(set(thread_ids)))
        return {row["id"]: row["title"] for row in await self._db.find(these)}

    async def _change(self, update: Update, queue: Queue, context: RequestContext) -> None:
        if not await self._command(context, queue, lambda commands: commands.update(update)):
            raise NotFoundError


class _Text(NamedTuple):
    """What was found; without an item, a title."""

    thread_id: str
    item_id: str | None


def _text(row: Document) -> _Text:
    if "thread_id" in row:
        return _Text(row["thread_id"], row["id"])
    return _Text(row["id"], None)


def _hit(row: Placed, titles: dict[str, str | None], words: list[str]) -> SearchHit | None:
    thread_id, item_id = _text(row.document)
    if thread_id not in titles:
        return None  # deleted since
    if item_id is None:
        text = row.document["title"]
    else:
        text = decode_item_text(row.document["type"], row.document["body"])
    if text is None:
        return None
    snippet, marks = excerpt(text, words)
    return SearchHit(thread_id, item_id, titles[thread_id], snippet, marks)


def _summary(row: Document) -> ThreadSummary | None:
    thread = decode_thread(row["title"], row["body"])
    if thread is None:
        return None
    said = [f"{each['type']}:{each['body']}" for each in row.get("said", ())]
    return ThreadSummary(
        thread=thread,
        preview=preview_of(said[0] if said else None),
        active_at=moment_of(row["active_at"]),
        unread=any(each["seq"] > row["read_seq"] for each in row.get("answered", ())),
        archived=row["archived"],
    )
