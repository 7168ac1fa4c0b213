"""What models cost."""

from decimal import Decimal
from pathlib import Path

import pytest

from chatkeep.configured import prices
from chatkeep.errors import SettingsError
from chatkeep.models.calls import Tokens
from chatkeep.models.prices import Price, Prices, amount, micros
from chatkeep.settings import load_settings

CHEAP = Price(Decimal("0.25"), Decimal(2), Decimal("0.025"))


def test_a_call_costs_what_its_tokens_do() -> None:
    """Cached input has its own rate; reasoning is a part of the output."""
    tokens = Tokens(input=1_000, cached=400, output=100, reasoning=80)
    assert CHEAP.of(tokens) == Decimal("0.00036")


def test_cached_input_costs_as_other_input_without_a_rate_of_its_own() -> None:
    """And more of it than there is input is not believed."""
    price = Price(Decimal(1), Decimal(1))
    assert price.of(Tokens(input=10, cached=4)) == price.of(Tokens(input=10))
    assert CHEAP.of(Tokens(input=10, cached=99)) == CHEAP.of(Tokens(input=10, cached=10))


@pytest.mark.parametrize(
    ("exact", "stored"), [("0.0000004", 0), ("0.0000005", 1), ("1.2345675", 1_234_568), ("0", 0)]
)
def test_money_is_stored_in_whole_millionths(exact: str, stored: int) -> None:
    """Rounded to the nearest one."""
    assert micros(Decimal(exact)) == stored
    assert amount(stored) == Decimal(stored) / 1_000_000


@pytest.mark.parametrize(
    ("provider", "model", "found"),
    [
        ("openai", "gpt-5-mini", CHEAP),
        ("openrouter", "openai/gpt-5-mini", CHEAP),
        (None, "gpt-5-mini", CHEAP),
        ("gemini", "gpt-5-mini", None),
        ("openai", "gpt-0", None),
        (None, "nobody's", None),
        ("ollama", "smollm2", Price(Decimal(0), Decimal(0))),
        ("compatible", "anything", None),
        (None, "tour", Price(Decimal(0), Decimal(0))),
    ],
)
def test_a_price_is_found_by_provider_and_model(
    provider: str | None, model: str, found: Price | None
) -> None:
    """By both, by a router's name for it, by the provider alone, or by the model alone."""
    assert Prices().find(model, provider) == found


def test_own_prices_go_before_the_shipped_ones(tmp_path: Path) -> None:
    """Those of the file; all else is as shipped."""
    (tmp_path / "chatkeep.toml").write_text(
        '[models.prices."openai/gpt-5-mini"]\ninput = 0.1\noutput = 0.3\n'
        '[models.prices."compatible/*"]\ninput = 0\ncached = 0\noutput = 0\n'
    )
    table = prices(load_settings(environ={}, directory=tmp_path))
    assert table.find("gpt-5-mini", "openai") == Price(Decimal("0.1"), Decimal("0.3"))
    assert table.find("gpt-5-mini") == table.find("gpt-5-mini", "openai")
    assert table.find("x", "compatible") == Price(Decimal(0), Decimal(0), Decimal(0))
    assert table.find("gpt-5", "openai") == Prices().find("gpt-5", "openai")


def test_another_currency_has_no_shipped_prices() -> None:
    """A dollar is no euro, but nothing is nothing."""
    environ = {
        "CHATKEEP_MODELS_CURRENCY": "EUR",
        "CHATKEEP_MODELS_PRICES": '{"openai/gpt-5": {"input": "1.10", "output": 9}}',
    }
    table = prices(load_settings(environ=environ, directory=Path("/nowhere")))
    assert table.currency == "EUR"
    assert table.find("gpt-5-mini", "openai") is None
    assert table.find("gpt-5", "openai") == Price(Decimal("1.10"), Decimal(9))
    assert table.find("embedded") == Price(Decimal(0), Decimal(0))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PRICES", "openai=1"),
        ("PRICES", '{"openai/x": {"input": -1, "output": 1}}'),
        ("PRICES", '{"openai/x": {"input": 1}}'),
        ("PRICES", '{"openai/x": {"input": 1, "output": "NaN"}}'),
        ("CURRENCY", "dollars"),
    ],
)
def test_wrong_prices_stop_the_start(name: str, value: str) -> None:
    """With the setting's name."""
    with pytest.raises(SettingsError, match=rf"models\.{name.lower()}"):
        load_settings(environ={f"CHATKEEP_MODELS_{name}": value}, directory=Path("/nowhere"))
