"""What is asked of turns across users: taking over, keeping, stopping, listing, pruning."""

from typing import Any

from sqlalchemy import (
    Delete,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.sql.dml import Insert, ReturningUpdate

from chatkeep.ports.records import TurnState
from chatkeep.stores.sql.schema import turn_events, turns
from chatkeep.stores.sql.statements.common import Dialect, across_users, mine, p, same
from chatkeep.stores.sql.statements.turns import advance, put_event

_OPEN = turns.c.ended_at.is_(None)
_RUNNING = turns.c.state == "running"
_NUMBER = turns.c.last_event.type

HELD_SIZES = (1, 16, 128)
"""For how many turns one statement asks: few sizes, so that few statements are prepared."""


class OpenTurns:
    """What is asked of turns across users."""

    def __init__(self, dialect: Dialect) -> None:
        self._taking_over(dialect)
        self._keeping(dialect)
        self._looking()
        self._pruning()
        across_users(self)

    def _taking_over(self, dialect: Dialect) -> None:
        expired = and_(_RUNNING, turns.c.lease_until < dialect.now)
        self.expired_turn: Select[Any] = (
            select(turns)
            .where(_OPEN, expired)
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
        queued = and_(turns.c.state == "queued", ~before)
        self.any_turn: Select[Any] = select(turns.c.id).where(_OPEN, or_(expired, queued)).limit(1)
        self.queued_turn: Select[Any] = (
            select(turns)
            .where(_OPEN, queued)
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
                doing=null(),
            )
            .returning(*turns.c)
        )

    def _keeping(self, dialect: Dialect) -> None:
        until = dialect.now + bindparam("p_lease", type_=_NUMBER)
        self.keep_turn: Update = (
            update(turns)
            .where(mine(turns, id="turn"), turns.c.fence == p("fence"), _RUNNING)
            .values(
                # Without a new lease the sum is NULL.
                lease_until=func.coalesce(until, turns.c.lease_until),
                doing=p("doing"),
                usage=func.coalesce(bindparam("p_usage", type_=turns.c.usage.type), turns.c.usage),
                **advance(dialect),
            )
        )
        self.held_turns: dict[int, Select[Any]] = {n: _held(n) for n in HELD_SIZES}
        self.put_event: Insert = put_event(dialect)
        self.stopped_turns: Select[Any] = select(turns.c.id).where(
            turns.c.holder == p("holder"), turns.c.cancel_requested, _OPEN, _RUNNING
        )

    def _looking(self) -> None:
        # One walk through the index for each state: together they would have to be sorted.
        of_state = [
            select(turns)
            .where(turns.c.state == p(f"state_{n}"))
            .order_by(turns.c.created_at, turns.c.id)
            .limit(p("limit"))
            .subquery()
            for n in range(len(TurnState))
        ]
        every = union_all(*[select(each) for each in of_state]).subquery()
        self.load_turns: Select[Any] = (
            select(every).order_by(every.c.created_at, every.c.id).limit(p("limit"))
        )

    def _pruning(self) -> None:
        self.logged_turns: Select[Any] = (
            select(turns.c.tenant, turns.c.owner, turns.c.id)
            .where(
                # No parameters: exactly as in the index.
                ~turns.c.pruned,
                turns.c.last_event > literal_column("0"),
                turns.c.ended_at < p("before"),
            )
            .order_by(turns.c.ended_at)
            .limit(p("limit"))
            .with_for_update(skip_locked=True)
        )
        self.delete_events: Delete = delete(turn_events).where(mine(turn_events, turn_id="turn"))
        self.mark_pruned: Update = update(turns).where(mine(turns, id="turn")).values(pruned=true())


def _held(count: int) -> Select[Any]:
    # Not a list of triples, for which SQLite would read the whole table.
    these = [
        and_(
            turns.c.tenant == p(f"tenant_{n}"),
            turns.c.owner == p(f"owner_{n}"),
            turns.c.id == p(f"turn_{n}"),
        )
        for n in range(count)
    ]
    return select(turns.c.tenant, turns.c.owner, turns.c.id, turns.c.fence).where(
        or_(*these), _RUNNING
    )
