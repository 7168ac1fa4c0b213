"""The tables. Tenant and owner lead every key and every index.

`body` is the JSON text of the SDK's model without what has a column of its own; see
`chatkeep.stores.encoding`. A change here needs a migration: the tests compare the two.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
    }
)

owners = Table(
    "owners",
    metadata,
    Column("tenant", String, nullable=False),
    Column("owner", String, nullable=False),
    # The position of the owner's next thread: a counter, because the highest position in use
    # plus one would come twice after a deletion.
    Column("next_seq", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "owner"),
)

threads = Table(
    "threads",
    metadata,
    Column("tenant", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("id", String, nullable=False),
    Column("seq", BigInteger, nullable=False),
    # The position of the next item. Taking it also locks the thread's row, so that writers of
    # one thread queue here on every database.
    Column("next_seq", BigInteger, nullable=False),
    Column("title", Text),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "owner", "id"),
    Index(None, "tenant", "owner", "seq", unique=True),
)

items = Table(
    "items",
    metadata,
    Column("tenant", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("thread_id", String, nullable=False),
    Column("id", String, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("type", String, nullable=False),
    Column("hidden", Boolean, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "owner", "thread_id", "id"),
    ForeignKeyConstraint(
        ["tenant", "owner", "thread_id"],
        [threads.c.tenant, threads.c.owner, threads.c.id],
        ondelete="CASCADE",
    ),
    Index(None, "tenant", "owner", "thread_id", "seq", unique=True),
)

attachments = Table(
    "attachments",
    metadata,
    Column("tenant", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("id", String, nullable=False),
    # Without a foreign key: the SDK may name the thread before it has stored it.
    Column("thread_id", String),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "owner", "id"),
    Index(None, "tenant", "owner", "thread_id"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("tenant", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("thread_id", String, nullable=False),
    Column("item_id", String, nullable=False),
    Column("kind", String, nullable=False),
    PrimaryKeyConstraint("tenant", "owner", "thread_id", "item_id"),
    ForeignKeyConstraint(
        ["tenant", "owner", "thread_id", "item_id"],
        [items.c.tenant, items.c.owner, items.c.thread_id, items.c.id],
        ondelete="CASCADE",
    ),
)
