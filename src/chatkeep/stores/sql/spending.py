"""What turns take, and whether there may be more, on SQL."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy.sql.base import Executable

from chatkeep.context import RequestContext
from chatkeep.ports.records import Turn
from chatkeep.ports.spending import (
    COUNTED,
    Reservation,
    Scope,
    SpendingSum,
    Spent,
    day_of,
    first_day,
    moment_of_day,
)
from chatkeep.stores.budgeting import Taken, refuse_beyond, scopes_of
from chatkeep.stores.encoding import milliseconds, moment_of
from chatkeep.stores.sql.base import Parameters, found, key_of, params
from chatkeep.stores.sql.database import Connection, Database
from chatkeep.stores.sql.prepared import Row
from chatkeep.stores.sql.statements.spending import SpendingAcross
from chatkeep.stores.sql.tool_calls import SqlHolding
from chatkeep.stores.sql.turn_rows import turn_of

_NOTHING = dict.fromkeys(COUNTED, 0)


class SqlSpending(SqlHolding):
    """Sums, reservations and budgets."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._spending = SpendingAcross()

    async def reserve_turn(
        self,
        turn_id: str,
        fence: int,
        reserves: Reservation,
        used: tuple[int, int],
        context: RequestContext,
    ) -> Turn:
        """Put another amount aside for a turn that runs."""
        aside = {"tokens": reserves.tokens, "cost": reserves.cost}
        key = key_of(context, turn=turn_id, fence=fence, **aside)

        async def work(connection: Connection) -> Turn:
            row = await self._first(connection, self._sql.reserve_turn, key)
            if row is None:
                await self._raise_lost(connection, key)
            turn = turn_of(row)
            now = moment_of(row.now)
            await self._refuse_beyond(connection, key, turn, reserves, now, used)
            return turn

        return await self._db.write(work)

    async def load_spending(
        self, since: int, tenant: str | None, user: str | None, limit: int
    ) -> Sequence[SpendingSum]:
        """Return what was spent since a day, by model."""
        say = self._spending
        values = params({"since": since, "limit": limit, "tenant": tenant, "owner": user})
        if tenant is None:
            statement = say.load_spending
        else:
            statement = say.load_spending_of_tenant if user is None else say.load_spending_of_user
        return [_sum_of(row) for row in await self._db.fetch(statement, values)]

    async def _refuse_beyond(
        self,
        connection: Connection,
        key: Parameters,
        turn: Turn,
        reserves: Reservation,
        moment: datetime,
        used: tuple[int, int] = (0, 0),
    ) -> None:
        """Return when a turn that is stored may begin, or go on.

        Whoever begins a turn of the same user has waited for the owner's row.

        Raises:
            BudgetExceededError: It may not.
        """
        if not reserves.budgets:
            return
        month = first_day(moment)
        values = key | params(
            {
                "thread": turn.thread_id,
                "currency": reserves.currency,
                "day": day_of(moment),
                "month": month,
                "day_at": milliseconds(moment_of_day(day_of(moment))),
                "month_at": milliseconds(moment_of_day(month)),
            }
        )
        taken = {}
        for scope in scopes_of(reserves.budgets):
            taken[scope] = await self._taken(connection, scope, values)
        refuse_beyond(reserves.budgets, taken, moment, used)

    async def _taken(self, connection: Connection, scope: Scope, values: Parameters) -> Taken:
        statement: Executable
        match scope:
            case Scope.USER:
                statement = self._sql.spent_by_user
            case Scope.THREAD:
                statement = self._sql.spent_by_thread
            case Scope.TENANT:
                statement = self._spending.spent_by_tenant
                values = {**values, "p_owner": ""}
                # All of a tenant's users who begin a turn queue at this row until they have.
                gate = params({"day": 0, "model": "", "currency": "", **_NOTHING})
                await connection.execute(self._sql.put_spending, {**values, **gate})
        row = found(await self._first(connection, statement, values))
        return Taken(**{name: int(value) for name, value in row._asdict().items()})

    async def _add_spending(
        self, connection: Connection, key: Parameters, turn: Turn, spent: Sequence[Spent]
    ) -> None:
        """Add what a turn took to the sums of its tenant, then its user.

        In the one order in which rows are locked: two that end at once then cannot deadlock.
        """
        if not spent or turn.ended_at is None:
            return
        day = day_of(turn.ended_at)
        ordered = sorted(spent, key=lambda each: (each.model, each.currency))
        rows = [
            {**key, "p_owner": owner, **params({**asdict(each), "day": day})}
            for owner in ("", key["p_owner"])
            for each in ordered
        ]
        await connection.execute(self._sql.put_spending, rows)


def _sum_of(row: Row) -> SpendingSum:
    counts = {name: int(getattr(row, name)) for name in COUNTED}
    return SpendingSum(row.tenant, row.owner or None, Spent(row.model, row.currency, **counts))
