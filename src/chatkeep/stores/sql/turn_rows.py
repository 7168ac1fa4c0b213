"""What turns and their logs are in the tables, and back."""

from collections.abc import Sequence
from datetime import datetime

from chatkeep.context import Principal
from chatkeep.ports.records import EventRow, ToolCall, Turn, TurnState
from chatkeep.stores.encoding import moment_of
from chatkeep.stores.sql.base import Parameters, params
from chatkeep.stores.sql.prepared import Row

_SCHEME = "turn"


def whole_ms(seconds: float) -> int:
    """Return seconds as milliseconds."""
    return round(seconds * 1000)


def event_values(key: Parameters, rows: Sequence[EventRow]) -> list[Parameters]:
    """Return the parameters to append rows to a log with; `key` names the turn."""
    return [
        {**key, **params({"first": row.first, "last": row.last, "body": row.body})} for row in rows
    ]


def last_of(rows: Sequence[EventRow]) -> int | None:
    """Return the number of the last event; None if there is none."""
    return max((row.last for row in rows), default=None)


def turn_of(row: Row) -> Turn:
    """Return the turn of a row."""
    return Turn(
        id=row.id,
        principal=Principal(row.tenant, row.owner, _SCHEME),
        thread_id=row.thread_id,
        state=TurnState(row.state),
        reason=row.reason,
        request=row.request,
        key=row.key,
        digest=row.digest,
        holder=row.holder,
        fence=row.fence,
        lease_until=_moment(row.lease_until),
        cancel_requested=bool(row.cancel_requested),
        touched=bool(row.touched),
        last_event=row.last_event,
        event_at=_moment(row.event_at),
        doing=row.doing,
        usage=row.usage,
        created_at=moment_of(row.created_at),
        ended_at=_moment(row.ended_at),
        # The release before has not said.
        tokens=row.tokens or 0,
        cost=row.cost or 0,
    )


def tool_call_of(row: Row) -> ToolCall:
    """Return the tool call of a row."""
    return ToolCall(row.call_id, row.name, moment_of(row.started_at), _moment(row.ended_at))


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else moment_of(milliseconds)
