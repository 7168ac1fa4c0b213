"""Shares: who knows the secret may read."""

from typing import Any

from sqlalchemy import Delete, Select, delete, select
from sqlalchemy.sql.dml import Insert

from chatkeep.stores.sql.schema import items, shares, threads
from chatkeep.stores.sql.statements.common import ACROSS_USERS, Dialect, mine, of_mine, p


class Sharing:
    """Reading a thread without being its owner."""

    def define_sharing(self, dialect: Dialect) -> None:
        """Build them."""
        given = of_mine(
            id="share", thread_id="thread", digest="digest", created_at="now", expires_at="expires"
        )
        last = select(threads.c.next_seq - 1).where(mine(threads, id="thread")).scalar_subquery()
        self.insert_share: Insert = (
            dialect.insert(shares).values(**given, until=last).on_conflict_do_nothing()
        )
        self.load_shares: Select[Any] = (
            select(shares)
            .where(mine(shares, thread_id="thread"))
            .order_by(shares.c.created_at, shares.c.id)
        )
        self.load_share: Select[Any] = select(shares).where(mine(shares, id="share"))
        self.delete_share: Delete = delete(shares).where(mine(shares, id="share"))
        # The one question without a principal: the digest is of a secret of 256 bits.
        self.find_share: Select[Any] = (
            select(shares)
            .where(shares.c.digest == p("digest"))
            .execution_options(**{ACROSS_USERS: True})
        )
        # No join, after which PostgreSQL would sort what the index has in order.
        shared, until = (
            select(column).where(mine(shares, id="share")).scalar_subquery()
            for column in (shares.c.thread_id, shares.c.until)
        )
        self.shared_item_page: Select[Any] = (
            select(items.c.seq, items.c.type, items.c.body)
            .where(
                mine(items),
                items.c.thread_id == shared,
                items.c.hidden.is_(False),
                items.c.seq <= until,
                items.c.seq > p("start"),
            )
            .order_by(items.c.seq)
            .limit(p("limit"))
        )
