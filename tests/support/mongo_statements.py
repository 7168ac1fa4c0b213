"""Every statement of the MongoDB store, with values to try it with."""

import inspect
from typing import Any

from chatkeep.stores.encoding import AttachmentRecord, ItemRecord, ThreadRecord
from chatkeep.stores.mongo.statements import Behind, Key, Statements
from chatkeep.stores.paging import END, Order

NAMES = [name for name, _ in inspect.getmembers(Statements, inspect.isfunction)]

_VALUES: dict[str, Any] = {
    "key": Key("acme", "ann"),
    "thread_id": "thr_1",
    "item_id": "msg_1",
    "item_ids": ["msg_1"],
    "attachment_id": "atc_1",
    "title": "title",
    "kind": "positive",
    "seq": 1,
    "last_seq": 1,
}
_RECORDS = {
    "put_attachment": AttachmentRecord(None, "{}"),
    "update_item": ItemRecord("x", hidden=False, body="{}"),
    "put_item": ItemRecord("x", hidden=False, body="{}"),
    "update_thread": ThreadRecord(None, "{}"),
    "put_thread": ThreadRecord(None, "{}"),
}


def sample(name: str, order: Order = "asc") -> Any:
    """Return the statement of this name, a page in this order."""
    method = getattr(Statements(), name)
    behind = Behind(0 if order == "asc" else END, order, 9)
    values = {**_VALUES, "record": _RECORDS.get(name), "behind": behind}
    return method(**{key: values[key] for key in inspect.signature(method).parameters})
