"""Whether budgets are used up, for every backend."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chatkeep.errors import BudgetExceededError
from chatkeep.ports.spending import Budget, Period, Scope, Unit, renewed_at

_WHOSE = {
    Scope.USER: "you",
    Scope.THREAD: "this conversation",
    Scope.TENANT: "your organisation",
}


@dataclass(frozen=True, slots=True)
class Taken:
    """What has been taken in a scope, and what is put aside for other turns that are open.

    Money is in micros.
    """

    day_tokens: int = 0
    day_cost: int = 0
    month_tokens: int = 0
    month_cost: int = 0
    open_tokens: int = 0
    open_cost: int = 0


def scopes_of(budgets: Sequence[Budget]) -> list[Scope]:
    """Return whose spending must be looked at; the tenant's last, as others wait for it."""
    return [scope for scope in Scope if any(budget.scope is scope for budget in budgets)]


def refuse_beyond(
    budgets: Sequence[Budget], taken: dict[Scope, Taken], moment: datetime, own: tuple[int, int]
) -> None:
    """Return when none of the budgets is used up.

    Args:
        budgets: The budgets.
        taken: By others' turns, and by ended ones.
        moment: Now, by the database's clock.
        own: Tokens and micros that the turn itself has taken.

    Raises:
        BudgetExceededError: One is.
    """
    for budget in budgets:
        of_scope = taken[budget.scope]
        index = 0 if budget.unit is Unit.TOKENS else 1
        if budget.period is Period.DAY:
            spent = (of_scope.day_tokens, of_scope.day_cost)[index] + own[index]
        else:
            spent = (of_scope.month_tokens, of_scope.month_cost)[index] + own[index]
        held = (of_scope.open_tokens, of_scope.open_cost)[index]
        if spent + held >= budget.limit:
            raise _exceeded(budget, moment, held=spent < budget.limit)


def _exceeded(budget: Budget, moment: datetime, *, held: bool) -> BudgetExceededError:
    renewed = renewed_at(budget.period, moment)
    rest = "What is left of it for this {} is put aside for answers that are running"
    words = rest if held else "It is used up for this {}"
    return BudgetExceededError(
        f"There is a budget for {_WHOSE[budget.scope]}. {words.format(budget.period)}; "
        f"it is renewed at {renewed:%Y-%m-%d %H:%M} UTC.",
        budget=budget.name,
        renewed_at=renewed,
        held=held,
    )
