"""The logical tables as documents.

A record has the same fields on every backend; here, `feedback` is a field of an item, and
positions are counted by the last one that was given instead of the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chatkeep.ports.records import Record
from chatkeep.stores.encoding import decode_item_text
from chatkeep.stores.mongo.schema import (
    ATTACHMENTS,
    HOLDS,
    ITEMS,
    OWNERS,
    SHARES,
    SPENDING,
    THREADS,
    TOOL_CALLS,
    TURN_EVENTS,
    TURNS,
)
from chatkeep.stores.mongo.statements.across import behind, in_order
from chatkeep.stores.mongo.statements.common import (
    Document,
    Find,
    Key,
    Take,
    Update,
    checked,
    words_of,
)
from chatkeep.stores.mongo.statements.sharing import SHARE
from chatkeep.stores.mongo.statements.spending import SUMS
from chatkeep.stores.mongo.statements.tool_calls import TOOL_CALL
from chatkeep.stores.mongo.statements.turns import TURN

_COUNTED = {"next_seq": "last_seq"}


@dataclass(frozen=True, slots=True)
class Table:
    """Where the records of a table are.

    Attributes:
        collection: The collection.
        key: The fields that tell records apart, in the order in which they are read.
        fields: All fields.
        names: What some are called in the documents.
        found: Documents of it are found by their words.
        part: It is a part of documents that are there, whose other fields it does not know.
    """

    collection: str
    key: tuple[str, ...]
    fields: tuple[str, ...]
    names: dict[str, str] = field(default_factory=dict)
    found: bool = False
    part: str | None = None

    def read(self, after: Record | None, limit: int) -> Find:
        """Ask for the next documents behind a record."""
        # No key has a counter in it, and of `after` only the key counts.
        last = after and checked({self.names.get(n, n): after[n] for n in self.key})
        names = [self.names.get(name, name) for name in self.key]
        whose = behind(names, last)
        if self.part:
            whose[self.part] = {"$exists": True}
        shown = [self.names.get(name, name) for name in self.fields]
        return Find(self.collection, whose, shown, limit, sort=in_order(names))

    def record(self, document: Document) -> Record:
        """Return a document as a record."""
        # An earlier version has left out what it did not know.
        shown = {"event_at": None, "doing": None, "tokens": None, "cost": None, **document}
        return {name: _plain(name, shown[self.names.get(name, name)]) for name in self.fields}

    def write(self, record: Record, doc: int | None) -> Update:
        """Store a record, in place of the one with the same key.

        Args:
            record: The record.
            doc: Its place among what is found, if it is new.
        """
        document = self._document(record)
        names = [self.names.get(name, name) for name in self.key]
        this = {name: document.pop(name) for name in names}
        change = {"$set": document}
        if doc is not None:
            document["words"] = words_of(_text(self.collection, record))
            change["$setOnInsert"] = {"doc": doc}
        return Update(self.collection, this, change, upsert=self.part is None)

    def _document(self, record: Record) -> Document:
        return checked(
            {
                self.names.get(name, name): value - 1
                if name in _COUNTED and isinstance(value := record[name], int)
                else record[name]
                for name in self.fields
            }
        )


_NAME = ("tenant", "owner")
_TOLD = (*_NAME, "id")

TABLES = {
    "owners": Table(OWNERS, _NAME, (*_NAME, "next_seq"), _COUNTED),
    "threads": Table(
        THREADS,
        _TOLD,
        (
            *_TOLD,
            "seq",
            "next_seq",
            "title",
            "body",
            "active_seq",
            "active_at",
            "read_seq",
            "archived",
        ),
        _COUNTED,
        found=True,
    ),
    "items": Table(
        ITEMS,
        (*_NAME, "thread_id", "id"),
        (*_NAME, "thread_id", "id", "seq", "type", "hidden", "body"),
        found=True,
    ),
    "attachments": Table(ATTACHMENTS, _TOLD, (*_TOLD, "thread_id", "body", "created_at")),
    "feedback": Table(
        ITEMS,
        (*_NAME, "thread_id", "item_id"),
        (*_NAME, "thread_id", "item_id", "kind"),
        {"item_id": "id", "kind": "feedback"},
        part="feedback",
    ),
    "shares": Table(SHARES, _TOLD, SHARE),
    "holds": Table(HOLDS, _NAME, (*_NAME, "reason", "created_at")),
    "turns": Table(TURNS, _TOLD, TURN),
    "turn_events": Table(
        TURN_EVENTS,
        (*_NAME, "turn_id", "first"),
        (*_NAME, "turn_id", "first", "last", "body"),
    ),
    "tool_calls": Table(TOOL_CALLS, (*_NAME, "turn_id", "seq"), TOOL_CALL),
    "spending": Table(SPENDING, (*_NAME, "day", "model", "currency"), SUMS),
}
"""By their names."""


def table_of(name: str) -> Table:
    """Return a table.

    Raises:
        ValueError: There is none with this name.
    """
    if name not in TABLES:
        raise ValueError(f"no table of records is called {name!r}")
    return TABLES[name]


def take_docs(key: Key, docs: int) -> Take:
    """Take places among what is found, for an owner who may have come without a counter."""
    change = {"$inc": {"last_doc": docs, "last_seq": 0}}
    return Take(OWNERS, checked(key._asdict()), change, ("last_doc",), upsert=True)


def mark_logs(records: Sequence[Record]) -> list[Update]:
    """Mark the turns of these events as having some."""
    turns = dict.fromkeys((each["tenant"], each["owner"], each["turn_id"]) for each in records)
    return [
        Update(
            TURNS,
            {"tenant": tenant, "owner": owner, "id": turn_id},
            {"$set": {"logged": True}},
        )
        for tenant, owner, turn_id in turns
    ]


def _text(collection: str, record: Record) -> str | None:
    if collection == THREADS:
        return None if record["title"] is None else str(record["title"])
    return decode_item_text(str(record["type"]), str(record["body"]))


def _plain(name: str, value: Any) -> str | int | bool | None:
    if isinstance(value, bool) or not isinstance(value, int):
        plain: str | bool | None = value
        return plain
    return int(value) + (name in _COUNTED)  # the driver has a class of its own for large ones
