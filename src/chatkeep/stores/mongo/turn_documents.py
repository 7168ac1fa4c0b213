"""What turns are as documents, and back."""

from datetime import datetime

from chatkeep.context import Principal
from chatkeep.ports.records import Turn, TurnState
from chatkeep.stores.encoding import moment_of
from chatkeep.stores.mongo.statements import Document

_SCHEME = "turn"


def milliseconds_of(seconds: float) -> int:
    """Return a lease as the database counts it."""
    return round(seconds * 1000)


def turn_of(row: Document) -> Turn:
    """Return a turn as it is stored."""
    return Turn(
        id=row["id"],
        principal=Principal(row["tenant"], row["owner"], _SCHEME),
        thread_id=row["thread_id"],
        state=TurnState(row["state"]),
        reason=row["reason"],
        request=row["request"],
        key=row["key"],
        digest=row["digest"],
        holder=row["holder"],
        fence=row["fence"],
        lease_until=_moment(row["lease_until"]),
        cancel_requested=row["cancel_requested"],
        touched=row["touched"],
        last_event=row["last_event"],
        # An earlier version has left out what it did not know.
        event_at=_moment(row.get("event_at")),
        doing=row.get("doing"),
        usage=row["usage"],
        created_at=moment_of(row["created_at"]),
        ended_at=_moment(row["ended_at"]),
        tokens=int(row.get("tokens") or 0),
        cost=int(row.get("cost") or 0),
    )


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else moment_of(milliseconds)
