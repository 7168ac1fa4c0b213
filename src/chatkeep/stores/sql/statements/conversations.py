"""Threads, items, attachments and feedback."""

from typing import Any

from sqlalchemy import (
    Boolean,
    Delete,
    Select,
    Update,
    bindparam,
    case,
    delete,
    false,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import Insert, ReturningInsert, ReturningUpdate

from chatkeep.stores.paging import Order
from chatkeep.stores.sql.schema import attachments, feedback, holds, items, owners, threads
from chatkeep.stores.sql.statements.common import Dialect, both_ways, mine, of_mine, p


class Conversations:
    """Threads, items, attachments and feedback."""

    def define_conversations(self, dialect: Dialect) -> None:
        """Build them."""
        self._threads(dialect)
        self._items(dialect)
        self._attachments(dialect)
        self._feedback(dialect)

    def _threads(self, dialect: Dialect) -> None:
        own = mine(threads, id="thread")
        load: Select[Any] = select(threads.c.title, threads.c.body).where(own)
        self.load_thread, self.load_thread_locked = load, load.with_for_update()
        self.has_thread: Select[Any] = select(threads.c.seq).where(own)
        self.update_thread: Update = (
            update(threads).where(own).values(title=p("title"), body=p("body"))
        )
        self.title_thread: Update = (
            update(threads).where(own, threads.c.title.is_(None)).values(title=p("title"))
        )
        self.delete_thread: Delete = delete(threads).where(own)
        fresh = dialect.insert(threads).values(
            **of_mine(id="thread", seq="seq", title="title", body="body", next_seq="next_seq"),
            active_seq=p("seq"),
            active_at=p("now"),
            read_seq=p("read_seq"),
        )
        self.insert_thread: Insert = fresh.on_conflict_do_nothing()
        self.put_thread: Insert = fresh.on_conflict_do_update(
            index_elements=list(threads.primary_key),
            set_={column: fresh.excluded[column] for column in ("title", "body")},
        )
        # The first thread of an owner takes position 1 and leaves 2.
        self.take_thread_seq: ReturningInsert[Any] = (
            dialect.insert(owners)
            .values(**of_mine(), next_seq=2)
            .on_conflict_do_update(
                index_elements=[owners.c.tenant, owners.c.owner],
                set_={"next_seq": owners.c.next_seq + 1},
            )
            .returning(owners.c.next_seq - 1)
        )
        self.load_own_hold: Select[Any] = select(holds.c.owner).where(
            holds.c.tenant == p("tenant"),
            or_(holds.c.owner == "", holds.c.owner == p("owner")),
        )
        page = select(threads.c.seq, threads.c.title, threads.c.body).where(mine(threads))
        self.thread_page: dict[Order, Select[Any]] = both_ways(page, threads.c.seq)

    def _items(self, dialect: Dialect) -> None:
        own = mine(items, thread_id="thread", id="item")
        record = {"type": p("type"), "hidden": p("hidden"), "body": p("body")}
        self.take_item_seq: ReturningUpdate[Any] = (
            update(threads)
            .where(mine(threads, id="thread"))
            .values(next_seq=threads.c.next_seq + 1)
            .returning(threads.c.next_seq - 1)
        )
        count = bindparam("p_count", type_=threads.c.next_seq.type)
        # Those of an answer, which the user may have read to its end.
        self.take_answer_seqs: ReturningUpdate[Any] = (
            update(threads)
            .where(mine(threads, id="thread"))
            .values(
                next_seq=threads.c.next_seq + count,
                read_seq=case(
                    (bindparam("p_read", type_=Boolean()), threads.c.next_seq + count - 1),
                    else_=threads.c.read_seq,
                ),
            )
            .returning(threads.c.next_seq - count)
        )
        # The user wrote: the thread is their newest one, read to its end, and not put away.
        self.take_question_seq: ReturningUpdate[Any] = (
            update(threads)
            .where(mine(threads, id="thread"))
            .values(
                next_seq=threads.c.next_seq + 1,
                read_seq=threads.c.next_seq,
                active_seq=p("active_seq"),
                active_at=p("now"),
                archived=false(),
            )
            .returning(threads.c.next_seq - 1)
        )
        fresh = dialect.insert(items).values(
            **of_mine(thread_id="thread", id="item", seq="seq"), **record
        )
        self.put_item: Insert = fresh.on_conflict_do_update(
            index_elements=list(items.primary_key),
            set_={column: fresh.excluded[column] for column in record},
        )
        self.update_item: Update = update(items).where(own).values(**record)
        self.load_item: Select[Any] = select(items.c.type, items.c.body).where(own)
        self.item_seq: Select[Any] = select(items.c.seq).where(own)
        self.delete_item: Delete = delete(items).where(own)
        page = select(items.c.seq, items.c.type, items.c.body).where(
            mine(items, thread_id="thread")
        )
        shown = page.where(items.c.hidden.is_(false()))
        self.item_page: dict[Order, Select[Any]] = both_ways(page, items.c.seq)
        self.shown_item_page: dict[Order, Select[Any]] = both_ways(shown, items.c.seq)

    def _attachments(self, dialect: Dialect) -> None:
        own = mine(attachments, id="attachment")
        fresh = dialect.insert(attachments).values(
            **of_mine(id="attachment", thread_id="thread", body="body"), created_at=p("now")
        )
        self.put_attachment: Insert = fresh.on_conflict_do_update(
            index_elements=list(attachments.primary_key),
            set_={column: fresh.excluded[column] for column in ("thread_id", "body")},
        )
        self.load_attachment: Select[Any] = select(
            attachments.c.thread_id, attachments.c.body
        ).where(own)
        loose = or_(attachments.c.thread_id.is_(None), attachments.c.thread_id == p("thread"))
        self.bind_attachment: Update = (
            update(attachments).where(own, loose).values(thread_id=p("thread"))
        )
        self.replace_attachment: Update = (
            update(attachments).where(own, attachments.c.body == p("old")).values(body=p("body"))
        )
        self.delete_attachment: Delete = delete(attachments).where(own)
        self.delete_attachments_of_thread: Delete = delete(attachments).where(
            mine(attachments, thread_id="thread")
        )

    def _feedback(self, dialect: Dialect) -> None:
        fresh = dialect.insert(feedback).values(
            **of_mine(thread_id="thread", item_id="item", kind="kind")
        )
        self.put_feedback: Insert = fresh.on_conflict_do_update(
            index_elements=list(feedback.primary_key),
            set_={"kind": fresh.excluded["kind"]},
        )
        self.load_feedback: Select[Any] = select(feedback.c.item_id, feedback.c.kind).where(
            mine(feedback, thread_id="thread")
        )
