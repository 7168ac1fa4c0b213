"""Shares."""

from chatkeep.stores.mongo.schema import ITEMS, SHARES
from chatkeep.stores.mongo.statements.common import Behind, Delete, Find, Key, Update, mine, page
from chatkeep.stores.mongo.statements.common import checked as checked_fields

SHARE = ("tenant", "owner", "id", "thread_id", "digest", "until", "created_at", "expires_at")


class Sharing:
    """Reading a thread without being its owner."""

    def load_share(self, key: Key, share_id: str) -> Find:
        """A share."""
        return Find(SHARES, mine(key, id=share_id), SHARE, limit=1)

    def load_shares(self, key: Key, thread_id: str) -> Find:
        """The shares of a thread, oldest first."""
        oldest = (("created_at", 1), ("id", 1))
        return Find(SHARES, mine(key, thread_id=thread_id), SHARE, sort=oldest)

    def put_share(
        self,
        key: Key,
        share_id: str,
        thread_id: str,
        digest: str,
        until: int,
        created_at: int,
        expires_at: int | None,
    ) -> Update:
        """A new share."""
        fields = {
            "thread_id": thread_id,
            "digest": digest,
            "until": until,
            "created_at": created_at,
            "expires_at": expires_at,
        }
        change = {"$setOnInsert": checked_fields(fields)}
        return Update(SHARES, mine(key, id=share_id), change, upsert=True)

    def delete_share(self, key: Key, share_id: str) -> Delete:
        """A share."""
        return Delete(SHARES, mine(key, id=share_id))

    def delete_shares_of_thread(self, key: Key, thread_id: str) -> Delete:
        """The shares of a thread."""
        return Delete(SHARES, mine(key, thread_id=thread_id), many=True)

    def shared_item_page(self, key: Key, thread_id: str, until: int, behind: Behind) -> Find:
        """A thread's items behind a position up to another one, without hidden ones."""
        whose = mine(key, thread_id=thread_id, hidden=False)
        items = page(ITEMS, whose, ("type", "body"), behind)
        items.filter["seq"]["$lte"] = until
        return items
