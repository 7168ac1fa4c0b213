"""Every statement the store makes, built once and compiled once by each engine.

Tenant and owner are in every one of them, through `_mine`. Parameters are called `p_…`, because
SQLAlchemy reserves the names of columns.
"""

from collections.abc import Callable
from typing import Any, Protocol, Self

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Delete,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    delete,
    false,
    select,
    update,
)
from sqlalchemy.sql.dml import Insert, ReturningInsert, ReturningUpdate

from chatkeep.stores.paging import Order
from chatkeep.stores.sql.schema import attachments, feedback, items, owners, threads


class UpsertInsert(Protocol):
    """The `insert()` of a dialect that has `ON CONFLICT`: SQLite's and PostgreSQL's."""

    @property
    def excluded(self) -> Any:
        """The row that was not inserted."""
        ...

    def values(self, *args: Any, **values: Any) -> Self:
        """Set the values."""
        ...

    def on_conflict_do_nothing(self) -> Any:
        """Keep the row that is there."""
        ...

    def on_conflict_do_update(self, *, index_elements: Any, set_: Any) -> Any:
        """Change the row that is there."""
        ...


InsertFactory = Callable[[Table], UpsertInsert]


def _p(name: str) -> BindParameter[Any]:
    return bindparam(f"p_{name}")


def _mine(table: Table, **keys: str) -> ColumnElement[bool]:
    """Return the condition for the asking user's rows with these keys (column=parameter)."""
    return and_(
        table.c.tenant == _p("tenant"),
        table.c.owner == _p("owner"),
        *[table.c[column] == _p(name) for column, name in keys.items()],
    )


def _of_mine(**values: str) -> dict[str, BindParameter[Any]]:
    """Return the values of a new row of the asking user (column=parameter)."""
    names = {"tenant": "tenant", "owner": "owner", **values}
    return {column: _p(name) for column, name in names.items()}


class Statements:
    """The statements, for one dialect's `insert`."""

    def __init__(self, insert: InsertFactory) -> None:
        self._threads(insert)
        self._items(insert)
        self._attachments(insert)
        self._feedback(insert)

    def _threads(self, insert: InsertFactory) -> None:
        mine = _mine(threads, id="thread")
        self.load_thread: Select[Any] = select(threads.c.title, threads.c.body).where(mine)
        self.has_thread: Select[Any] = select(threads.c.seq).where(mine)
        self.update_thread: Update = (
            update(threads).where(mine).values(title=_p("title"), body=_p("body"))
        )
        self.title_thread: Update = (
            update(threads).where(mine, threads.c.title.is_(None)).values(title=_p("title"))
        )
        self.delete_thread: Delete = delete(threads).where(mine)
        fresh = insert(threads).values(
            **_of_mine(id="thread", seq="seq", title="title", body="body", next_seq="next_seq")
        )
        self.insert_thread: Insert = fresh.on_conflict_do_nothing()
        self.put_thread: Insert = fresh.on_conflict_do_update(
            index_elements=list(threads.primary_key),
            set_={column: fresh.excluded[column] for column in ("title", "body")},
        )
        # The first thread of an owner takes position 1 and leaves 2.
        self.take_thread_seq: ReturningInsert[Any] = (
            insert(owners)
            .values(**_of_mine(), next_seq=2)
            .on_conflict_do_update(
                index_elements=[owners.c.tenant, owners.c.owner],
                set_={"next_seq": owners.c.next_seq + 1},
            )
            .returning(owners.c.next_seq - 1)
        )
        page = select(threads.c.seq, threads.c.title, threads.c.body).where(_mine(threads))
        self.thread_page: dict[Order, Select[Any]] = _both_ways(page, threads)

    def _items(self, insert: InsertFactory) -> None:
        mine = _mine(items, thread_id="thread", id="item")
        record = {"type": _p("type"), "hidden": _p("hidden"), "body": _p("body")}
        self.take_item_seq: ReturningUpdate[Any] = (
            update(threads)
            .where(_mine(threads, id="thread"))
            .values(next_seq=threads.c.next_seq + 1)
            .returning(threads.c.next_seq - 1)
        )
        fresh = insert(items).values(**_of_mine(thread_id="thread", id="item", seq="seq"), **record)
        self.put_item: Insert = fresh.on_conflict_do_update(
            index_elements=list(items.primary_key),
            set_={column: fresh.excluded[column] for column in record},
        )
        self.update_item: Update = update(items).where(mine).values(**record)
        self.load_item: Select[Any] = select(items.c.type, items.c.body).where(mine)
        self.item_seq: Select[Any] = select(items.c.seq).where(mine)
        self.delete_item: Delete = delete(items).where(mine)
        page = select(items.c.seq, items.c.type, items.c.body).where(
            _mine(items, thread_id="thread")
        )
        shown = page.where(items.c.hidden.is_(false()))
        self.item_page: dict[Order, Select[Any]] = _both_ways(page, items)
        self.shown_item_page: dict[Order, Select[Any]] = _both_ways(shown, items)

    def _attachments(self, insert: InsertFactory) -> None:
        mine = _mine(attachments, id="attachment")
        fresh = insert(attachments).values(
            **_of_mine(id="attachment", thread_id="thread", body="body")
        )
        self.put_attachment: Insert = fresh.on_conflict_do_update(
            index_elements=list(attachments.primary_key),
            set_={column: fresh.excluded[column] for column in ("thread_id", "body")},
        )
        self.load_attachment: Select[Any] = select(
            attachments.c.thread_id, attachments.c.body
        ).where(mine)
        self.bind_attachment: Update = (
            update(attachments).where(mine).values(thread_id=_p("thread"))
        )
        self.delete_attachment: Delete = delete(attachments).where(mine)
        self.delete_attachments_of_thread: Delete = delete(attachments).where(
            _mine(attachments, thread_id="thread")
        )

    def _feedback(self, insert: InsertFactory) -> None:
        fresh = insert(feedback).values(**_of_mine(thread_id="thread", item_id="item", kind="kind"))
        self.put_feedback: Insert = fresh.on_conflict_do_update(
            index_elements=list(feedback.primary_key),
            set_={"kind": fresh.excluded["kind"]},
        )
        self.load_feedback: Select[Any] = select(feedback.c.item_id, feedback.c.kind).where(
            _mine(feedback, thread_id="thread")
        )


def _both_ways(page: Select[Any], table: Table) -> dict[Order, Select[Any]]:
    """Return keyset pages behind position `p_start`, in both orders."""
    seq, start, limit = table.c.seq, _p("start"), _p("limit")
    return {
        "asc": page.where(seq > start).order_by(seq.asc()).limit(limit),
        "desc": page.where(seq < start).order_by(seq.desc()).limit(limit),
    }
