"""What an answer took, of each model: counted as it goes on, kept as JSON with its turn."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from chatkeep.models.calls import Tokens
from chatkeep.models.prices import SHIPPED_CURRENCY, Price, micros
from chatkeep.ports import Spent

_MAX_FALLBACKS = 20
"""Told of one answer, at most."""


@dataclass(slots=True)
class _Took:
    """What the calls of one model took."""

    requests: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = Decimal(0)

    def json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "input_tokens": self.input_tokens,
            "cached_tokens": self.cached_tokens,
            "reasoning_tokens": self.reasoning_tokens,
            "output_tokens": self.output_tokens,
            "total_tokens": self.input_tokens + self.output_tokens,
            "cost": None if self.cost is None else _written(self.cost),
        }


class Usage:
    """What an answer took.

    Attributes:
        currency: What its cost is in.
        version: Grows with every change.
    """

    def __init__(self, currency: str = SHIPPED_CURRENCY) -> None:
        self.currency = currency
        self.version = 0
        self._models: dict[str, _Took] = {}
        self._fallbacks: list[dict[str, str]] = []
        self._cached = 0

    @classmethod
    def read(cls, text: str | None) -> "Usage":
        """Return what was kept of a turn; what another version has kept otherwise is nothing."""
        kept: Any = json.loads(text) if text else {}
        usage = cls(str(kept.get("currency", SHIPPED_CURRENCY)))
        for model, took in kept.get("models", {}).items():
            cost = took["cost"]
            counts = {name: int(took[name]) for name in _COUNTED}
            usage._models[model] = _Took(**counts, cost=None if cost is None else Decimal(cost))
        usage._fallbacks = list(kept.get("fallbacks", []))
        usage._cached = int(kept.get("cached", 0))
        return usage

    @property
    def tokens(self) -> int:
        """All tokens."""
        return sum(took.input_tokens + took.output_tokens for took in self._models.values())

    @property
    def micros(self) -> int:
        """The cost of what has a price, in millionths."""
        return sum(micros(took.cost) for took in self._models.values() if took.cost is not None)

    def add(self, model: str, tokens: Tokens, price: Price | None) -> None:
        """Count a call."""
        took = self._models.setdefault(model, _Took())
        took.requests += 1
        took.input_tokens += tokens.input
        took.cached_tokens += tokens.cached
        took.reasoning_tokens += tokens.reasoning
        took.output_tokens += tokens.output
        if price is None or took.cost is None:
            took.cost = None
        else:
            took.cost += price.of(tokens)
        self.version += 1

    def fell_back(self, model: str, to: str, why: str) -> None:
        """Note that another model was asked."""
        if len(self._fallbacks) < _MAX_FALLBACKS:
            self._fallbacks.append({"model": model, "to": to, "why": why})
            self.version += 1

    def replayed(self) -> None:
        """Note that a call was answered from the cache."""
        self._cached += 1
        self.version += 1

    def text(self) -> str | None:
        """Return all of it as JSON; None if there is nothing."""
        if not (self._models or self._fallbacks or self._cached):
            return None
        whole = _Took()
        for took in self._models.values():
            for name in _COUNTED:
                setattr(whole, name, getattr(whole, name) + getattr(took, name))
            whole.cost = None if None in (whole.cost, took.cost) else _sum(whole.cost, took.cost)
        models = {model: took.json() for model, took in self._models.items()}
        return json.dumps(
            {
                **whole.json(),
                "currency": self.currency,
                "models": models,
                "fallbacks": self._fallbacks,
                "cached": self._cached,
            }
        )

    def spent(self) -> Sequence[Spent]:
        """Return what the sums of user and tenant grow by."""
        return [
            Spent(
                model,
                self.currency,
                requests=took.requests,
                input_tokens=took.input_tokens,
                cached_tokens=took.cached_tokens,
                output_tokens=took.output_tokens,
                reasoning_tokens=took.reasoning_tokens,
                cost=0 if took.cost is None else micros(took.cost),
                unpriced=took.requests if took.cost is None else 0,
            )
            for model, took in self._models.items()
        ]


_COUNTED = ("requests", "input_tokens", "cached_tokens", "reasoning_tokens", "output_tokens")


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal:
    return (one or Decimal(0)) + (other or Decimal(0))


def _written(cost: Decimal) -> str:
    return f"{cost.normalize():f}"
