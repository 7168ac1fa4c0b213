"""What the statements are made of: their kinds, and the one filter that says whose documents."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from chatkeep.stores.encoding import ItemRecord, ThreadRecord, checked_text
from chatkeep.stores.paging import Order
from chatkeep.stores.words import index_words

type Document = dict[str, Any]
type Change = Document | list[Document]
"""Operators, or the stages of a pipeline, in which a text is wrapped by `literal`."""
type Sort = tuple[tuple[str, int], ...]
"""Fields, each with 1 (ascending) or -1."""

NOW: Document = {"$toLong": "$$NOW"}
"""Milliseconds since 1970 by the database's clock, in a pipeline."""


class Key(NamedTuple):
    """Who is asking: nobody else's documents are seen or touched."""

    tenant: str
    owner: str


class Behind(NamedTuple):
    """The part of a list that is behind a position."""

    start: int
    order: Order
    limit: int


class NewItem(NamedTuple):
    """An item to be written, with the words that it is found by."""

    id: str
    record: ItemRecord
    words: list[str]


class NewThread(NamedTuple):
    """A thread to be written, with its places in the owner's lists.

    Attributes:
        id: The thread.
        record: What it is.
        seq: Its place among the threads, by creation and by activity.
        doc: Its title's place among what is found.
        last_seq: The last position of an item that is taken, and read.
        active_at: When it was created.
    """

    id: str
    record: ThreadRecord
    seq: int
    doc: int
    last_seq: int
    active_at: int


@dataclass(frozen=True, slots=True)
class Newest:
    """The last document by `seq` of those whose `foreign` is the `local` of one on a page."""

    collection: str
    filter: Document
    local: str
    foreign: str
    fields: Sequence[str]


@dataclass(frozen=True, slots=True)
class Find:
    """Documents, at most `limit` (0: all), with these fields of them, sorted.

    `newest` are lists of one document or none, each by the name of its field.
    """

    collection: str
    filter: Document
    fields: Sequence[str]
    limit: int = 0
    sort: Sort = ()
    newest: Mapping[str, Newest] | None = None


@dataclass(frozen=True, slots=True)
class Distinct:
    """The different values of a field of all documents."""

    collection: str
    field: str


@dataclass(frozen=True, slots=True)
class Update:
    """A change of one document, or of many; with `upsert` it is made when it is not there."""

    collection: str
    filter: Document
    change: Change
    upsert: bool = False
    many: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """A change of one document, the first of those sorted, and these fields as they are then."""

    collection: str
    filter: Document
    change: Change
    fields: Sequence[str]
    upsert: bool = False
    sort: Sort = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """The end of one document, or of many."""

    collection: str
    filter: Document
    many: bool = False


def mine(key: Key, /, **fields: object) -> Document:
    """Return the filter for the asking user's documents with these values.

    Raises:
        ValueError: A value is text that no backend stores.
    """
    return checked({"tenant": key.tenant, "owner": key.owner, **fields})


def checked(fields: Mapping[str, object]) -> Document:
    """Return fields whose texts every backend stores.

    Raises:
        ValueError: One is no such text.
    """
    return {
        name: checked_text(value) if isinstance(value, str) else value
        for name, value in fields.items()
    }


def literal(value: str | int | None) -> Document:
    """Return a value as it is written in a pipeline, where `$` begins an expression."""
    return {"$literal": checked_text(value) if isinstance(value, str) else value}


def any_of(texts: Iterable[str]) -> Document:
    """Return the condition that a field is one of these texts."""
    return {"$in": [checked_text(text) for text in texts]}


def page(
    collection: str,
    whose: Mapping[str, Any],
    fields: Sequence[str],
    behind: Behind,
    by: str = "seq",
) -> Find:
    """Return the documents behind a position in the order of a field."""
    compared, direction = ("$gt", 1) if behind.order == "asc" else ("$lt", -1)
    return Find(
        collection,
        {**whose, by: {compared: behind.start}},
        (by, *fields),
        limit=behind.limit,
        sort=((by, direction),),
    )


def words_of(text: str | None) -> list[str]:
    """Return the words that a text is found by."""
    return index_words(text).split() if text else []


def title_fields(title: str | None) -> Document:
    """Return a thread's title as it is stored."""
    return {"title": checked_text(title), "words": words_of(title)}
