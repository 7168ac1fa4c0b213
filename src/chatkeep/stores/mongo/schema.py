"""The collections and their indexes. Tenant and owner lead every index that a user needs.

`body` is the JSON text of the SDK's model without what has a field of its own; see
`chatkeep.stores.encoding`. An item's feedback is a field of the item, so that both are gone
together. What a document is called by is in the fields of a unique index; `_id` is the driver's.
"""

from collections.abc import Mapping
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase

VERSION: Final = 1
"""Of the schema. One more when an older version of Chatkeep could not work on the database."""

OWNERS: Final = "owners"
"""`last_seq`: the position that was given last to a thread of the owner. `last_doc`: the one that
was given last to something that is found by its words."""
THREADS: Final = "threads"
"""`seq`, `title`, `body`; `last_seq`, the position that was given last to an item; `read_seq`, the
last one that was read; `active_seq`, `active_at` and `archived` for the list by activity; `doc`
and `words` for searching titles. `writes` counts locks, and is not read."""
ITEMS: Final = "items"
"""`seq`, `type`, `hidden`, `body`; `doc` and `words` for searching; and, once the user has judged
it, `feedback`."""
ATTACHMENTS: Final = "attachments"
"""`body`, `created_at`, and the `thread_id` that it is bound to."""
SHARES: Final = "shares"
"""As in SQL."""
HOLDS: Final = "holds"
"""As in SQL; `owner` is empty for the whole tenant."""
TURNS: Final = "turns"
"""As in SQL, but for `pruned`; `logged`: it has events. `writes` counts locks, and is not read."""
TURN_EVENTS: Final = "turn_events"
"""As in SQL."""
TOOL_CALLS: Final = "tool_calls"
"""As in SQL."""
SPENDING: Final = "spending"
"""As in SQL; `owner` is empty for the whole tenant."""
_SCHEMA: Final = "schema"
_THIS: Final = {"_id": "chatkeep"}


def _index(
    *fields: str,
    unique: bool = False,
    only: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> IndexModel:
    return _across("tenant", "owner", *fields, unique=unique, only=only, name=name)


def _across(
    *fields: str,
    unique: bool = False,
    only: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> IndexModel:
    """Return an index of these fields; one that begins with `-` is descending."""
    keys = [
        (field.removeprefix("-"), DESCENDING if field.startswith("-") else ASCENDING)
        for field in fields
    ]
    options: dict[str, Any] = {"partialFilterExpression": only} if only else {}
    if name:
        options["name"] = name
    return IndexModel(keys, unique=unique, **options)


INDEXES: Final = {
    OWNERS: [_index(unique=True)],
    THREADS: [
        _index("id", unique=True),
        _index("seq", unique=True),
        _index("archived", "active_seq"),
        _index("words", "doc"),
    ],
    ITEMS: [
        _index("thread_id", "id", unique=True),
        _index("thread_id", "seq", unique=True),
        _index("thread_id", "feedback", only={"feedback": {"$exists": True}}),
        _index("words", "doc"),
    ],
    ATTACHMENTS: [_index("id", unique=True), _index("thread_id")],
    SHARES: [_index("id", unique=True), _index("thread_id", "created_at", "id")],
    HOLDS: [_index(unique=True)],
    TURNS: [
        _index("id", unique=True),
        _index("key", unique=True, only={"key": {"$type": "string"}}),
        # At most one runs in a thread, whatever the code does.
        _index("thread_id", unique=True, only={"state": "running"}, name="one_running"),
        _index("thread_id", "-state", "created_at"),
        _index("thread_id", "created_at"),
        _index("state"),
    ],
    TURN_EVENTS: [_index("turn_id", "first", unique=True)],
    TOOL_CALLS: [_index("turn_id", "seq", unique=True)],
    SPENDING: [_index("day", "model", "currency", unique=True)],
}
"""For what users ask."""

ACROSS: Final = {
    THREADS: [_across("tenant", "active_at")],
    ATTACHMENTS: [_across("thread_id", "created_at")],
    SHARES: [_across("digest", unique=True)],
    TURNS: [
        _across("state", "lease_until"),
        _across("state", "created_at", "id", "tenant", "owner"),
        _across("logged", "ended_at", only={"logged": True}),
        _across("holder", only={"cancel_requested": True, "state": "running"}),
        # For what is put aside for open ones of a whole tenant.
        _across("tenant", "state"),
    ],
    SPENDING: [_across("day"), _across("tenant", "day")],
}
"""For what is asked across users."""


async def stored_version(database: AsyncDatabase[dict[str, Any]]) -> int:
    """Return the version of the schema in a database; 0 if there is none yet."""
    found = await database[_SCHEMA].find_one(_THIS)
    return int(found["version"]) if found else 0


async def prepare(database: AsyncDatabase[dict[str, Any]]) -> None:
    """Make what is missing of the collections and indexes. Several may do this at once."""
    for collection, indexes in INDEXES.items():
        await database[collection].create_indexes([*indexes, *ACROSS.get(collection, [])])
    await database[_SCHEMA].update_one(_THIS, {"$max": {"version": VERSION}}, upsert=True)
