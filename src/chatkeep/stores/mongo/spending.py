"""What turns take, and whether there may be more."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby

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
from chatkeep.stores.mongo.asking import key_of
from chatkeep.stores.mongo.commands import Commands
from chatkeep.stores.mongo.statements import Document, Key
from chatkeep.stores.mongo.turn_documents import turn_of
from chatkeep.stores.mongo.writing import Writing

_PAGE = 1_000


class Spending(Writing):
    """Sums, reservations and budgets."""

    async def reserve_turn(
        self,
        turn_id: str,
        fence: int,
        reserves: Reservation,
        used: tuple[int, int],
        context: RequestContext,
    ) -> Turn:
        """Put another amount aside for a turn that runs."""
        key = key_of(context)
        reserve = self._statements.reserve_turn(key, turn_id, fence, reserves)

        async def work(commands: Commands) -> Turn | None:
            if (row := await commands.take(reserve)) is None:
                return None
            turn, moment = turn_of(row), moment_of(row["reserved_at"])
            await self._refuse_beyond(commands, key, turn, reserves, moment, used)
            return turn

        turn = await self._db.write((*key, turn_id), work)
        return turn or await self._raise_lost(key, turn_id)

    async def load_spending(
        self, since: int, tenant: str | None, user: str | None, limit: int
    ) -> Sequence[SpendingSum]:
        """Return what was spent since a day, by model."""
        found: list[SpendingSum] = []
        whole: list[Document] = []
        after: Document | None = None
        more = True
        while more and len(found) < limit:
            asked = self._across.load_spending(tenant, user, since, after, _PAGE)
            page = await self._db.find(asked)
            more = len(page) == _PAGE
            rows = [*whole, *page]
            # The last owner of a page may go on on the next one.
            last = _owner(rows[-1]) if more else None
            whole = [row for row in rows if _owner(row) == last]
            for _, own in groupby((row for row in rows if _owner(row) != last), key=_owner):
                found += _sums(own)
            after = page[-1] if page else None
        return found[:limit]

    async def _refuse_beyond(
        self,
        commands: Commands,
        key: Key,
        turn: Turn,
        reserves: Reservation,
        moment: datetime,
        used: tuple[int, int] = (0, 0),
    ) -> None:
        """Return when a turn that is stored may begin, or go on.

        Whoever begins a turn of the same user changes the owner's document, and gives way.

        Raises:
            BudgetExceededError: It may not.
        """
        taken = {
            scope: await self._taken(commands, scope, key, turn, reserves.currency, moment)
            for scope in scopes_of(reserves.budgets)
        }
        refuse_beyond(reserves.budgets, taken, moment, used)

    async def _taken(
        self,
        commands: Commands,
        scope: Scope,
        key: Key,
        turn: Turn,
        currency: str,
        moment: datetime,
    ) -> Taken:
        say, today, month = self._statements, day_of(moment), first_day(moment)
        match scope:
            case Scope.THREAD:
                since = milliseconds(moment_of_day(month))
                turns = await commands.find(say.turns_since(key, turn.thread_id, since))
                return _taken_by_turns([row for row in turns if row["id"] != turn.id], moment)
            case Scope.USER:
                opened = await commands.find(say.open_turns(key))
            case Scope.TENANT:
                key = Key(key.tenant, "")
                # All of a tenant's users who begin a turn change this document, and give way.
                await commands.update(say.pass_gate(key))
                opened = await commands.find(self._across.open_turns_of_tenant(key.tenant))
        ended = await commands.find(say.own_spending(key, month))
        others = [row for row in opened if row["id"] != turn.id]
        return _taken_by_sums(ended, others, today, currency)

    async def _add_spending(
        self, commands: Commands, key: Key, turn: Turn, spent: Sequence[Spent]
    ) -> None:
        """Add what a turn took to the sums of its tenant and user."""
        if not spent or turn.ended_at is None:
            return
        say, day = self._statements, day_of(turn.ended_at)
        ordered = sorted(spent, key=lambda each: (each.model, each.currency))
        whose = (Key(key.tenant, ""), key)
        await commands.update_each(
            [say.add_spending(each, day, some) for each in whose for some in ordered]
        )


def _taken_by_sums(
    ended: Sequence[Document], opened: Sequence[Document], today: int, currency: str
) -> Taken:
    paid = [row for row in ended if row["currency"] == currency]
    return Taken(
        day_tokens=sum(_tokens(row) for row in ended if row["day"] == today),
        day_cost=sum(int(row["cost"]) for row in paid if row["day"] == today),
        month_tokens=sum(map(_tokens, ended)),
        month_cost=sum(int(row["cost"]) for row in paid),
        open_tokens=_total(opened, "tokens"),
        open_cost=_total(opened, "cost"),
    )


def _taken_by_turns(turns: Sequence[Document], moment: datetime) -> Taken:
    today = milliseconds(moment_of_day(day_of(moment)))
    ended = [row for row in turns if row["ended_at"] is not None]
    opened = [row for row in turns if row["ended_at"] is None]
    begun_today = [row for row in ended if row["created_at"] >= today]
    return Taken(
        day_tokens=_total(begun_today, "tokens"),
        day_cost=_total(begun_today, "cost"),
        month_tokens=_total(ended, "tokens"),
        month_cost=_total(ended, "cost"),
        open_tokens=_total(opened, "tokens"),
        open_cost=_total(opened, "cost"),
    )


def _total(turns: Iterable[Document], name: str) -> int:
    # An earlier version has left it out.
    return sum(int(row.get(name) or 0) for row in turns)


def _tokens(row: Document) -> int:
    return int(row["input_tokens"]) + int(row["output_tokens"])


def _owner(row: Document) -> tuple[str, str]:
    return row["tenant"], row["owner"]


def _sums(rows: Iterable[Document]) -> list[SpendingSum]:
    """Return the sums of one owner's rows, by model."""
    by_model: dict[tuple[str, str], list[Document]] = {}
    for row in rows:
        tenant, owner = _owner(row)
        by_model.setdefault((row["model"], row["currency"]), []).append(row)
    found = []
    for (model, currency), days in sorted(by_model.items()):
        counts = {name: sum(int(row[name]) for row in days) for name in COUNTED}
        found.append(SpendingSum(tenant, owner or None, Spent(model, currency, **counts)))
    return found
