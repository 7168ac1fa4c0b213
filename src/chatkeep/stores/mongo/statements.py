"""Everything the store asks of the database, as data, in one place.

Tenant and owner are in every filter, through `_mine`. An upsert also stores the filter's fields.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from chatkeep.stores.encoding import AttachmentRecord, ItemRecord, ThreadRecord, checked_text
from chatkeep.stores.mongo.schema import ATTACHMENTS, ITEMS, OWNERS, THREADS
from chatkeep.stores.paging import Order

type Document = dict[str, Any]


class Key(NamedTuple):
    """Who is asking: nobody else's documents are seen or touched."""

    tenant: str
    owner: str


class Behind(NamedTuple):
    """The part of a list that is behind a position."""

    start: int
    order: Order
    limit: int


@dataclass(frozen=True, slots=True)
class Find:
    """Documents, at most `limit` (0: all), with these fields of them, by `seq` if ordered."""

    collection: str
    filter: Document
    fields: Sequence[str]
    limit: int = 0
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """A change of one document, or of many; with `upsert` it is made when it is not there."""

    collection: str
    filter: Document
    change: Document
    upsert: bool = False
    many: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """One more in a field of one document: the number that is there then."""

    collection: str
    filter: Document
    field: str
    upsert: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """The end of one document, or of many."""

    collection: str
    filter: Document
    many: bool = False


def _mine(key: Key, **fields: object) -> Document:
    """Return the filter for the asking user's documents with these values.

    Raises:
        ValueError: A value is text that no backend stores.
    """
    values = {"tenant": key.tenant, "owner": key.owner, **fields}
    return {
        name: checked_text(value) if isinstance(value, str) else value
        for name, value in values.items()
    }


def _any_of(texts: Sequence[str]) -> Document:
    return {"$in": [checked_text(text) for text in texts]}


def _page(collection: str, mine: Mapping[str, Any], fields: Sequence[str], behind: Behind) -> Find:
    compared = "$gt" if behind.order == "asc" else "$lt"
    position = {"seq": {compared: behind.start}}
    return Find(
        collection, {**mine, **position}, ("seq", *fields), limit=behind.limit, order=behind.order
    )


