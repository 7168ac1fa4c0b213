"""What an answer took: counted, kept, and told by models."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from chatkit.types import NoticeEvent

from chatkeep.agent.observing import Observing, RunCalls, aside, listening
from chatkeep.agent.title import title_from_model
from chatkeep.agent.usage import Usage
from chatkeep.errors import BudgetExceededError
from chatkeep.models.calls import Tokens, observer
from chatkeep.models.catalog import ModelEntry
from chatkeep.models.prices import Price
from chatkeep.models.scripted import Text
from chatkeep.ports import Budget, Period, Scope, Unit
from chatkeep.ports.spending import day_of, first_day, moment_of_day, renewed_at
from chatkeep.stores.budgeting import Taken, refuse_beyond, scopes_of
from chatkeep.testing.store_samples import question
from support.telling import Telling

CALL = Tokens(input=3, cached=1, output=2, reasoning=1)
PRICE = Price(Decimal("0.1"), Decimal(1))
"""A call costs 2.3 millionths."""


def of(price: Price | None = PRICE, *models: str) -> Usage:
    """Return what one call of each model took."""
    usage = Usage()
    for model in models or ("gpt",):
        usage.add(model, CALL, price)
    return usage


def kept(usage: Usage) -> dict[str, Any]:
    """Return what is stored."""
    found: dict[str, Any] = json.loads(usage.text() or "{}")
    return found


def test_nothing_is_nothing() -> None:
    """No call, no text."""
    assert Usage().text() is None
    assert Usage().spent() == []
    assert (Usage().tokens, Usage().micros) == (0, 0)


def test_calls_are_added_up_exactly() -> None:
    """Fractions of a millionth too, until money is stored."""
    usage = of(PRICE, "gpt", "gpt", "small")
    assert kept(usage)["cost"] == "0.0000069"
    assert kept(usage)["models"]["gpt"]["cost"] == "0.0000046"
    assert [(each.model, each.requests, each.cost) for each in usage.spent()] == [
        ("gpt", 2, 5),
        ("small", 1, 2),
    ]
    assert (usage.tokens, usage.micros) == (15, 7)


def test_an_unknown_price_makes_the_cost_unknown() -> None:
    """Of the whole; that of other models, and what is stored of them, is known."""
    usage = of(None)
    usage.add("small", CALL, PRICE)
    assert kept(usage)["cost"] is None
    assert kept(usage)["models"]["gpt"]["cost"] is None
    assert kept(usage)["models"]["small"]["cost"] == "0.0000023"
    assert [(each.cost, each.unpriced) for each in usage.spent()] == [(0, 1), (2, 0)]


def test_what_was_kept_is_gone_on_with() -> None:
    """By whoever takes a turn over; nothing is lost on the way."""
    usage = of(None)
    usage.add("small", CALL, PRICE)
    usage.fell_back("gpt", "small", "timeout")
    usage.replayed()
    usage.currency = "EUR"
    again = Usage.read(usage.text())
    assert again.text() == usage.text()
    assert again.spent() == usage.spent()
    assert again.currency == "EUR"


@pytest.mark.parametrize(
    "text", [None, '{"requests": 1, "input_tokens": 2, "output_tokens": 3, "total_tokens": 5}']
)
def test_what_an_earlier_version_kept_can_be_read(text: str | None) -> None:
    """It does not say of which model, and is not counted again."""
    assert Usage.read(text).text() is None


def test_fallbacks_are_told_up_to_a_limit() -> None:
    """A turn that falls back without end does not grow without end."""
    usage = of()
    for n in range(100):
        usage.fell_back("gpt", f"{n}", "rate limit")
    assert len(kept(usage)["fallbacks"]) == 20


class Listener:
    """An observer with what it heard."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.observing = Observing(self.usage, lambda _: PRICE)


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Who listens while a test runs."""
    listener = Listener()
    with listening(listener.observing):
        yield listener


async def test_a_title_is_counted_and_says_nothing_of_the_answer(listener: Listener) -> None:
    """Its task begins while somebody listens."""
    model = Telling(lambda _: [Text("A title")], early="length")
    entry = ModelEntry("m", "M", "", model)
    task = asyncio.create_task(title_from_model(entry, question("msg_1")))
    assert await task == "A title"
    assert listener.usage.tokens == 150
    assert listener.observing.early is None
    with aside():
        told = observer.get()
        assert told is not None
        await told.notify("info", "not shown")
    assert listener.observing.notices() == []


async def test_notices_wait_up_to_a_limit(listener: Listener) -> None:
    """Each is shown once."""
    for n in range(100):
        await listener.observing.notify("info", f"{n}")
    assert [notice.message for notice in listener.observing.notices()] == [
        f"{n}" for n in range(20)
    ]
    assert listener.observing.notices() == []


async def test_a_run_passes_on_what_it_hears(listener: Listener) -> None:
    """Notices at once; how the last step ended, at the end."""
    shown: list[NoticeEvent] = []

    async def show(event: NoticeEvent) -> None:
        shown.append(event)

    calls = RunCalls(listener.observing, show)
    calls.begins()
    calls.ended_early("length")
    calls.replayed("gpt")
    assert calls.heard
    calls.begins()
    assert not calls.heard
    calls.used("gpt", CALL)
    await calls.notify("danger", "now")
    calls.fell_back("gpt", "small", "5xx")
    assert calls.last == CALL
    assert [event.message for event in shown] == ["now"]
    calls.ended_early("content_filter")
    assert listener.observing.early is None
    calls.ends()
    assert listener.observing.early == "content_filter"
    assert (kept(listener.usage)["cached"], listener.usage.tokens) == (1, 5)


def test_without_a_listener_nobody_is_told() -> None:
    """Models may be asked outside of turns."""
    assert observer.get() is None
    calls = RunCalls(None, lambda _: asyncio.sleep(0))
    calls.used("gpt", CALL)
    calls.replayed("gpt")
    calls.fell_back("gpt", "small", "5xx")
    calls.ended_early("length")
    calls.ends()
    with aside():
        assert observer.get() is None


def at(text: str) -> datetime:
    """Return a moment."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "moment", "renewed"),
    [
        (Period.DAY, "2026-11-22T23:59:59", "2026-11-23T00:00:00"),
        (Period.DAY, "2026-12-31T00:00:00", "2027-01-01T00:00:00"),
        (Period.MONTH, "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
        (Period.MONTH, "2027-01-31T12:00:00", "2027-02-01T00:00:00"),
        (Period.MONTH, "2028-02-29T12:00:00", "2028-03-01T00:00:00"),
    ],
)
def test_budgets_begin_anew(period: Period, moment: str, renewed: str) -> None:
    """At midnight, of the first when they are for a month; UTC."""
    assert renewed_at(period, at(moment)) == at(renewed)


