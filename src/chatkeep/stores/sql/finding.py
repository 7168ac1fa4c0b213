"""Lists of conversations by last activity, and searching, on SQL."""

from chatkit.types import Page, ThreadMetadata
from sqlalchemy import Update

from chatkeep.context import RequestContext
from chatkeep.errors import NotFoundError
from chatkeep.ports.records import SearchHit, ThreadSummary
from chatkeep.stores.encoding import decode_item_text, decode_thread, moment_of, preview_of
from chatkeep.stores.paging import build_page, check_page, read_cursor, start_of
from chatkeep.stores.sql.base import Parameters, SqlBase, found, key_of, params
from chatkeep.stores.sql.database import Connection
from chatkeep.stores.sql.prepared import Row
from chatkeep.stores.words import excerpt, owner_word, query_words


class SqlFinding(SqlBase):
    """How a conversation is found again."""

    async def load_summaries(
        self,
        limit: int,
        after: str | None,
        order: str,
        context: RequestContext,
        *,
        archived: bool = False,
    ) -> Page[ThreadSummary]:
        """Load a page of the user's threads by last activity."""
        limit, direction = check_page(limit, order)
        key = key_of(context, archived=archived)
        scope = ("summaries", key["p_tenant"], key["p_owner"], str(archived))
        start = await self._start(
            after, direction, scope, self._sql.thread_activity, {**key, "p_thread": after}
        )
        rows = await self._db.fetch(
            self._sql.summary_page[direction], {**key, "p_start": start, "p_limit": limit + 1}
        )
        return build_page(rows, limit, scope, _summary)

    async def archive_thread(self, thread_id: str, archived: bool, context: RequestContext) -> None:
        """Put a thread away, or take it back."""
        key = key_of(context, thread=thread_id, archived=archived)
        await self._update(self._sql.archive_thread, key, context)

    async def mark_read(self, thread_id: str, context: RequestContext) -> None:
        """Note that the user has read all there is."""
        await self._update(self._sql.mark_read, key_of(context, thread=thread_id), context)

    async def search(
        self, text: str, limit: int, after: str | None, context: RequestContext
    ) -> Page[SearchHit]:
        """Find messages and titles with all words of a text, newest first."""
        limit, _ = check_page(limit, "desc")
        key = key_of(context)
        scope = ("search", key["p_tenant"], key["p_owner"])
        start = start_of("desc") if after is None else found(read_cursor(scope, after))
        words = query_words(text)
        if not words:
            return Page(data=[], has_more=False, after=None)
        query = self._db.dialect.match([owner_word(key["p_tenant"], key["p_owner"]), *words])
        rows = await self._db.fetch(
            self._sql.search_page,
            {**key, **params({"words": query, "start": start, "limit": limit + 1})},
        )
        return build_page(rows, limit, scope, lambda row: _hit(row, words))

    async def _update(self, statement: Update, values: Parameters, context: RequestContext) -> None:
        async def work(connection: Connection) -> None:
            if not (await connection.execute(statement, values)).rowcount:
                raise NotFoundError

        await self._write(context, work)


def _summary(row: Row) -> ThreadSummary | None:
    thread: ThreadMetadata | None = decode_thread(row.title, row.body)
    if thread is None:
        return None
    return ThreadSummary(
        thread=thread,
        preview=preview_of(row.newest),
        active_at=moment_of(row.active_at),
        unread=bool(row.unread),
        archived=bool(row.archived),
    )


def _hit(row: Row, words: list[str]) -> SearchHit | None:
    text = row.title if row.item_id is None else decode_item_text(row.type, row.body)
    if text is None:
        return None
    snippet, marks = excerpt(text, words)
    return SearchHit(row.thread_id, row.item_id, row.title, snippet, marks)
