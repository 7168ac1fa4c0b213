"""What is asked across users: by operators, by the server itself, and with a share's secret."""

from collections.abc import Mapping, Sequence
from typing import Any

from chatkeep.stores.encoding import checked_text
from chatkeep.stores.mongo.schema import (
    ATTACHMENTS,
    HOLDS,
    OWNERS,
    SHARES,
    SPENDING,
    THREADS,
    TURNS,
)
from chatkeep.stores.mongo.statements.common import (
    NOW,
    Change,
    Delete,
    Distinct,
    Document,
    Find,
    Key,
    Sort,
    Take,
    Update,
    any_of,
    checked,
    literal,
)
from chatkeep.stores.mongo.statements.sharing import SHARE
from chatkeep.stores.mongo.statements.spending import SUMS, TAKEN
from chatkeep.stores.mongo.statements.turns import OPEN, TURN

_SPENDING = ("tenant", "owner", "day", "model", "currency")
_QUEUE = ("created_at", "id", "tenant", "owner")


class Across:
    """The statements, each by the name of what it does."""

    def find_share(self, digest: str) -> Find:
        """The share with this digest, which is of a secret of 256 bits."""
        return Find(SHARES, checked({"digest": digest}), SHARE, limit=1)

    def take_expired(self, holder: str, lease: int) -> Take:
        """The running turn whose lease is over for longest, with a new holder."""
        over = {"$expr": {"$lt": ["$lease_until", NOW]}}
        return Take(
            TURNS,
            {"state": "running", **over},
            _taken(holder, lease),
            TURN,
            sort=(("lease_until", 1),),
        )

    def expired_turns(self) -> Find:
        """A running turn whose lease is over, if there is one."""
        over = {"$expr": {"$lt": ["$lease_until", NOW]}}
        return Find(TURNS, {"state": "running", **over}, ("id",), limit=1)

    def held_turns(self, held: Sequence[tuple[Key, str, int]]) -> Find:
        """Those of these turns that run and have these fences."""
        these = [
            checked({**key._asdict(), "id": turn_id, "fence": fence, "state": "running"})
            for key, turn_id, fence in held
        ]
        return Find(TURNS, {"$or": these}, ("tenant", "owner", "id", "fence"))

    def stopped_turns(self, holder: str) -> Find:
        """A holder's running turns that are to be stopped."""
        whose = {"holder": checked_text(holder), "cancel_requested": True, "state": "running"}
        return Find(TURNS, whose, ("id",))

    def queued_turns(self, after: Document | None, limit: int) -> Find:
        """Queued turns behind one, oldest first."""
        whose = {"state": "queued", **behind(_QUEUE, after)}
        fields = (*_QUEUE, "thread_id", "fence")
        return Find(TURNS, whose, fields, limit, sort=in_order(_QUEUE))

    def running_in(self, threads: Sequence[tuple[Key, str]]) -> Find:
        """The running turns of threads."""
        names = ("tenant", "owner", "thread_id")
        these = [
            dict(zip(names, (*key, thread_id), strict=True)) | {"state": "running"}
            for key, thread_id in threads
        ]
        return Find(TURNS, {"$or": these}, names)

    def take_queued(self, key: Key, turn_id: str, fence: int, holder: str, lease: int) -> Take:
        """A queued turn, running."""
        this = {**_of(key), "id": turn_id, "fence": fence, "state": "queued"}
        return Take(TURNS, this, _taken(holder, lease), TURN)

    def load_turns(self, states: Sequence[str], limit: int) -> Find:
        """Turns in these states, oldest first."""
        return Find(TURNS, {"state": any_of(states)}, TURN, limit, sort=in_order(_QUEUE[:2]))

    def logs_of_ended(self, before: int, limit: int) -> Find:
        """Turns that ended before a moment and have events."""
        whose = {"logged": True, "ended_at": {"$lt": before}}
        return Find(TURNS, whose, ("tenant", "owner", "id"), limit)

    def without_log(self, key: Key, turn_id: str) -> Update:
        """A turn whose events are gone."""
        return Update(TURNS, {**_of(key), "id": turn_id}, {"$unset": {"logged": ""}})

    def load_users(self, tenant: str | None, after: Key | None, limit: int) -> Find:
        """Users by name, of one tenant or of all."""
        names = ("tenant", "owner")
        if tenant is None:
            whose = behind(names, after and after._asdict())
        else:
            whose = checked({"tenant": tenant})
            if after is not None:
                whose["owner"] = {"$gt": checked_text(after.owner)}
        return Find(OWNERS, whose, names, limit, sort=in_order(names))

    def load_tenants(self) -> Distinct:
        """The names of all tenants."""
        return Distinct(OWNERS, "tenant")

    def some_of(self, collection: str, tenant: str, owner: str | None, limit: int) -> Find:
        """Some documents of a user, or of a tenant (None), to be deleted."""
        whose = checked({"tenant": tenant} if owner is None else {"tenant": tenant, "owner": owner})
        return Find(collection, whose, ("_id", "feedback"), limit)

    def delete_these(self, some: Find, documents: Sequence[Document]) -> Delete:
        """Documents that were found in the same transaction, by the index that they all have."""
        these = {"_id": {"$in": [each["_id"] for each in documents]}}
        return Delete(some.collection, these, many=True)

    def old_threads(self, tenant: str, before: int, spared: Sequence[str], limit: int) -> Find:
        """A tenant's threads in which nobody wrote since a moment, but those of some owners."""
        whose = {**checked({"tenant": tenant}), "active_at": _old(before)}
        if spared:
            whose["owner"] = {"$nin": list(spared)}
        return Find(THREADS, whose, ("owner", "id"), limit, sort=(("active_at", 1),))

    def delete_old_thread(self, key: Key, thread_id: str, before: int) -> Delete:
        """A thread, if nobody wrote in it since a moment."""
        this = {**_of(key), "id": thread_id, "active_at": _old(before)}
        return Delete(THREADS, this)

    def attachments_of_thread(self, key: Key, thread_id: str) -> Find:
        """The attachments that are bound to a thread."""
        return Find(ATTACHMENTS, {**_of(key), "thread_id": thread_id}, ("id",))

    def stale_attachments(self, before: int, limit: int) -> Find:
        """Attachments without a thread that were created before a moment."""
        whose = {"thread_id": None, "created_at": _old(before)}
        fields = ("tenant", "owner", "id")
        return Find(ATTACHMENTS, whose, fields, limit, sort=(("created_at", 1),))

    def put_hold(self, key: Key, reason: str, created_at: int) -> Update:
        """A legal hold; the owner is empty for the whole tenant."""
        change = {"$set": checked({"reason": reason, "created_at": created_at})}
        return Update(HOLDS, _of(key), change, upsert=True)

    def delete_hold(self, key: Key) -> Delete:
        """A legal hold."""
        return Delete(HOLDS, _of(key))

    def load_holds(self, tenant: str | None = None) -> Find:
        """The legal holds, all or those of a tenant."""
        whose = {} if tenant is None else checked({"tenant": tenant})
        fields = ("tenant", "owner", "reason", "created_at")
        return Find(HOLDS, whose, fields, sort=in_order(fields[:2]))

    def open_turns_of_tenant(self, tenant: str) -> Find:
        """The turns of a tenant that have not ended."""
        return Find(TURNS, {**checked({"tenant": tenant}), "state": any_of(OPEN)}, TAKEN)

    def load_spending(
        self, tenant: str | None, owner: str | None, since: int, after: Document | None, limit: int
    ) -> Find:
        """Sums since a day: of all tenants, of a tenant and its users, or of one user."""
        whose: Document = {"owner": ""} if tenant is None else checked({"tenant": tenant})
        if tenant is not None and owner is not None:
            whose |= checked({"owner": owner})
        whose |= {"day": {"$gte": since}, **behind(_SPENDING, after)}
        return Find(SPENDING, whose, SUMS, limit, sort=in_order(_SPENDING))


def behind(names: Sequence[str], after: Mapping[str, Any] | None) -> Document:
    """Return the condition for documents behind one, in the order of these fields."""
    if after is None:
        return {}
    last = checked({name: after[name] for name in names})
    return {
        "$or": [
            {**{same: last[same] for same in names[:n]}, name: {"$gt": last[name]}}
            for n, name in enumerate(names)
        ]
    }


def in_order(names: Sequence[str]) -> Sort:
    """Return the order of these fields, ascending."""
    return tuple((name, 1) for name in names)


def _of(key: Key) -> Document:
    return checked(key._asdict())


def _old(before: int) -> Document:
    return {"$lt": before, "$gt": 0}


def _taken(holder: str, lease: int) -> Change:
    return [
        {
            "$set": {
                "state": "running",
                "holder": literal(holder),
                "fence": {"$add": ["$fence", 1]},
                "lease_until": {"$add": [NOW, lease]},
                "doing": literal(None),
            }
        }
    ]
