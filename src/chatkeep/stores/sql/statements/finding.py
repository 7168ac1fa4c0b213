"""Lists of conversations by last activity, and searching."""

from typing import Any

from sqlalchemy import Delete, Select, Update, and_, delete, false, null, or_, select, update
from sqlalchemy.sql.dml import Insert

from chatkeep.stores.paging import Order
from chatkeep.stores.sql.schema import items, texts, threads
from chatkeep.stores.sql.statements.common import Dialect, both_ways, mine, of_mine, p, same

MESSAGES = ("user_message", "assistant_message")


class Finding:
    """How a conversation is found again."""

    def define_finding(self, dialect: Dialect) -> None:
        """Build them."""
        self._summaries()
        self._texts(dialect)

    def _summaries(self) -> None:
        of_thread = same(items, threads, thread_id="id")
        newest = (
            select(items.c.type + ":" + items.c.body)
            .where(of_thread, or_(*[items.c.type == kind for kind in MESSAGES]))
            .order_by(items.c.seq.desc())
            .limit(1)
            .scalar_subquery()
        )
        # Not EXISTS: where most items are in few threads, PostgreSQL expects to find one of them at
        # once in whatever place, and reads the table as a whole for every thread that is empty.
        unread = (
            select(items.c.seq)
            .where(of_thread, items.c.type == "assistant_message", items.c.seq > threads.c.read_seq)
            .order_by(items.c.seq)
            .limit(1)
            .scalar_subquery()
            .is_not(None)
        )
        of_thread_only = (
            threads.c.active_seq.label("seq"),
            threads.c.title,
            threads.c.body,
            threads.c.active_at,
            threads.c.archived,
        )
        whose = mine(threads), threads.c.archived == p("archived")
        page = select(*of_thread_only, newest.label("newest"), unread.label("unread"))
        plain = select(*of_thread_only, null().label("newest"), false().label("unread"))
        self.summary_page: dict[Order, Select[Any]] = both_ways(
            page.where(*whose), threads.c.active_seq
        )
        self.activity_page: dict[Order, Select[Any]] = both_ways(
            plain.where(*whose), threads.c.active_seq
        )
        own = mine(threads, id="thread")
        self.thread_activity: Select[Any] = select(threads.c.active_seq.label("seq")).where(own)
        self.archive_thread: Update = update(threads).where(own).values(archived=p("archived"))
        self.mark_read: Update = update(threads).where(own).values(read_seq=threads.c.next_seq - 1)

    def _texts(self, dialect: Dialect) -> None:
        fresh = dialect.insert(texts).values(
            **of_mine(thread_id="thread", item_id="item", words="words")
        )
        self.put_text: Insert = fresh.on_conflict_do_update(
            index_elements=[texts.c.tenant, texts.c.owner, texts.c.thread_id, texts.c.item_id],
            set_={"words": fresh.excluded.words},
        )
        # Titles have no item, and two NULLs are never in conflict.
        self.insert_title_text: Any = dialect.insert(texts).values(
            **of_mine(thread_id="thread", words="words")
        )
        self.delete_title_text: Delete = delete(texts).where(
            mine(texts, thread_id="thread"), texts.c.item_id.is_(None)
        )
        self.delete_text: Delete = delete(texts).where(
            mine(texts, thread_id="thread", item_id="item")
        )
        hits = dialect.hits(mine(texts))
        found = (
            select(
                hits.c.doc.label("seq"),
                texts.c.thread_id,
                texts.c.item_id,
                threads.c.title,
                items.c.type,
                items.c.body,
            )
            .select_from(hits)
            .join(texts, texts.c.doc == hits.c.doc)
            .join(threads, same(texts, threads, thread_id="id"))
            .outerjoin(items, and_(same(texts, items, thread_id="thread_id", item_id="id")))
            .where(mine(texts))
        )
        self.search_page: Select[Any] = both_ways(found, hits.c.doc)["desc"]
