"""What turns take: tokens and money, what is put aside for them, and how much there may be.

Money is whole millionths (micros) of a currency. Days are UTC's, by the database's clock, counted
from 1970-01-01.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

_SECONDS = 86_400


class Scope(StrEnum):
    """Whose spending a budget limits."""

    USER = "user"
    THREAD = "thread"
    TENANT = "tenant"


class Period(StrEnum):
    """How long a budget is for."""

    DAY = "day"
    MONTH = "month"


class Unit(StrEnum):
    """What a budget counts."""

    TOKENS = "tokens"
    COST = "cost"


@dataclass(frozen=True, slots=True)
class Budget:
    """How much there may be: a turn begins, or goes on, while less has been taken.

    Attributes:
        scope: Whose.
        period: For how long.
        unit: Of what.
        limit: Tokens, or micros.
    """

    scope: Scope
    period: Period
    unit: Unit
    limit: int

    @property
    def name(self) -> str:
        """The name of its setting, as `user_day_tokens`."""
        return f"{self.scope}_{self.period}_{self.unit}"


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is put aside for a turn, which counts as taken until the turn ends.

    Attributes:
        tokens: Tokens that it may take.
        cost: Micros that they may cost.
        currency: What money is counted in.
        budgets: What must not be used up yet.
    """

    tokens: int
    cost: int
    currency: str
    budgets: Sequence[Budget] = ()


@dataclass(frozen=True, slots=True)
class Spent:
    """What the calls of one model took.

    Attributes:
        model: The model.
        currency: What its cost is in.
        requests: How many calls reached the provider.
        input_tokens: All of the input.
        cached_tokens: Those of the input that the provider had in its cache.
        output_tokens: All of the output.
        reasoning_tokens: Those of the output that the user does not see.
        cost: Micros, of the calls whose price is known.
        unpriced: How many calls had no known price.
    """

    model: str
    currency: str
    requests: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: int = 0
    unpriced: int = 0


COUNTED = (
    "requests",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost",
    "unpriced",
)
"""The fields of `Spent` that are sums."""


@dataclass(frozen=True, slots=True)
class SpendingSum:
    """What a tenant (no user), or a user of it, has taken of a model since a day."""

    tenant: str
    user: str | None
    spent: Spent


def tokens_of(spent: Sequence[Spent]) -> int:
    """Return how many tokens these are together."""
    return sum(each.input_tokens + each.output_tokens for each in spent)


def cost_of(spent: Sequence[Spent]) -> int:
    """Return how many micros these are together."""
    return sum(each.cost for each in spent)


def day_of(moment: datetime) -> int:
    """Return the day of a moment."""
    return int(moment.timestamp() // _SECONDS)


def moment_of_day(day: int) -> datetime:
    """Return when a day begins."""
    return datetime.fromtimestamp(day * _SECONDS, UTC)


def first_day(moment: datetime) -> int:
    """Return the first day of the month of a moment."""
    return day_of(moment.astimezone(UTC).replace(day=1))


def renewed_at(period: Period, moment: datetime) -> datetime:
    """Return when a budget that holds at a moment begins anew."""
    if period is Period.DAY:
        return moment_of_day(day_of(moment) + 1)
    beyond = moment_of_day(first_day(moment)) + timedelta(days=32)
    return moment_of_day(first_day(beyond))