def test_days_are_counted_from_1970() -> None:
    """And months begin on their first."""
    assert day_of(at("1970-01-02T00:00:00")) == 1
    assert moment_of_day(day_of(at("2026-11-22T23:59:59"))) == at("2026-11-22T00:00:00")
    assert moment_of_day(first_day(at("2026-11-22T23:59:59"))) == at("2026-11-01T00:00:00")


def budget(scope: Scope = Scope.USER, unit: Unit = Unit.TOKENS, limit: int = 10) -> Budget:
    """Return a budget for a day."""
    return Budget(scope, Period.DAY, unit, limit)


@pytest.mark.parametrize(
    ("taken", "own", "refused"),
    [
        (Taken(), (0, 0), None),
        (Taken(day_tokens=9), (0, 0), None),
        (Taken(day_tokens=10), (0, 0), False),
        (Taken(day_tokens=4, open_tokens=6), (0, 0), True),
        (Taken(day_tokens=4, open_tokens=5), (1, 0), True),
        (Taken(day_tokens=4), (6, 0), False),
        (Taken(day_cost=99, month_tokens=99, open_cost=99), (0, 99), None),
    ],
)
def test_a_budget_is_compared_with_all_that_counts(
    taken: Taken, own: tuple[int, int], refused: bool | None
) -> None:
    """What has ended, what is open, what the turn itself took; told apart for the refusal."""
    moment = at("2026-11-22T12:00:00")
    if refused is None:
        refuse_beyond([budget()], {Scope.USER: taken}, moment, own)
        return
    with pytest.raises(BudgetExceededError) as caught:
        refuse_beyond([budget()], {Scope.USER: taken}, moment, own)
    assert caught.value.held is refused
    assert "2026-11-23 00:00 UTC" in str(caught.value)


def test_the_tenant_is_looked_at_last() -> None:
    """Others wait for that."""
    budgets = [budget(scope) for scope in (Scope.TENANT, Scope.USER, Scope.USER)]
    assert scopes_of(budgets) == [Scope.USER, Scope.TENANT]
    assert scopes_of([]) == []
