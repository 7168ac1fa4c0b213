"""Lists by last activity, searching, shares, legal holds, turns and their events."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from chatkeep.stores.encoding import decode_item, message_text
from chatkeep.stores.sql.schema import ADOPT_THREADS, INDEX_WORDS, items, texts, threads
from chatkeep.stores.words import entry_words

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BATCH = 500


def upgrade() -> None:
    """Create the tables, and make what is there searchable."""
    _columns()
    _texts()
    _shares()
    _holds()
    _turns()
    _turn_events()
    _fill()


def _columns() -> None:
    for name in ("active_seq", "active_at", "read_seq"):
        op.add_column("threads", _number(name))
    op.add_column(
        "threads", sa.Column("archived", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column("attachments", _number("created_at"))
    op.create_index(
        "ix_threads_tenant_owner_archived_active_seq",
        "threads",
        ["tenant", "owner", "archived", "active_seq"],
    )
    op.create_index("ix_threads_tenant_active_at", "threads", ["tenant", "active_at"])
    for statement in ADOPT_THREADS[op.get_bind().dialect.name]:
        op.execute(statement)
    _partial("ix_attachments_loose", "attachments", ["created_at"], "thread_id IS NULL")


def _texts() -> None:
    op.create_table(
        "texts",
        sa.Column(
            "doc",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.Identity(),
            nullable=False,
        ),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("thread_id", sa.String, nullable=False),
        sa.Column("item_id", sa.String),
        sa.Column("words", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("doc", name="pk_texts"),
        _in_thread("texts"),
        sa.ForeignKeyConstraint(
            ["tenant", "owner", "thread_id", "item_id"],
            ["items.tenant", "items.owner", "items.thread_id", "items.id"],
            name="fk_texts_items",
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "ix_texts_tenant_owner_thread_id_item_id",
        "texts",
        ["tenant", "owner", "thread_id", "item_id"],
        unique=True,
    )
    for statement in INDEX_WORDS[op.get_bind().dialect.name]:
        op.execute(statement)


def _shares() -> None:
    op.create_table(
        "shares",
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("thread_id", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("tenant", "owner", "id", name="pk_shares"),
        sa.UniqueConstraint("digest", name="uq_shares_digest"),
        _in_thread("shares"),
    )
    op.create_index("ix_shares_tenant_owner_thread_id", "shares", ["tenant", "owner", "thread_id"])


def _holds() -> None:
    op.create_table(
        "holds",
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "owner", name="pk_holds"),
    )


def _turns() -> None:
    op.create_table(
        "turns",
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("thread_id", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("key", sa.String),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("holder", sa.String),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("touched", sa.Boolean, nullable=False),
        sa.Column("last_event", sa.BigInteger, nullable=False),
        sa.Column("usage", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("tenant", "owner", "id", name="pk_turns"),
        _in_thread("turns"),
    )
    mine = ["tenant", "owner"]
    op.create_index("ix_turns_tenant_owner_key", "turns", [*mine, "key"], unique=True)
    op.create_index(
        "ix_turns_tenant_owner_thread_id_created_at", "turns", [*mine, "thread_id", "created_at"]
    )
    in_thread = [*mine, "thread_id"]
    _partial("ix_turns_running", "turns", in_thread, "state = 'running'", unique=True)
    _partial("ix_turns_open", "turns", in_thread, "ended_at IS NULL")


def _turn_events() -> None:
    op.create_table(
        "turn_events",
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("turn_id", sa.String, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "owner", "turn_id", "first", name="pk_turn_events"),
        sa.ForeignKeyConstraint(
            ["tenant", "owner", "turn_id"],
            ["turns.tenant", "turns.owner", "turns.id"],
            name="fk_turn_events_turns",
            ondelete="CASCADE",
        ),
    )


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def _in_thread(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant", "owner", "thread_id"],
        ["threads.tenant", "threads.owner", "threads.id"],
        name=f"fk_{table}_threads",
        ondelete="CASCADE",
    )


def _partial(
    name: str, table: str, columns: list[str], where: str, *, unique: bool = False
) -> None:
    condition = sa.text(where)
    op.create_index(
        name,
        table,
        columns,
        unique=unique,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def _fill() -> None:
    connection = op.get_bind()
    connection.execute(
        sa.update(threads).values(
            active_seq=threads.c.seq, read_seq=threads.c.next_seq - 1, active_at=0
        )
    )
    for row in _walk(threads, ["tenant", "owner", "id"], ["title", "body"]):
        _set_active(connection, row.tenant, row.owner, row.id, row.body)
        if row.title:
            _add_text(connection, row.tenant, row.owner, row.id, None, row.title)
    for row in _walk(items, ["tenant", "owner", "thread_id", "seq"], ["id", "type", "body"]):
        if row.type not in ("user_message", "assistant_message"):
            continue
        item = decode_item(row.type, row.body)
        if item is not None and (text := message_text(item)):
            _add_text(connection, row.tenant, row.owner, row.thread_id, row.id, text)
        if row.type == "user_message":
            _set_active(connection, row.tenant, row.owner, row.thread_id, row.body)
    _rank(connection)


def _rank(connection: sa.Connection) -> None:
    """Put each owner's threads in the order of their last messages.

    There are no more ranks than positions were given, so that the owner's next one is free.
    """
    whose = [threads.c.tenant, threads.c.owner]
    rank = sa.func.row_number().over(
        partition_by=whose, order_by=[threads.c.active_at, threads.c.seq]
    )
    ranks = sa.select(*whose, threads.c.id, rank.label("rank")).subquery()
    connection.execute(
        sa.update(threads)
        .where(
            threads.c.tenant == ranks.c.tenant,
            threads.c.owner == ranks.c.owner,
            threads.c.id == ranks.c.id,
        )
        .values(active_seq=ranks.c.rank)
    )


def _walk(table: sa.Table, key: list[str], more: list[str]) -> Iterator[sa.Row[Any]]:
    columns = [table.c[name] for name in key]
    page = sa.select(*columns, *[table.c[name] for name in more]).order_by(*columns).limit(_BATCH)
    rows: Sequence[sa.Row[Any]] = op.get_bind().execute(page).all()
    while rows:
        yield from rows
        last = [
            sa.literal(value, column.type) for value, column in zip(rows[-1], columns, strict=False)
        ]
        rows = op.get_bind().execute(page.where(sa.tuple_(*columns) > sa.tuple_(*last))).all()


def _set_active(connection: sa.Connection, tenant: str, owner: str, thread: str, body: str) -> None:
    try:
        moment = datetime.fromisoformat(json.loads(body)["created_at"])
    except (ValueError, KeyError, TypeError):
        return  # what cannot be read is left out everywhere, and must not stop an upgrade
    connection.execute(
        sa.update(threads)
        .where(threads.c.tenant == tenant, threads.c.owner == owner, threads.c.id == thread)
        .values(active_at=int(moment.timestamp() * 1000))
    )


def _add_text(
    connection: sa.Connection, tenant: str, owner: str, thread: str, item: str | None, text: str
) -> None:
    connection.execute(
        sa.insert(texts).values(
            tenant=tenant,
            owner=owner,
            thread_id=thread,
            item_id=item,
            words=entry_words(tenant, owner, text),
        )
    )
