"""Turns and their events."""

from typing import Any

from sqlalchemy import (
    Select,
    Update,
    bindparam,
    case,
    delete,
    exists,
    func,
    null,
    select,
    update,
)
from sqlalchemy.sql.dml import Delete, Insert, ReturningUpdate

from chatkeep.stores.sql.schema import turn_events, turns
from chatkeep.stores.sql.statements.common import Dialect, across_users, mine, of_mine, p, same

_OPEN = turns.c.ended_at.is_(None)
_RUNNING = turns.c.state == "running"
_NUMBER = turns.c.last_event.type


class Turns:
    """Work on answers."""

    def define_turns(self, dialect: Dialect) -> None:
        """Build them."""
        self._asking()
        self._beginning(dialect)
        self._working(dialect)
        self._events(dialect)

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
        )
        latest = select(func.max(turns.c.created_at)).where(mine(turns, thread_id="thread"))
        before = latest.scalar_subquery()
        # No two turns of a thread have the same moment, so that it gives their order.
        moment = case((before >= dialect.now, before + 1), else_=dialect.now)
        self.insert_turn: Insert = dialect.insert(turns).values(  # type: ignore[assignment]
            **given,
            fence=1,
            # Of a queued one there is no lease: the sum with NULL is NULL.
            lease_until=dialect.now + bindparam("p_lease", type_=_NUMBER),
            cancel_requested=False,
            touched=False,
            last_event=0,
            created_at=moment,
        )

    def _working(self, dialect: Dialect) -> None:
        own = mine(turns, id="turn")
        held = own & (turns.c.fence == p("fence")) & _RUNNING
        until = dialect.now + bindparam("p_lease", type_=_NUMBER)
        self.renew_turn: ReturningUpdate[Any] = (
            update(turns).where(held).values(lease_until=until).returning(*turns.c)
        )
        self.touch_turn: Update = update(turns).where(held).values(touched=True)
        self.advance_turn: Update = (
            update(turns)
            .where(held)
            .values(
                # What is appended again does not turn it back.
                last_event=case(
                    (turns.c.last_event < p("last"), bindparam("p_last", type_=_NUMBER)),
                    else_=turns.c.last_event,
                )
            )
        )
        queued = turns.c.state == "queued"
        self.cancel_turn: Update = (
            update(turns)
            .where(own, _OPEN)
            .values(
                cancel_requested=True,
                state=case((queued, "cancelled"), else_=turns.c.state),
                reason=case((queued, "stopped"), else_=turns.c.reason),
                request=case((queued, ""), else_=turns.c.request),
                ended_at=case((queued, dialect.now), else_=null()),
            )
        )
        # The request was kept to start again from; what it says is in the thread.
        self.end_turn: Update = (
            update(turns)
            .where(held)
            .values(
                state=p("state"),
                reason=p("reason"),
                usage=p("usage"),
                ended_at=dialect.now,
                lease_until=null(),
                request="",
            )
        )

    def _events(self, dialect: Dialect) -> None:
        in_turn = mine(turn_events, turn_id="turn")
        self.put_event: Insert = (
            dialect.insert(turn_events)
            .values(**of_mine(turn_id="turn", first="first", last="last", body="body"))
            .on_conflict_do_nothing()
        )
        self.load_events: Select[Any] = (
            select(turn_events.c.first, turn_events.c.last, turn_events.c.body)
            .where(in_turn, turn_events.c.last > p("after"))
            .order_by(turn_events.c.first)
            .limit(p("limit"))
        )


class OpenTurns:
    """What is asked of turns across users."""

    def __init__(self, dialect: Dialect) -> None:
        self._taking_over(dialect)
        self._looking()
        across_users(self)

    def _taking_over(self, dialect: Dialect) -> None:
        self.expired_turn: Select[Any] = (
            select(turns)
            .where(_OPEN, _RUNNING, turns.c.lease_until < dialect.now)
            .order_by(turns.c.lease_until)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        other = turns.alias("other")
        before = exists().where(
            same(other, turns, thread_id="thread_id"),
            other.c.ended_at.is_(None),
            (other.c.state == "running") | (other.c.created_at < turns.c.created_at),
        )
        self.queued_turn: Select[Any] = (
            select(turns)
            .where(_OPEN, turns.c.state == "queued", ~before)
            .order_by(turns.c.created_at, turns.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        self.take_turn: ReturningUpdate[Any] = (
            update(turns)
            .where(
                turns.c.tenant == p("tenant"),
                turns.c.owner == p("owner"),
                turns.c.id == p("turn"),
                turns.c.fence == p("fence"),
                _OPEN,
            )
            .values(
                state="running",
                holder=p("holder"),
                fence=turns.c.fence + 1,
                lease_until=dialect.now + bindparam("p_lease", type_=_NUMBER),
            )
            .returning(*turns.c)
        )

    def _looking(self) -> None:
        self.load_turns: Select[Any] = (
            select(turns)
            .where(turns.c.state.in_(bindparam("p_states", expanding=True)))
            .order_by(turns.c.created_at, turns.c.id)
            .limit(p("limit"))
        )
        ended = turn_events.join(turns, same(turn_events, turns, turn_id="id"))
        self.ended_events: Select[Any] = (
            select(turn_events.c.tenant, turn_events.c.owner, turn_events.c.turn_id)
            .distinct()
            .select_from(ended)
            .where(turns.c.ended_at < p("before"))
            .limit(p("limit"))
        )
        self.delete_events: Delete = delete(turn_events).where(
            turn_events.c.tenant == p("tenant"),
            turn_events.c.owner == p("owner"),
            turn_events.c.turn_id == p("turn_id"),
        )
