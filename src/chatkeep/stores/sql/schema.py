"""The tables. Tenant and owner lead every key, and every index but those for work across users.

`body` is the JSON text of the SDK's model without what has a column of its own; see
`chatkeep.stores.encoding`. JSON escapes NUL by itself; other text is escaped for PostgreSQL.
A change here needs a migration: the tests compare the two.
"""

import re

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    event,
    false,
    text,
)

from chatkeep.ports.spending import COUNTED

_ESCAPE = "\x01"


def escaped(text: str) -> str:
    """Return text as `EscapedText` stores it."""
    if "\0" not in text and _ESCAPE not in text:
        return text
    return text.replace(_ESCAPE, _ESCAPE * 2).replace("\0", f"{_ESCAPE}0")


class EscapedText(TypeDecorator[str]):
    """Text in PostgreSQL, which cannot hold NUL: it is stored as U+0001 `0`, U+0001 doubled.

    One to one, so that comparing for equality is comparing the text; and nothing that people type
    looks different in the database.
    """

    impl: type[String] = Text
    cache_ok = True
    # As for other text: a parameter that is used twice must have one type in both places.
    render_bind_cast = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text to store."""
        del dialect
        return None if value is None else escaped(value)

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
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
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
    # The user's last message: its position among the threads, from the counter that `seq` is
    # from, and its moment. The previous release does not know them, hence the defaults.
    Column("active_seq", BigInteger, nullable=False, server_default="0"),
    Column("active_at", BigInteger, nullable=False, server_default="0"),
    # How far in the thread the user has read.
    Column("read_seq", BigInteger, nullable=False, server_default="0"),
    Column("archived", Boolean, nullable=False, server_default=false()),
    PrimaryKeyConstraint("tenant", "owner", "id"),
    Index(None, "tenant", "owner", "seq", unique=True),
    Index(None, "tenant", "owner", "archived", "active_seq"),
    Index(None, "tenant", "active_at"),
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
    Column("created_at", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("tenant", "owner", "id"),
    Index(None, "tenant", "owner", "thread_id"),
    Index(
        "ix_attachments_loose",
        "created_at",
        sqlite_where=text("thread_id IS NULL"),
        postgresql_where=text("thread_id IS NULL"),
    ),
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

texts = Table(
    "texts",
    metadata,
    # Gives the order of what is found, and is the row's name in SQLite's index.
    Column("doc", BigInteger().with_variant(Integer(), "sqlite"), Identity(), primary_key=True),
    Column("tenant", _name, nullable=False),
    Column("owner", _name, nullable=False),
    Column("thread_id", _name, nullable=False),
    # NULL for the thread's title.
    Column("item_id", _name),
    # See `chatkeep.stores.words`. The indexes are no tables or columns that SQLAlchemy knows:
    # FTS5 in SQLite, GIN over an expression in PostgreSQL.
    Column("words", Text, nullable=False),
    ForeignKeyConstraint(
        ["tenant", "owner", "thread_id"],
        [threads.c.tenant, threads.c.owner, threads.c.id],
        ondelete="CASCADE",
    ),
    ForeignKeyConstraint(
        ["tenant", "owner", "thread_id", "item_id"],
        [items.c.tenant, items.c.owner, items.c.thread_id, items.c.id],
        ondelete="CASCADE",
    ),
    Index(None, "tenant", "owner", "thread_id", "item_id", unique=True),
)

_UNINDEX = (
    "INSERT INTO texts_index(texts_index, rowid, words) VALUES ('delete', old.doc, old.words);"
)
_INDEX = "INSERT INTO texts_index(rowid, words) VALUES (new.doc, new.words);"
# Only whole words and beginnings are asked for, hence neither positions nor sizes. The tokenizer
# takes all that is not ASCII, and letters and digits, for parts of words.
_FTS5 = "words, content='texts', content_rowid='doc', tokenize='ascii', detail='none', columnsize=0"

INDEX_WORDS = {
    "sqlite": (
        f"CREATE VIRTUAL TABLE texts_index USING fts5({_FTS5})",
        f"CREATE TRIGGER texts_added AFTER INSERT ON texts BEGIN {_INDEX} END",
        f"CREATE TRIGGER texts_removed AFTER DELETE ON texts BEGIN {_UNINDEX} END",
        f"CREATE TRIGGER texts_changed AFTER UPDATE ON texts BEGIN {_UNINDEX} {_INDEX} END",
    ),
    "postgresql": (
        "CREATE INDEX texts_index ON texts USING gin "  # noqa: ISC004
        "(array_to_tsvector(string_to_array(words, ' ')))",
    ),
}
"""By dialect, what makes the words of `texts` quick to find."""

ADOPT_THREADS = {
    "sqlite": (
        (
            "CREATE TRIGGER threads_adopted AFTER INSERT ON threads WHEN new.active_seq = 0 BEGIN "
            "UPDATE threads SET active_seq = new.seq, "
            "active_at = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) "
            "WHERE tenant = new.tenant AND owner = new.owner AND id = new.id; END"
        ),
    ),
    "postgresql": (
        (
            "CREATE FUNCTION threads_adopted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "NEW.active_seq := NEW.seq; "
            "NEW.active_at := extract(epoch FROM clock_timestamp()) * 1000; "
            "RETURN NEW; END $$"
        ),
        (
            "CREATE TRIGGER threads_adopted BEFORE INSERT ON threads FOR EACH ROW "
            "WHEN (NEW.active_seq = 0) EXECUTE FUNCTION threads_adopted()"
        ),
    ),
}
"""By dialect, what gives a place among the active threads to one that a process of the release
before has created: without it, it would be on no page. To go with the next release."""

for _table, _by_dialect in ((texts, INDEX_WORDS), (threads, ADOPT_THREADS)):
    for _dialect, _statements in _by_dialect.items():
        for _statement in _statements:
            _ddl = DDL(_statement)  # type: ignore[no-untyped-call]
            event.listen(_table, "after_create", _ddl.execute_if(dialect=_dialect))

shares = Table(
    "shares",
    metadata,
    Column("tenant", _name, nullable=False),
    Column("owner", _name, nullable=False),
    Column("id", _name, nullable=False),
    Column("thread_id", _name, nullable=False),
    Column("digest", String, nullable=False, unique=True),
    Column("until", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    PrimaryKeyConstraint("tenant", "owner", "id"),
    ForeignKeyConstraint(
        ["tenant", "owner", "thread_id"],
        [threads.c.tenant, threads.c.owner, threads.c.id],
        ondelete="CASCADE",
    ),
    Index(None, "tenant", "owner", "thread_id"),
)

holds = Table(
    "holds",
    metadata,
    Column("tenant", _name, nullable=False),
    # Empty for the whole tenant: no user has an empty name.
    Column("owner", _name, nullable=False),
    Column("reason", _title, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "owner"),
)

turns = Table(
    "turns",
    metadata,
    Column("tenant", _name, nullable=False),
    Column("owner", _name, nullable=False),
    Column("id", _name, nullable=False),
    Column("thread_id", _name, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("request", Text, nullable=False),
    Column("key", _name),
    Column("digest", String, nullable=False),
    Column("holder", String),
    Column("fence", BigInteger, nullable=False),
    Column("lease_until", BigInteger),
    Column("cancel_requested", Boolean, nullable=False),
    Column("touched", Boolean, nullable=False),
    Column("last_event", BigInteger, nullable=False),
    Column("usage", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("event_at", BigInteger),
    Column("doing", _title),
    # Its events are gone. The previous release does not know it, hence the default; nor do the
    # records that are copied.
    Column("pruned", Boolean, nullable=False, server_default=false(), info={"own": True}),
    # What is put aside for it while it is open, and what it took once it has ended.
    Column("tokens", BigInteger),
    Column("cost", BigInteger),
    PrimaryKeyConstraint("tenant", "owner", "id"),
    ForeignKeyConstraint(
        ["tenant", "owner", "thread_id"],
        [threads.c.tenant, threads.c.owner, threads.c.id],
        ondelete="CASCADE",
    ),
    Index(None, "tenant", "owner", "key", unique=True),
    Index(None, "tenant", "owner", "thread_id", "created_at"),
    # At most one runs in a thread, whatever the code does.
    Index(
        "ix_turns_running",
        "tenant",
        "owner",
        "thread_id",
        unique=True,
        sqlite_where=text("state = 'running'"),
        postgresql_where=text("state = 'running'"),
    ),
    # The few that are open.
    Index(
        "ix_turns_open",
        "tenant",
        "owner",
        "thread_id",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    # Across users: by state for operators, those to be stopped, those whose log is to go.
    Index(None, "state", "created_at", "id"),
    Index(
        "ix_turns_stopped",
        "holder",
        sqlite_where=text("cancel_requested = 1 AND ended_at IS NULL"),
        postgresql_where=text("cancel_requested AND ended_at IS NULL"),
    ),
    Index(
        "ix_turns_logged",
        "ended_at",
        sqlite_where=text("pruned = 0 AND last_event > 0"),
        postgresql_where=text("NOT pruned AND last_event > 0"),
    ),
)

turn_events = Table(
    "turn_events",
    metadata,
    Column("tenant", _name, nullable=False),
    Column("owner", _name, nullable=False),
    Column("turn_id", _name, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("body", _title, nullable=False),
    PrimaryKeyConstraint("tenant", "owner", "turn_id", "first"),
    ForeignKeyConstraint(
        ["tenant", "owner", "turn_id"],
        [turns.c.tenant, turns.c.owner, turns.c.id],
        ondelete="CASCADE",
    ),
)

tool_calls = Table(
    "tool_calls",
    metadata,
    Column("tenant", _name, nullable=False),
    Column("owner", _name, nullable=False),
    Column("turn_id", _name, nullable=False),
    Column("seq", BigInteger, nullable=False),
    # The model's name for the call; in one turn it may come again.
    Column("call_id", _name, nullable=False),
    Column("name", _name, nullable=False),
    # Of the holder that made the call.
    Column("fence", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    PrimaryKeyConstraint("tenant", "owner", "turn_id", "seq"),
    ForeignKeyConstraint(
        ["tenant", "owner", "turn_id"],
        [turns.c.tenant, turns.c.owner, turns.c.id],
        ondelete="CASCADE",
    ),
)

spending = Table(
    "spending",
    metadata,
    Column("tenant", _name, nullable=False),
    # Empty for the whole tenant: no user has an empty name.
    Column("owner", _name, nullable=False),
    # Counted from 1970-01-01, in UTC. Day 0 has one row of a tenant, without a model: the gate
    # where turns queue that look at what the tenant has spent.
    Column("day", BigInteger, nullable=False),
    Column("model", _name, nullable=False),
    Column("currency", String, nullable=False),
    *[Column(name, BigInteger, nullable=False) for name in COUNTED],
    PrimaryKeyConstraint("tenant", "owner", "day", "model", "currency"),
    # For operators.
    Index(None, "day"),
)
