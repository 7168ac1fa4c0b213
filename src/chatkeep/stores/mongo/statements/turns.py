"""Turns and their events."""

from collections.abc import Sequence

from chatkeep.ports.records import EventRow, TurnEnd, TurnOrder
from chatkeep.ports.spending import cost_of, tokens_of
from chatkeep.stores.encoding import checked_text
from chatkeep.stores.mongo.schema import TURN_EVENTS, TURNS
from chatkeep.stores.mongo.statements.common import (
    NOW,
    Change,
    Delete,
    Document,
    Find,
    Key,
    Take,
    Update,
    any_of,
    literal,
    mine,
)

TURN = (
    "tenant",
    "owner",
    "id",
    "thread_id",
    "state",
    "reason",
    "request",
    "key",
    "digest",
    "holder",
    "fence",
    "lease_until",
    "cancel_requested",
    "touched",
    "last_event",
    "event_at",
    "doing",
    "usage",
    "created_at",
    "ended_at",
    "tokens",
    "cost",
)
OPEN = ("queued", "running")

_LONG_AGO = 1000
"""Milliseconds by which a lease that was given up is over."""


class Turns:
    """Work on answers."""

    def load_turn(self, key: Key, turn_id: str) -> Find:
        """A turn."""
        return Find(TURNS, mine(key, id=turn_id), TURN, limit=1)

    def turn_of_key(self, key: Key, idempotency_key: str) -> Find:
        """The turn that was begun with the client's key."""
        return Find(TURNS, mine(key, key=idempotency_key), TURN, limit=1)

    def open_turn(self, key: Key, thread_id: str) -> Find:
        """The turn of a thread that runs, else the next to run."""
        whose = mine(key, thread_id=thread_id, state=any_of(OPEN))
        # By their names, running comes behind queued.
        return Find(TURNS, whose, TURN, limit=1, sort=(("state", -1), ("created_at", 1)))

    def newest_turn(self, key: Key, thread_id: str) -> Find:
        """The turn of a thread that was begun last."""
        whose = mine(key, thread_id=thread_id)
        return Find(TURNS, whose, TURN, limit=1, sort=(("created_at", -1),))

    def thread_turns(self, key: Key, thread_id: str, after: int, limit: int) -> Find:
        """The turns of a thread that were begun after a moment."""
        whose = mine(key, thread_id=thread_id, created_at={"$gt": after})
        return Find(TURNS, whose, TURN, limit=limit, sort=(("created_at", 1),))

    def turns_of_thread(self, key: Key, thread_id: str) -> Find:
        """The ids of all turns of a thread."""
        return Find(TURNS, mine(key, thread_id=thread_id), ("id",))

    def put_turn(
        self, key: Key, turn_id: str, order: TurnOrder, state: str, lease: int | None, after: int
    ) -> Update:
        """A new turn, begun after a moment, with a lease of so many milliseconds."""
        given = {
            "thread_id": order.thread_id,
            "state": state,
            "reason": None,
            "request": order.request,
            "key": order.key,
            "digest": order.digest,
            "holder": order.holder,
            "fence": 1,
            "last_event": 0,
            "event_at": None,
            "doing": None,
            "usage": None,
            "ended_at": None,
            "tokens": order.reserves.tokens if order.reserves else 0,
            "cost": order.reserves.cost if order.reserves else 0,
        }
        fields: Document = {name: literal(value) for name, value in given.items()}
        fields |= {
            "cancel_requested": False,
            "touched": False,
            "lease_until": literal(None) if lease is None else {"$add": [NOW, lease]},
            # No two turns of a thread have the same moment, so that it gives their order.
            "created_at": {"$max": [NOW, after + 1]},
            **_log(order.events),
        }
        return Update(TURNS, mine(key, id=turn_id), [{"$set": fields}], upsert=True)

    def touch_turn(self, key: Key, turn_id: str, fence: int) -> Update:
        """A turn in which something happened; whoever else changes the turn now gives way."""
        change = {"$set": {"touched": True}, "$inc": {"writes": 1}}
        return Update(TURNS, _held(key, turn_id, fence), change)

    def release_turn(self, key: Key, turn_id: str, fence: int) -> Update:
        """A turn whose lease is over."""
        over = {"lease_until": {"$subtract": [NOW, _LONG_AGO]}}
        return Update(TURNS, _held(key, turn_id, fence), [{"$set": over}])

    def keep_turn(
        self,
        key: Key,
        turn_id: str,
        fence: int,
        lease: int | None,
        events: Sequence[EventRow],
        doing: str | None,
        usage: str | None,
    ) -> Update:
        """A turn that lives; whoever else changes it now gives way."""
        fields: Document = {"doing": literal(doing), **_log(events)}
        if lease is not None:
            fields["lease_until"] = {"$add": [NOW, lease]}
        if usage is not None:
            fields["usage"] = literal(usage)
        fields["writes"] = {"$add": [{"$ifNull": ["$writes", 0]}, 1]}
        return Update(TURNS, _held(key, turn_id, fence), [{"$set": fields}])

    def cancel_turn(self, key: Key, turn_id: str) -> Take:
        """An open turn that is to be stopped; a queued one ends."""
        queued = {"$eq": ["$state", "queued"]}
        ended: Document = {
            "state": "cancelled",
            "reason": "stopped",
            "request": "",
            "ended_at": NOW,
        }
        ended |= {"tokens": 0, "cost": 0}
        change: Change = [
            {
                "$set": {
                    "cancel_requested": True,
                    **{name: {"$cond": [queued, new, f"${name}"]} for name, new in ended.items()},
                }
            }
        ]
        return Take(TURNS, mine(key, id=turn_id, state=any_of(OPEN)), change, TURN)

    def end_turn(self, key: Key, turn_id: str, fence: int, end: TurnEnd) -> Take:
        """A turn that ends."""
        how = {
            "state": str(end.state),
            "reason": end.reason,
            "usage": end.usage,
            "tokens": tokens_of(end.spent),
            "cost": cost_of(end.spent),
        }
        fields: Document = {name: literal(value) for name, value in how.items()}
        # The request was kept to start again from; what it says is in the thread.
        fields |= {"ended_at": NOW, "lease_until": literal(None), "request": literal("")}
        fields |= {"doing": literal(None), **_log(end.events)}
        return Take(TURNS, _held(key, turn_id, fence), [{"$set": fields}], TURN)

    def delete_turns_of_thread(self, key: Key, thread_id: str) -> Delete:
        """The turns of a thread."""
        return Delete(TURNS, mine(key, thread_id=thread_id), many=True)

    def put_event(self, key: Key, turn_id: str, event: EventRow) -> Update:
        """A row of a turn's log, if it is not there."""
        fields = {"last": event.last, "body": checked_text(event.body)}
        whose = mine(key, turn_id=turn_id, first=event.first)
        return Update(TURN_EVENTS, whose, {"$setOnInsert": fields}, upsert=True)

    def load_events(self, key: Key, turn_id: str, after: int, limit: int) -> Find:
        """The rows that hold events behind a number."""
        whose = mine(key, turn_id=turn_id, last={"$gt": after})
        return Find(TURN_EVENTS, whose, ("first", "last", "body"), limit, sort=(("first", 1),))

    def delete_events(self, key: Key, turn_ids: Sequence[str]) -> Delete:
        """The logs of turns."""
        return Delete(TURN_EVENTS, mine(key, turn_id=any_of(turn_ids)), many=True)


def _log(events: Sequence[EventRow]) -> Document:
    if not events:
        return {}
    # What is appended again does not turn it back.
    last = {"$max": ["$last_event", *[event.last for event in events]]}
    return {"last_event": last, "event_at": NOW, "logged": True}


def _held(key: Key, turn_id: str, fence: int) -> Document:
    return mine(key, id=turn_id, fence=fence, state="running")
