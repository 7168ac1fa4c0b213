"""Threads, items, attachments and feedback."""

from collections.abc import Sequence

from chatkeep.stores.encoding import AttachmentRecord, ThreadRecord, checked_text
from chatkeep.stores.mongo.schema import ATTACHMENTS, HOLDS, ITEMS, OWNERS, THREADS
from chatkeep.stores.mongo.statements.common import (
    Behind,
    Change,
    Delete,
    Document,
    Find,
    Key,
    NewItem,
    NewThread,
    Take,
    Update,
    any_of,
    mine,
    page,
    title_fields,
)


class Conversations:
    """What is said, and what belongs to it."""

    def load_thread(self, key: Key, thread_id: str) -> Find:
        """A thread's record."""
        return Find(THREADS, mine(key, id=thread_id), ("title", "body"), limit=1)

    def has_thread(self, key: Key, thread_id: str) -> Find:
        """A thread's position."""
        return Find(THREADS, mine(key, id=thread_id), ("seq",), limit=1)

    def thread_page(self, key: Key, behind: Behind) -> Find:
        """The owner's threads behind a position."""
        return page(THREADS, mine(key), ("title", "body"), behind)

    def take_places(self, key: Key, docs: int) -> Take:
        """The owner's next place among threads, and places among what is found."""
        change = {"$inc": {"last_seq": 1, "last_doc": docs}}
        return Take(OWNERS, mine(key), change, ("last_seq", "last_doc"), upsert=True)

    def take_docs(self, key: Key, docs: int) -> Take:
        """Places among what is found, for an owner who has threads."""
        return Take(OWNERS, mine(key), {"$inc": {"last_doc": docs}}, ("last_doc",))

    def update_thread(self, key: Key, thread_id: str, record: ThreadRecord) -> Update:
        """A thread that is there, changed."""
        return Update(THREADS, mine(key, id=thread_id), {"$set": _thread_fields(record)})

    def put_thread(self, key: Key, thread: NewThread) -> Update:
        """A thread, new, or changed if it is there."""
        first = {
            "seq": thread.seq,
            "doc": thread.doc,
            "last_seq": thread.last_seq,
            "active_seq": thread.seq,
            "active_at": thread.active_at,
            "read_seq": thread.last_seq,
            "archived": False,
        }
        change = {"$set": _thread_fields(thread.record), "$setOnInsert": first}
        return Update(THREADS, mine(key, id=thread.id), change, upsert=True)

    def title_thread(self, key: Key, thread_id: str, title: str) -> Update:
        """The title of a thread that has none."""
        untitled = mine(key, id=thread_id, title=None)
        return Update(THREADS, untitled, {"$set": title_fields(title)})

    def lock_thread(self, key: Key, thread_id: str) -> Take:
        """The right to add to a thread: who writes to it, or deletes it, gives way."""
        return Take(THREADS, mine(key, id=thread_id), {"$inc": {"writes": 1}}, ("last_seq",))

    def delete_thread(self, key: Key, thread_id: str) -> Delete:
        """A thread, without what belongs to it."""
        return Delete(THREADS, mine(key, id=thread_id))

    def delete_items_of_thread(self, key: Key, thread_id: str) -> Delete:
        """A thread's items and their feedback."""
        return Delete(ITEMS, mine(key, thread_id=thread_id), many=True)

    def delete_attachments_of_thread(self, key: Key, thread_id: str) -> Delete:
        """The records of the attachments that are bound to a thread."""
        return Delete(ATTACHMENTS, mine(key, thread_id=thread_id), many=True)

    def own_hold(self, key: Key) -> Find:
        """A legal hold of the owner, or of all of the tenant's."""
        whose = {**mine(key), "owner": any_of(["", key.owner])}
        return Find(HOLDS, whose, ("owner",), limit=1)

    def take_item_seq(self, key: Key, thread_id: str) -> Take:
        """The position of a thread's next item, and with it the right to write to the thread."""
        change = {"$inc": {"last_seq": 1}}
        return Take(THREADS, mine(key, id=thread_id), change, ("last_seq",))

    def take_question_seq(self, key: Key, thread_id: str, active_seq: int, now: int) -> Take:
        """The same for a message of the user's: the thread is their newest one, and read."""
        active = {"active_seq": active_seq, "active_at": now, "archived": False}
        change: Change = [
            {"$set": {"last_seq": {"$add": ["$last_seq", 1]}}},
            {"$set": {"read_seq": "$last_seq", **active}},
        ]
        return Take(THREADS, mine(key, id=thread_id), change, ("last_seq",))

    def put_item(self, key: Key, thread_id: str, item: NewItem, seq: int, doc: int) -> Update:
        """An item, new, or changed if it is there."""
        this = mine(key, thread_id=thread_id, id=item.id)
        change = {"$set": _item_fields(item), "$setOnInsert": {"seq": seq, "doc": doc}}
        return Update(ITEMS, this, change, upsert=True)

    def update_item(self, key: Key, thread_id: str, item: NewItem) -> Update:
        """An item that is there, changed."""
        this = mine(key, thread_id=thread_id, id=item.id)
        return Update(ITEMS, this, {"$set": _item_fields(item)})

    def load_item(self, key: Key, thread_id: str, item_id: str) -> Find:
        """An item's record."""
        this = mine(key, thread_id=thread_id, id=item_id)
        return Find(ITEMS, this, ("type", "body"), limit=1)

    def item_seq(self, key: Key, thread_id: str, item_id: str) -> Find:
        """An item's position."""
        return Find(ITEMS, mine(key, thread_id=thread_id, id=item_id), ("seq",), limit=1)

    def item_page(self, key: Key, thread_id: str, behind: Behind) -> Find:
        """A thread's items behind a position."""
        return page(ITEMS, mine(key, thread_id=thread_id), ("type", "body"), behind)

    def shown_item_page(self, key: Key, thread_id: str, behind: Behind) -> Find:
        """The same without hidden ones."""
        whose = mine(key, thread_id=thread_id, hidden=False)
        return page(ITEMS, whose, ("type", "body"), behind)

    def delete_items(self, key: Key, thread_id: str, item_ids: Sequence[str]) -> Delete:
        """Items and their feedback."""
        these = mine(key, thread_id=thread_id, id=any_of(item_ids))
        return Delete(ITEMS, these, many=True)

    def put_attachment(
        self, key: Key, attachment_id: str, record: AttachmentRecord, now: int
    ) -> Update:
        """An attachment's record, new or changed."""
        change = {"$set": record._asdict(), "$setOnInsert": {"created_at": now}}
        return Update(ATTACHMENTS, mine(key, id=attachment_id), change, upsert=True)

    def load_attachment(self, key: Key, attachment_id: str) -> Find:
        """An attachment's record."""
        return Find(ATTACHMENTS, mine(key, id=attachment_id), ("thread_id", "body"), limit=1)

    def bind_attachment(self, key: Key, attachment_id: str, thread_id: str) -> Update:
        """The thread of an attachment that is there and belongs to no other one."""
        loose = {"$in": [None, checked_text(thread_id)]}
        this = mine(key, id=attachment_id, thread_id=loose)
        return Update(ATTACHMENTS, this, {"$set": {"thread_id": thread_id}})

    def replace_attachment(self, key: Key, attachment_id: str, old: str, new: str) -> Update:
        """An attachment's record, if it is as it was."""
        this = mine(key, id=attachment_id, body=old)
        return Update(ATTACHMENTS, this, {"$set": {"body": new}})

    def delete_attachment(self, key: Key, attachment_id: str) -> Delete:
        """An attachment's record."""
        return Delete(ATTACHMENTS, mine(key, id=attachment_id))

    def put_feedback(self, key: Key, thread_id: str, item_ids: Sequence[str], kind: str) -> Update:
        """The user's judgement of items that are there."""
        these = mine(key, thread_id=thread_id, id=any_of(item_ids))
        return Update(ITEMS, these, {"$set": {"feedback": kind}}, many=True)

    def load_feedback(self, key: Key, thread_id: str) -> Find:
        """The judgements in a thread."""
        judged = mine(key, thread_id=thread_id, feedback={"$exists": True})
        return Find(ITEMS, judged, ("id", "feedback"))


def _thread_fields(record: ThreadRecord) -> Document:
    return {"body": record.body, **title_fields(record.title)}


def _item_fields(item: NewItem) -> Document:
    return {**item.record._asdict(), "words": item.words}
