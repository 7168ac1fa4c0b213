"""The tables. Tenant and owner lead every key and every index.

`body` is the JSON text of the SDK's model without what has a column of its own; see
`chatkeep.stores.encoding`. JSON escapes NUL by itself; other text is escaped for PostgreSQL.
A change here needs a migration: the tests compare the two.
"""

import re

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKeyConstraint,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
)

_ESCAPE = "\x01"


class EscapedText(TypeDecorator[str]):
    """Text in PostgreSQL, which cannot hold NUL: it is stored as U+0001 `0`, U+0001 doubled.

    One to one, so that comparing for equality is comparing the text; and nothing that people type
    looks different in the database.
    """

    impl: type[String] = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text to store."""
        del dialect
        if value is None or ("\0" not in value and _ESCAPE not in value):
            return value
        return value.replace(_ESCAPE, _ESCAPE * 2).replace("\0", f"{_ESCAPE}0")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text that was stored."""
        del dialect
        if value is None or _ESCAPE not in value:
            return value
        return _ESCAPED.sub(lambda found: "\0" if found[1] == "0" else _ESCAPE, value)


_ESCAPED = re.compile(f"{_ESCAPE}([{_ESCAPE}0])")


class EscapedString(EscapedText):
    """The same for a `VARCHAR`."""

    impl = String
    cache_ok = True


_name = String().with_variant(EscapedString(), "postgresql")
_title = Text().with_variant(EscapedText(), "postgresql")

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
    Column("tenant", _name, nullable=False),
    Column("owner", _name, nullable=False),
    # The position of the owner's next thread: a counter, because the highest position in use
    # plus one would come twice after a deletion.
    Column("next_seq", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "owner"),
)

threads = Table(
    "threads",
    metadata,
    Column("tenant", _name, nullable=False),
    Column("owner", _name, nullable=False),
    Column("id", _name, nullable=False),
    Column("seq", BigInteger, nullable=False),
    # The position of the next item. Taking it also locks the thread's row, so that writers of
    # one thread queue here on every database.
    Column("next_seq", BigInteger, nullable=False),
    Column("title", _title),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "owner", "id"),
    Index(None, "tenant", "owner", "seq", unique=True),
)

items = Table(
    "items",
    metadata,
    Column("tenant", _name, nullable=False),
    Column("owner", _name, nullable=False),
    Column("thread_id", _name, nullable=False),
    Column("id", _name, nullable=False),
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
    Column("tenant", _name, nullable=False),
    Column("owner", _name, nullable=False),
    Column("id", _name, nullable=False),
    # Without a foreign key: the SDK may name the thread before it has stored it.
    Column("thread_id", _name),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "owner", "id"),
    Index(None, "tenant", "owner", "thread_id"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("tenant", _name, nullable=False),
    Column("owner", _name, nullable=False),
    Column("thread_id", _name, nullable=False),
    Column("item_id", _name, nullable=False),
    Column("kind", String, nullable=False),
    PrimaryKeyConstraint("tenant", "owner", "thread_id", "item_id"),
    ForeignKeyConstraint(
        ["tenant", "owner", "thread_id", "item_id"],
        [items.c.tenant, items.c.owner, items.c.thread_id, items.c.id],
        ondelete="CASCADE",
    ),
)
