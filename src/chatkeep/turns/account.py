"""What a turn may take: what is put aside for it, and more when that does not last."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatkeep.models.calls import Tokens
from chatkeep.models.prices import Price, micros
from chatkeep.ports import Budget, Reservation


@dataclass(frozen=True, slots=True)
class Account:
    """The terms of one turn.

    Attributes:
        budgets: What must not be used up.
        currency: What money is counted in.
        price: What the model costs that is expected to answer.
        answer: How many tokens one answer of it can have.
    """

    budgets: Sequence[Budget]
    currency: str
    price: Price | None
    answer: int

    def reserving(self, input_tokens: int, used: tuple[int, int] = (0, 0)) -> Reservation:
        """Return what is to be put aside: what was used, and one more call of the model."""
        tokens = Tokens(input=input_tokens, output=self.answer)
        cost = micros(self.price.of(tokens)) if self.price else 0
        total = used[0] + input_tokens + self.answer
        return Reservation(total, used[1] + cost, self.currency, self.budgets)