class Statements:
    """The statements, each by the name of what it does."""

    def load_thread(self, key: Key, thread_id: str) -> Find:
        """A thread's record."""
        return Find(THREADS, _mine(key, id=thread_id), ("title", "body"), limit=1)

    def has_thread(self, key: Key, thread_id: str) -> Find:
        """A thread's position."""
        return Find(THREADS, _mine(key, id=thread_id), ("seq",), limit=1)

    def thread_page(self, key: Key, behind: Behind) -> Find:
        """The owner's threads behind a position."""
        return _page(THREADS, _mine(key), ("title", "body"), behind)

    def take_thread_seq(self, key: Key) -> Take:
        """The position of the owner's next thread."""
        return Take(OWNERS, _mine(key), "last_seq", upsert=True)

    def update_thread(self, key: Key, thread_id: str, record: ThreadRecord) -> Update:
        """A thread that is there, changed."""
        return Update(THREADS, _mine(key, id=thread_id), {"$set": record._asdict()})

    def put_thread(
        self, key: Key, thread_id: str, record: ThreadRecord, seq: int, last_seq: int
    ) -> Update:
        """A thread, new with its items' positions up to `last_seq` taken, or changed."""
        first = {"seq": seq, "last_seq": last_seq}
        change = {"$set": record._asdict(), "$setOnInsert": first}
        return Update(THREADS, _mine(key, id=thread_id), change, upsert=True)

    def title_thread(self, key: Key, thread_id: str, title: str) -> Update:
        """The title of a thread that has none."""
        untitled = _mine(key, id=thread_id, title=None)
        return Update(THREADS, untitled, {"$set": {"title": checked_text(title)}})

    def delete_thread(self, key: Key, thread_id: str) -> Delete:
        """A thread, without what belongs to it."""
        return Delete(THREADS, _mine(key, id=thread_id))

    def delete_items_of_thread(self, key: Key, thread_id: str) -> Delete:
        """A thread's items and their feedback."""
        return Delete(ITEMS, _mine(key, thread_id=thread_id), many=True)

    def delete_attachments_of_thread(self, key: Key, thread_id: str) -> Delete:
        """The records of the attachments that are bound to a thread."""
        return Delete(ATTACHMENTS, _mine(key, thread_id=thread_id), many=True)

    def take_item_seq(self, key: Key, thread_id: str) -> Take:
        """The position of a thread's next item, and with it the right to write to the thread."""
        return Take(THREADS, _mine(key, id=thread_id), "last_seq")

    def put_item(
        self, key: Key, thread_id: str, item_id: str, record: ItemRecord, seq: int
    ) -> Update:
        """An item, new or changed."""
        mine = _mine(key, thread_id=thread_id, id=item_id)
        change = {"$set": record._asdict(), "$setOnInsert": {"seq": seq}}
        return Update(ITEMS, mine, change, upsert=True)

    def update_item(self, key: Key, thread_id: str, item_id: str, record: ItemRecord) -> Update:
        """An item that is there, changed."""
        mine = _mine(key, thread_id=thread_id, id=item_id)
        return Update(ITEMS, mine, {"$set": record._asdict()})

    def load_item(self, key: Key, thread_id: str, item_id: str) -> Find:
        """An item's record."""
        mine = _mine(key, thread_id=thread_id, id=item_id)
        return Find(ITEMS, mine, ("type", "body"), limit=1)

    def item_seq(self, key: Key, thread_id: str, item_id: str) -> Find:
        """An item's position."""
        return Find(ITEMS, _mine(key, thread_id=thread_id, id=item_id), ("seq",), limit=1)

    def item_page(self, key: Key, thread_id: str, behind: Behind) -> Find:
        """A thread's items behind a position."""
        return _page(ITEMS, _mine(key, thread_id=thread_id), ("type", "body"), behind)

    def shown_item_page(self, key: Key, thread_id: str, behind: Behind) -> Find:
        """The same without hidden ones."""
        mine = _mine(key, thread_id=thread_id, hidden=False)
        return _page(ITEMS, mine, ("type", "body"), behind)

    def delete_items(self, key: Key, thread_id: str, item_ids: Sequence[str]) -> Delete:
        """Items and their feedback."""
        mine = _mine(key, thread_id=thread_id, id=_any_of(item_ids))
        return Delete(ITEMS, mine, many=True)

    def put_attachment(self, key: Key, attachment_id: str, record: AttachmentRecord) -> Update:
        """An attachment's record, new or changed."""
        mine = _mine(key, id=attachment_id)
        return Update(ATTACHMENTS, mine, {"$set": record._asdict()}, upsert=True)

    def load_attachment(self, key: Key, attachment_id: str) -> Find:
        """An attachment's record."""
        return Find(ATTACHMENTS, _mine(key, id=attachment_id), ("thread_id", "body"), limit=1)

    def bind_attachment(self, key: Key, attachment_id: str, thread_id: str) -> Update:
        """The thread of an attachment that is there."""
        change = {"$set": {"thread_id": thread_id}}
        return Update(ATTACHMENTS, _mine(key, id=attachment_id), change)

    def delete_attachment(self, key: Key, attachment_id: str) -> Delete:
        """An attachment's record."""
        return Delete(ATTACHMENTS, _mine(key, id=attachment_id))

    def put_feedback(self, key: Key, thread_id: str, item_ids: Sequence[str], kind: str) -> Update:
        """The user's judgement of items that are there."""
        mine = _mine(key, thread_id=thread_id, id=_any_of(item_ids))
        return Update(ITEMS, mine, {"$set": {"feedback": kind}}, many=True)

    def load_feedback(self, key: Key, thread_id: str) -> Find:
        """The judgements in a thread."""
        mine = _mine(key, thread_id=thread_id, feedback={"$exists": True})
        return Find(ITEMS, mine, ("id", "feedback"))
