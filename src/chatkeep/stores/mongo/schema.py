"""The collections and their indexes. Tenant and owner lead every index.

`body` is the JSON text of the SDK's model without what has a field of its own; see
`chatkeep.stores.encoding`. An item's feedback is a field of the item, so that both are gone
together. What a document is called by is in the fields of a unique index; `_id` is the driver's.
"""

from collections.abc import Mapping
from typing import Any, Final

from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase

VERSION: Final = 1
"""Of the schema. One more when an older version of Chatkeep could not work on the database."""

OWNERS: Final = "owners"
"""`last_seq`: the position that was given last to a thread of the owner."""
THREADS: Final = "threads"
"""`seq`, `title`, `body`, and `last_seq`, the position that was given last to an item."""
ITEMS: Final = "items"
"""`seq`, `type`, `hidden`, `body`, and, once the user has judged it, `feedback`."""
ATTACHMENTS: Final = "attachments"
"""`body`, and the `thread_id` that it is bound to."""
_SCHEMA: Final = "schema"
_THIS: Final = {"_id": "chatkeep"}


def _index(*fields: str, unique: bool = False, only: Mapping[str, Any] | None = None) -> IndexModel:
    keys = [(field, ASCENDING) for field in ("tenant", "owner", *fields)]
    options = {"partialFilterExpression": only} if only else {}
    return IndexModel(keys, unique=unique, **options)


INDEXES: Final = {
    OWNERS: [_index(unique=True)],
    THREADS: [_index("id", unique=True), _index("seq", unique=True)],
    ITEMS: [
        _index("thread_id", "id", unique=True),
        _index("thread_id", "seq", unique=True),
        _index("thread_id", "feedback", only={"feedback": {"$exists": True}}),
    ],
    ATTACHMENTS: [_index("id", unique=True), _index("thread_id")],
}


async def stored_version(database: AsyncDatabase[dict[str, Any]]) -> int:
    """Return the version of the schema in a database; 0 if there is none yet."""
    found = await database[_SCHEMA].find_one(_THIS)
    return int(found["version"]) if found else 0


async def prepare(database: AsyncDatabase[dict[str, Any]]) -> None:
    """Make what is missing of the collections and indexes. Several may do this at once."""
    for collection, indexes in INDEXES.items():
        await database[collection].create_indexes(indexes)
    await database[_SCHEMA].update_one(_THIS, {"$max": {"version": VERSION}}, upsert=True)
