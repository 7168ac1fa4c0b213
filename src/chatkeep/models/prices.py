"""What models cost: a table that is shipped, and what the settings say instead.

Money is exact: decimals here, whole millionths of the currency (micros) where it is stored.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path

from chatkeep.models.calls import Tokens

SHIPPED_CURRENCY = "USD"
"""Of the prices that come with the package."""

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost.

    Attributes:
        input: Of the input.
        output: Of the output, reasoning among it.
        cached: Of input that the provider had in its cache; None: as other input.
    """

    input: Decimal
    output: Decimal
    cached: Decimal | None = None

    def of(self, tokens: Tokens) -> Decimal:
        """Return what these tokens cost, in the currency's unit."""
        cached = min(tokens.cached, tokens.input)
        rate = self.input if self.cached is None else self.cached
        fresh = (tokens.input - cached) * self.input
        return (fresh + cached * rate + tokens.output * self.output) / _MILLION


def micros(amount: Decimal) -> int:
    """Return an amount in millionths, rounded to the nearest."""
    return int((amount * _MILLION).to_integral_value(ROUND_HALF_UP))


def amount(micros: int) -> Decimal:
    """Return what so many millionths are."""
    return Decimal(micros) / _MILLION


class Prices:
    """The prices of this server, all in one currency.

    Args:
        own: What the settings say, by `provider/name`, or `provider/*` for all of a provider's.
        currency: The currency. The shipped prices are dollars and are left out of any other, but
            for what costs nothing.
    """

    def __init__(
        self, own: Mapping[str, Price] | None = None, currency: str = SHIPPED_CURRENCY
    ) -> None:
        self.currency = currency
        known = currency == SHIPPED_CURRENCY
        shipped = {
            name: price
            for name, price in _shipped().items()
            if known or not (price.input or price.output)
        }
        own = own or {}
        self._prices = {**shipped, **own}
        self._by_model: dict[str, Price] = {}
        for name, price in [*own.items(), *shipped.items()]:
            model = name.partition("/")[2]
            if model and model != "*":
                self._by_model.setdefault(model, price)

    def find(self, model: str, provider: str | None = None) -> Price | None:
        """Return the price of a model as its provider calls it; None when nobody knows it.

        A router's models have their makers' prices. Without a provider, that of the first one
        with a model of this name.
        """
        if provider is not None:
            for name in (f"{provider}/{model}", model, f"{provider}/*"):
                if (price := self._prices.get(name)) is not None:
                    return price
            return None
        return self._prices.get(model) or self._by_model.get(model)


@cache
def _shipped() -> dict[str, Price]:
    text = Path(__file__).with_name("prices.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text, parse_float=Decimal)
    return {
        name: Price(**{kind: Decimal(value) for kind, value in row.items()})
        for name, row in table.items()
    }
