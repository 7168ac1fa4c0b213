"""Every statement of the MongoDB store for a user, with values to try it with."""

import inspect
from typing import Any

from chatkeep.ports.records import EventRow, TurnEnd, TurnState
from chatkeep.ports.spending import Reservation, Spent
from chatkeep.stores.encoding import AttachmentRecord, ItemRecord, ThreadRecord
from chatkeep.stores.mongo.statements import Across, Behind, Key, NewItem, NewThread, Statements
from chatkeep.stores.paging import END, Order
from chatkeep.testing.store_samples import turn_order

NAMES = [name for name, _ in inspect.getmembers(Statements, inspect.isfunction)]
ACROSS_NAMES = [name for name, _ in inspect.getmembers(Across, inspect.isfunction)]

_RECORD = ThreadRecord(None, "{}")
_KEY = Key("acme", "ann")

_VALUES: dict[str, Any] = {
    "key": _KEY,
    "thread_id": "thr_1",
    "thread_ids": ["thr_1"],
    "thread": NewThread("thr_1", _RECORD, 1, 1, 1, 1),
    "item_id": "msg_1",
    "item_ids": ["msg_1"],
    "item": NewItem("msg_1", ItemRecord("x", hidden=False, body="{}"), ["word"]),
    "attachment_id": "atc_1",
    "share_id": "shr_1",
    "turn_id": "trn_1",
    "turn_ids": ["trn_1"],
    "idempotency_key": "key",
    "order": turn_order(),
    "end": TurnEnd(TurnState.COMPLETED),
    "event": EventRow(1, 1, "text"),
    "events": [EventRow(1, 1, "text")],
    "doing": "a tool",
    "call_id": "call_1",
    "name": "tool",
    "held": [(_KEY, "trn_1", 1)],
    "title": "title",
    "kind": "positive",
    "digest": "digest",
    "state": "running",
    "old": "{}",
    "new": "{}",
    "words": ["apple", "pear"],
    "archived": False,
    "expires_at": None,
    "holder": "one",
    "states": ["queued", "running"],
    "threads": [(_KEY, "thr_1")],
    "tenant": "acme",
    "spared": ["zoe"],
    "collection": "turn_events",
    "owner": "ann",
    "some": Across().some_of("turn_events", "acme", None, 9),
    "documents": [{"_id": 1}],
    "reason": "reason",
    "usage": "{}",
    "spent": Spent("gpt", "USD"),
    "reserves": Reservation(1, 1, "USD"),
    "day": 1,
    "since": 1,
}
_NUMBERS = (
    "seq",
    "doc",
    "docs",
    "active_seq",
    "now",
    "until",
    "created_at",
    "fence",
    "lease",
    "limit",
    "before",
)
_RECORDS = {"put_attachment": AttachmentRecord(None, "{}"), "update_thread": _RECORD}


def sample(name: str, order: Order = "asc", of: type[Statements | Across] = Statements) -> Any:
    """Return the statement of this name, a page in this order."""
    method = getattr(of(), name)
    behind = Behind(0 if order == "asc" else END, order, 9)
    after = {
        "load_users": _KEY,
        "queued_turns": {"created_at": 1, "id": "trn_1", "tenant": "acme", "owner": "ann"},
        "load_spending": {
            "tenant": "acme",
            "owner": "ann",
            "day": 1,
            "model": "gpt",
            "currency": "USD",
        },
    }
    values = {
        **_VALUES,
        **dict.fromkeys(_NUMBERS, 1),
        "record": _RECORDS.get(name),
        "behind": behind,
        "after": after.get(name, 1),
    }
    return method(**{key: values[key] for key in inspect.signature(method).parameters})
