"""A turn as operators see it: whose it is, how old, and what it waits for. No text of anybody."""

from datetime import datetime
from typing import Any

from chatkeep.ports import Turn


def turn_report(turn: Turn, now: datetime) -> dict[str, Any]:
    """Return what operators may know of a turn; times in ISO 8601, ages in seconds."""
    return {
        "id": turn.id,
        "tenant": turn.principal.tenant,
        "user": turn.principal.user,
        "thread_id": turn.thread_id,
        "state": str(turn.state),
        "reason": turn.reason,
        "doing": turn.doing,
        "holder": turn.holder,
        "takeovers": turn.fence - 1,
        "created_at": turn.created_at.isoformat(),
        "age": _seconds(turn.created_at, now),
        "last_event": turn.last_event,
        "last_event_at": _iso(turn.event_at),
        "idle": _seconds(turn.event_at or turn.created_at, now),
        "lease_until": _iso(turn.lease_until),
        "cancel_requested": turn.cancel_requested,
        "ended_at": _iso(turn.ended_at),
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _seconds(since: datetime, now: datetime) -> float:
    return round((now - since).total_seconds(), 1)
