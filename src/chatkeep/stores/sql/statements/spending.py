"""What turns take: the sums of users and tenants, and what budgets are compared with."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    bindparam,
    case,
    cast,
    func,
    select,
    update,
)
from sqlalchemy.sql.dml import Insert, ReturningUpdate

from chatkeep.ports.spending import COUNTED
from chatkeep.stores.sql.schema import spending, turns
from chatkeep.stores.sql.statements.common import Dialect, across_users, mine, of_mine, p

type _Sums = Select[int, int, int, int, int, int]

_OPEN = turns.c.ended_at.is_(None)
_TOKENS = spending.c.input_tokens + spending.c.output_tokens


class Spending:
    """What is asked and stored for a user."""

    def define_spending(self, dialect: Dialect) -> None:
        """Build them."""
        given = {name: bindparam(f"p_{name}", type_=spending.c[name].type) for name in COUNTED}
        fresh = dialect.insert(spending).values(
            **of_mine(day="day", model="model", currency="currency"), **given
        )
        self.put_spending: Insert = fresh.on_conflict_do_update(
            index_elements=list(spending.primary_key),
            set_={name: spending.c[name] + fresh.excluded[name] for name in COUNTED},
        )
        self.spent_by_user: _Sums = _taken(mine(spending), mine(turns))
        self.spent_by_thread: _Sums = _taken_in_thread()
        self.reserve_turn: ReturningUpdate[Any] = (
            update(turns)
            .where(mine(turns, id="turn"), turns.c.fence == p("fence"), turns.c.state == "running")
            .values(tokens=p("tokens"), cost=p("cost"))
            .returning(*turns.c, dialect.now.label("now"))
        )


class SpendingAcross:
    """What is asked for a whole tenant, and by operators."""

    def __init__(self) -> None:
        # The tenant's own rows have no owner; what its users' turns put aside are many rows.
        self.spent_by_tenant: _Sums = _taken(mine(spending), turns.c.tenant == p("tenant"), _OPEN)
        since = spending.c.day >= p("since")
        of_tenant = spending.c.tenant == p("tenant")
        self.load_spending: Select[Any] = _sums(since, spending.c.owner == "")
        self.load_spending_of_tenant: Select[Any] = _sums(since, of_tenant)
        self.load_spending_of_user: Select[Any] = _sums(since, mine(spending))
        across_users(self)


def _taken(of_ended: ColumnElement[bool], *of_open: ColumnElement[bool]) -> _Sums:
    """Return the sums of a scope: `p_day` and from `p_month` on; without the turn `p_turn`."""
    today = spending.c.day == p("day")
    in_currency = spending.c.currency == p("currency")
    still_open = [*of_open, _OPEN, turns.c.id != p("turn")]
    # One statement, so that a turn that ends meanwhile is in one of the two.
    return select(
        _sum(_TOKENS, today).label("day_tokens"),
        _sum(spending.c.cost, and_(today, in_currency)).label("day_cost"),
        _sum(_TOKENS).label("month_tokens"),
        _sum(spending.c.cost, in_currency).label("month_cost"),
        select(_sum(turns.c.tokens)).where(*still_open).scalar_subquery().label("open_tokens"),
        select(_sum(turns.c.cost)).where(*still_open).scalar_subquery().label("open_cost"),
    ).where(of_ended, spending.c.day >= p("month"))


def _taken_in_thread() -> _Sums:
    """Return the same of a thread, whose turns say it themselves."""
    ended, today = turns.c.ended_at.is_not(None), turns.c.created_at >= p("day_at")
    return select(
        _sum(turns.c.tokens, and_(ended, today)).label("day_tokens"),
        _sum(turns.c.cost, and_(ended, today)).label("day_cost"),
        _sum(turns.c.tokens, ended).label("month_tokens"),
        _sum(turns.c.cost, ended).label("month_cost"),
        _sum(turns.c.tokens, _OPEN).label("open_tokens"),
        _sum(turns.c.cost, _OPEN).label("open_cost"),
    ).where(
        mine(turns, thread_id="thread"),
        turns.c.created_at >= p("month_at"),
        turns.c.id != p("turn"),
    )


def _sums(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Return the sums by whose they are and by model."""
    names = [spending.c[name] for name in ("tenant", "owner", "model", "currency")]
    return (
        select(*names, *[_sum(spending.c[name]).label(name) for name in COUNTED])
        .where(*conditions)
        .group_by(*names)
        .order_by(*names)
        .limit(p("limit"))
    )


def _sum(
    column: ColumnElement[Any], condition: ColumnElement[bool] | None = None
) -> ColumnElement[int]:
    counted = column if condition is None else case((condition, column), else_=0)
    # A sum of whole numbers is a decimal in PostgreSQL.
    return cast(func.coalesce(func.sum(counted), 0), BigInteger)
