"""Turns, their events and tool calls."""

from typing import Any

from sqlalchemy import ColumnElement, Select, Update, bindparam, case, func, null, select, update
from sqlalchemy.sql.dml import Insert, ReturningInsert, ReturningUpdate

from chatkeep.stores.sql.schema import tool_calls, turn_events, turns
from chatkeep.stores.sql.statements.common import Dialect, mine, of_mine, p

_OPEN = turns.c.ended_at.is_(None)
_RUNNING = turns.c.state == "running"
_NUMBER = turns.c.last_event.type
_LONG_AGO = 1000
"""Milliseconds by which a lease that was given up is over."""


class Turns:
    """Work on answers."""

    def define_turns(self, dialect: Dialect) -> None:
        """Build them."""
        self._asking()
        self._beginning(dialect)
        self._working(dialect)
        self._ending(dialect)
        self._events(dialect)
        self._tool_calls(dialect)

    def _asking(self) -> None:
        own, in_thread = mine(turns, id="turn"), mine(turns, thread_id="thread")
        self.load_turn: Select[Any] = select(turns).where(own)
        self.turn_of_key: Select[Any] = select(turns).where(mine(turns, key="key"))
        self.open_turn: Select[Any] = (
            select(turns)
            .where(in_thread, _OPEN)
            .order_by(_RUNNING.desc(), turns.c.created_at)
            .limit(1)
        )
        self.thread_turns: Select[Any] = (
            select(turns)
            .where(in_thread, turns.c.created_at > p("after"))
            .order_by(turns.c.created_at)
            .limit(p("limit"))
        )
        self.newest_turn: Select[Any] = (
            select(turns).where(in_thread).order_by(turns.c.created_at.desc()).limit(1)
        )

    def _beginning(self, dialect: Dialect) -> None:
        given = of_mine(
            id="turn",
            thread_id="thread",
            state="state",
            request="request",
            key="key",
            digest="digest",
            holder="holder",
            tokens="tokens",
            cost="cost",
        )
        latest = select(func.max(turns.c.created_at)).where(mine(turns, thread_id="thread"))
        before = latest.scalar_subquery()
        # No two turns of a thread have the same moment, so that it gives their order.
        moment = case((before >= dialect.now, before + 1), else_=dialect.now)
        begun: Any = dialect.insert(turns).values(
            **given,
            fence=1,
            # Of a queued one there is no lease: the sum with NULL is NULL.
            lease_until=dialect.now + bindparam("p_lease", type_=_NUMBER),
            cancel_requested=False,
            touched=False,
            last_event=bindparam("p_last", type_=_NUMBER),
            event_at=case((bindparam("p_last", type_=_NUMBER) > 0, dialect.now), else_=null()),
            created_at=moment,
        )
        self.insert_turn: ReturningInsert[Any] = begun.returning(*turns.c)

    def _working(self, dialect: Dialect) -> None:
        held = _held()
        self.touch_turn: Update = update(turns).where(held).values(touched=True)
        self.release_turn: Update = (
            update(turns).where(held).values(lease_until=dialect.now - _LONG_AGO)
        )

    def _ending(self, dialect: Dialect) -> None:
        queued = turns.c.state == "queued"
        self.cancel_turn: Update = (
            update(turns)
            .where(mine(turns, id="turn"), _OPEN)
            .values(
                cancel_requested=True,
                state=case((queued, "cancelled"), else_=turns.c.state),
                reason=case((queued, "stopped"), else_=turns.c.reason),
                request=case((queued, ""), else_=turns.c.request),
                tokens=case((queued, 0), else_=turns.c.tokens),
                cost=case((queued, 0), else_=turns.c.cost),
                ended_at=case((queued, dialect.now), else_=null()),
            )
        )
        # The request was kept to start again from; what it says is in the thread.
        self.end_turn: ReturningUpdate[Any] = (
            update(turns)
            .where(_held())
            .values(
                state=p("state"),
                reason=p("reason"),
                usage=p("usage"),
                tokens=p("tokens"),
                cost=p("cost"),
                ended_at=dialect.now,
                lease_until=null(),
                doing=null(),
                request="",
                **advance(dialect),
            )
            .returning(*turns.c)
        )

    def _events(self, dialect: Dialect) -> None:
        in_turn = mine(turn_events, turn_id="turn")
        self.put_event: Insert = put_event(dialect)
        self.load_events: Select[Any] = (
            select(turn_events.c.first, turn_events.c.last, turn_events.c.body)
            .where(in_turn, turn_events.c.last > p("after"))
            .order_by(turn_events.c.first)
            .limit(p("limit"))
        )

    def _tool_calls(self, dialect: Dialect) -> None:
        in_turn = mine(tool_calls, turn_id="turn")
        same_id = in_turn & (tool_calls.c.call_id == p("call"))
        last = select(func.coalesce(func.max(tool_calls.c.seq), 0)).where(in_turn)
        self.newest_tool_call: Select[Any] = (
            select(tool_calls.c.fence, tool_calls.c.ended_at)
            .where(same_id)
            .order_by(tool_calls.c.seq.desc())
            .limit(1)
        )
        self.insert_tool_call: Insert = dialect.insert(tool_calls).values(  # type: ignore[assignment]
            **of_mine(turn_id="turn", call_id="call", name="name", fence="fence"),
            seq=last.scalar_subquery() + 1,
            started_at=dialect.now,
        )
        newest = select(func.max(tool_calls.c.seq)).where(same_id).scalar_subquery()
        self.end_tool_call: Update = (
            update(tool_calls)
            .where(in_turn, tool_calls.c.seq == newest, tool_calls.c.fence == p("fence"))
            .values(ended_at=func.coalesce(tool_calls.c.ended_at, dialect.now))
        )
        self.load_tool_calls: Select[Any] = (
            select(
                tool_calls.c.call_id,
                tool_calls.c.name,
                tool_calls.c.started_at,
                tool_calls.c.ended_at,
            )
            .where(in_turn)
            .order_by(tool_calls.c.seq)
        )


def advance(dialect: Dialect) -> dict[str, Any]:
    """Return the values of a turn to whose log events up to `p_last` come; None: no events."""
    last = bindparam("p_last", type_=_NUMBER)
    return {
        # What is appended again does not turn it back.
        "last_event": case((turns.c.last_event < last, last), else_=turns.c.last_event),
        "event_at": case((last.is_not(None), dialect.now), else_=turns.c.event_at),
    }


def put_event(dialect: Dialect) -> Insert:
    """Return the statement that appends a row to a log, if it is not there already."""
    put: Insert = (
        dialect.insert(turn_events)
        .values(**of_mine(turn_id="turn", first="first", last="last", body="body"))
        .on_conflict_do_nothing()
    )
    return put


def _held() -> ColumnElement[bool]:
    return mine(turns, id="turn") & (turns.c.fence == p("fence")) & _RUNNING
