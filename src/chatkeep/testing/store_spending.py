"""The part of the store's contract about what turns take, and how much there may be."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from chatkeep.context import RequestContext
from chatkeep.errors import BudgetExceededError, LeaseLostError, NotFoundError
from chatkeep.ports import (
    Budget,
    Period,
    Reservation,
    Scope,
    Spent,
    Store,
    Turn,
    TurnEnd,
    TurnState,
    Unit,
)
from chatkeep.ports.spending import COUNTED, day_of
from chatkeep.testing.store_samples import asking, question, sign, thread, turn_order

ANN, BOB, CAROL = asking(), asking(user="bob"), asking(tenant="umbrella", user="carol")
ALL = (Scope.USER, Scope.THREAD, Scope.TENANT)

_numbers = count(1)


def took(model: str = "gpt", tokens: int = 30, cost: int = 7, **fields: Any) -> Spent:
    """Return what a call took: a third of the tokens is output."""
    output = tokens // 3
    counts = {"requests": 1, "input_tokens": tokens - output, "output_tokens": output, "cost": cost}
    return Spent(model, "USD", **{**counts, **fields})


def aside(
    *scopes: Scope,
    limit: int = 100,
    tokens: int = 40,
    cost: int = 0,
    unit: Unit = Unit.TOKENS,
    period: Period = Period.DAY,
) -> Reservation:
    """Return a reservation with a budget for each scope."""
    budgets = [Budget(scope, period, unit, limit) for scope in scopes]
    return Reservation(tokens, cost, "USD", budgets)


async def begun(
    store: Store,
    reserves: Reservation | None = None,
    context: RequestContext = ANN,
    thread_id: str | None = None,
) -> Turn:
    """Return a turn that was begun, in a thread of its own if none is named."""
    number = next(_numbers)
    turn_id = f"trn_{number}"
    if thread_id is None:
        new = thread(f"thr_{number}")
        order = turn_order(turn_id, new.id, new_thread=new, message=question("msg_1"))
    else:
        order = turn_order(turn_id, thread_id, message=question(f"msg_{number}"), queue=True)
    return await store.begin_turn(replace(order, reserves=reserves), context)


async def ended(
    store: Store, turn: Turn, spent: Sequence[Spent] = (), context: RequestContext = ANN
) -> Turn:
    """Return a turn that has ended, having taken this."""
    end = TurnEnd(TurnState.COMPLETED, spent=spent)
    return await store.end_turn(turn.id, turn.fence, end, context)


async def sums(store: Store, tenant: str | None = None, user: str | None = None) -> dict[Any, Any]:
    """Return the sums of the last days: who and which model, and what they took."""
    found = await store.load_spending(day_of(datetime.now(UTC)) - 2, tenant, user, 99)
    assert [(each.tenant, each.user or "") for each in found] == sorted(
        (each.tenant, each.user or "") for each in found
    )
    return {(each.tenant, each.user, each.spent.model): each.spent for each in found}


@pytest.mark.asyncio
class SpendingContract:
    """What turns take, and budgets."""

    async def test_an_end_adds_to_the_sums(self, store: Store) -> None:
        """Of the user and of the tenant, by model; a thread's turns say what they took."""
        full = Spent("gpt", "USD", *range(2, 9))
        turn = await ended(store, await begun(store), [full, took("small")])
        await ended(store, await begun(store), [took("small")])
        await ended(store, await begun(store, context=BOB), [took("small")], BOB)
        await ended(store, await begun(store, context=CAROL), [took()], CAROL)
        assert (turn.tokens, turn.cost) == (3 + 5 + 30, 7 + 7)
        assert await store.load_turn(turn.id, ANN) == turn
        twice = took("small", 60, 14, requests=2)
        assert await sums(store, "acme") == {
            ("acme", None, "gpt"): full,
            ("acme", None, "small"): took("small", 90, 21, requests=3),
            ("acme", "ann", "gpt"): full,
            ("acme", "ann", "small"): twice,
            ("acme", "bob", "small"): took("small"),
        }
        assert await sums(store, "acme", "ann") == {
            ("acme", "ann", "gpt"): full,
            ("acme", "ann", "small"): twice,
        }
        assert list(await sums(store)) == [
            ("acme", None, "gpt"),
            ("acme", None, "small"),
            ("umbrella", None, "gpt"),
        ]

    async def test_an_end_that_is_told_again_counts_once(self, store: Store) -> None:
        """Nor does one that comes too late."""
        turn = await begun(store)
        for _ in range(3):
            await ended(store, turn, [took()])
        with pytest.raises(LeaseLostError):
            await ended(store, replace(turn, fence=2), [took()])
        assert await sums(store, "acme", "ann") == {("acme", "ann", "gpt"): took()}

    async def test_who_takes_a_turn_over_knows_what_it_has_used(self, store: Store) -> None:
        """A sign of life keeps it; one that says nothing leaves it."""
        turn = await begun(store)
        await store.keep_turns([sign(turn.id, usage='{"a": 1}')])
        await store.keep_turns([sign(turn.id, doing="x")])
        await store.release_turn(turn.id, 1, ANN)
        async with asyncio.timeout(30):
            while (taken := await store.claim_turn("two", 9)) is None:  # noqa: ASYNC110 - a clock
                await asyncio.sleep(0.005)
        assert (taken.id, taken.usage) == (turn.id, '{"a": 1}')

    async def test_sums_are_listed_up_to_a_limit(self, store: Store) -> None:
        """Whole sums, by name; and none from before the day."""
        for n in range(3):
            context = asking(user=f"user_{n}")
            await ended(store, await begun(store, context=context), [took()], context)
        today = day_of(datetime.now(UTC))
        for row in await store.read_records("spending", None, 99):
            await store.write_records("spending", [{**row, "day": today - 1}])
            await store.write_records("spending", [{**row, "day": today - 9}])
        found = await store.load_spending(today - 2, "acme", None, 3)
        assert [each.user for each in found] == [None, "user_0", "user_1"]
        assert found[0].spent.requests in (3, 6)
        assert found[1].spent.requests == found[0].spent.requests // 3
        assert await store.load_spending(today + 2, "acme", None, 9) == []

    async def test_the_sums_of_many_days_are_whole(self, store: Store) -> None:
        """However many rows they are made of."""
        today = day_of(datetime.now(UTC))
        rows: list[Any] = [
            {
                "tenant": "acme",
                "owner": owner,
                "day": today - day,
                "model": model,
                "currency": "USD",
                **dict.fromkeys(COUNTED, 1),
            }
            for owner in ("", "ann", "bob")
            for day in range(300)
            for model in ("gpt", "small")
        ]
        await store.write_records("spending", rows)
        found = await store.load_spending(today - 299, "acme", None, 9)
        assert [(each.user, each.spent.model, each.spent.cost) for each in found] == [
            (user, model, 300) for user in (None, "ann", "bob") for model in ("gpt", "small")
        ]

    @pytest.mark.parametrize(
        ("scope", "unit", "period"),
        [
            (Scope.USER, Unit.TOKENS, Period.DAY),
            (Scope.USER, Unit.COST, Period.MONTH),
            (Scope.THREAD, Unit.TOKENS, Period.MONTH),
            (Scope.THREAD, Unit.COST, Period.DAY),
            (Scope.TENANT, Unit.TOKENS, Period.MONTH),
            (Scope.TENANT, Unit.COST, Period.DAY),
        ],
    )
    async def test_a_budget_that_is_used_up_lets_nothing_begin(
        self, store: Store, scope: Scope, unit: Unit, period: Period
    ) -> None:
        """The turn that goes beyond it ends; the next one is refused, with nothing stored."""
        reserves = aside(scope, limit=60, tokens=5, cost=5, unit=unit, period=period)
        first = await begun(store, reserves)
        assert (first.tokens, first.cost) == (5, 5)
        await ended(store, first, [took(tokens=59, cost=59)])
        second = await begun(store, reserves, thread_id=first.thread_id)
        await ended(store, second, [took(tokens=21, cost=21), took("small", tokens=9, cost=9)])
        before = await store.read_records("turns", None, 99)
        with pytest.raises(BudgetExceededError) as caught:
            await begun(store, reserves, thread_id=first.thread_id)
        assert await store.read_records("turns", None, 99) == before
        error = caught.value
        assert (error.budget, error.held) == (f"{scope}_{period}_{unit}", False)
        longest = timedelta(days=1 if period is Period.DAY else 31)
        assert error.renewed_at is not None
        assert timedelta() < error.renewed_at - second.created_at <= longest
        await begun(store, replace(reserves, budgets=()), thread_id=first.thread_id)

    @pytest.mark.parametrize("scope", ALL)
    async def test_what_is_put_aside_counts_until_the_end(self, store: Store, scope: Scope) -> None:
        """While a turn is open nothing else may begin; when it has ended cheaply it may."""
        reserves = aside(scope, limit=50, tokens=60)
        first = await begun(store, reserves)
        for _ in range(2):
            with pytest.raises(BudgetExceededError) as caught:
                await begun(store, reserves, thread_id=first.thread_id)
            assert caught.value.held
        await ended(store, first, [took(tokens=12)])
        second = await begun(store, reserves, thread_id=first.thread_id)
        await ended(store, second)
        third = await begun(store, reserves, thread_id=first.thread_id)
        queued = await begun(store, aside(scope, limit=99), thread_id=first.thread_id)
        await store.cancel_turn(queued.id, ANN)
        assert (await store.load_turn(queued.id, ANN)).tokens == 0
        await ended(store, third)
        await begun(store, reserves, thread_id=first.thread_id)

    async def test_budgets_are_of_whom_they_are(self, store: Store) -> None:
        """What others took counts for the tenant only, another thread's not for the thread."""
        thread_id = (await ended(store, await begun(store), [took(tokens=100)])).thread_id
        for scope, context, there, refused in (
            (Scope.USER, ANN, None, True),
            (Scope.USER, BOB, None, False),
            (Scope.THREAD, ANN, thread_id, True),
            (Scope.THREAD, ANN, None, False),
            (Scope.TENANT, BOB, None, True),
            (Scope.TENANT, CAROL, None, False),
        ):
            try:
                turn = await begun(store, aside(scope), context, there)
            except BudgetExceededError:
                assert refused, scope
            else:
                assert not refused, scope
                await ended(store, turn, context=context)

    async def test_each_of_several_budgets_is_looked_at(self, store: Store) -> None:
        """One that is used up is enough; its name is told."""
        await ended(store, await begun(store), [took(tokens=50, cost=9)])
        tokens = Budget(Scope.USER, Period.MONTH, Unit.TOKENS, 51)
        cost = Budget(Scope.TENANT, Period.DAY, Unit.COST, 9)
        other = Budget(Scope.THREAD, Period.DAY, Unit.COST, 1)
        with pytest.raises(BudgetExceededError) as caught:
            await begun(store, Reservation(1, 1, "USD", [tokens, cost, other]))
        assert caught.value.budget == "tenant_day_cost"
        await begun(store, Reservation(1, 1, "EUR", [tokens, cost, other]))

    async def test_last_months_turns_are_forgotten(self, store: Store) -> None:
        """And yesterday's, by a budget for a day."""
        turn = await ended(store, await begun(store), [took(tokens=500)])
        (record,) = await store.read_records("turns", None, 9)
        created_at = record["created_at"]
        assert isinstance(created_at, int)
        long_ago = created_at - 40 * 86_400_000
        await store.write_records("turns", [{**record, "created_at": long_ago}])
        rows = [row for row in await store.read_records("spending", None, 9) if row["day"]]
        for row in rows:
            assert isinstance(row["day"], int)
            await store.write_records("spending", [{**row, **dict.fromkeys(COUNTED, 0)}])
            await store.write_records("spending", [{**row, "day": row["day"] - 40}])
        await begun(store, aside(*ALL, period=Period.MONTH), thread_id=turn.thread_id)

    async def test_a_turn_can_put_more_aside(self, store: Store) -> None:
        """What it has used and what others have counts; its own old reservation does not."""
        turn = await begun(store, aside(*ALL))
        more = aside(*ALL, tokens=90)
        assert (await store.reserve_turn(turn.id, 1, more, (99, 0), ANN)).tokens == 90
        for other in ((100, 0), (300, 5)):
            with pytest.raises(BudgetExceededError):
                await store.reserve_turn(turn.id, 1, aside(*ALL, tokens=95), other, ANN)
        assert (await store.load_turn(turn.id, ANN)).tokens == 90
        with pytest.raises(LeaseLostError):
            await store.reserve_turn(turn.id, 2, more, (1, 0), ANN)
        with pytest.raises(NotFoundError):
            await store.reserve_turn("trn_x", 1, more, (1, 0), ANN)
        with pytest.raises(LeaseLostError):
            await store.reserve_turn((await ended(store, turn)).id, 1, more, (1, 0), ANN)

    async def test_turns_that_begin_at_once_see_one_another(self, store: Store) -> None:
        """Of many that a tenant's users begin together, as many begin as the budget has room."""
        users = [asking(user=f"user_{n}") for n in range(8)]
        results = await asyncio.gather(
            *[begun(store, aside(Scope.TENANT, limit=100), context=user) for user in users],
            return_exceptions=True,
        )
        refused = [each for each in results if isinstance(each, BudgetExceededError)]
        assert len(refused) == 5, results
        assert sum(isinstance(each, Turn) for each in results) == 3
        again = [begun(store, aside(Scope.USER, limit=100), context=ANN) for _ in range(8)]
        results = await asyncio.gather(*again, return_exceptions=True)
        assert sum(isinstance(each, Turn) for each in results) == 3, results

    async def test_spending_is_erased_with_its_user(self, store: Store) -> None:
        """The tenant's sum stays as long as the tenant does."""
        await ended(store, await begun(store), [took()])
        await ended(store, await begun(store, context=BOB), [took()], BOB)
        assert (await store.erase("acme", "ann"))["spending"] == 1
        assert list(await sums(store, "acme")) == [("acme", None, "gpt"), ("acme", "bob", "gpt")]
        assert (await sums(store))["acme", None, "gpt"].requests == 2
        assert (await store.erase("acme", None))["spending"] == 2
        assert await sums(store) == {}

    async def test_a_deleted_thread_leaves_what_it_took(self, store: Store) -> None:
        """Money that is gone does not come back."""
        turn = await ended(store, await begun(store), [took()])
        await store.delete_thread(turn.thread_id, ANN)
        assert list(await sums(store, "acme", "ann")) == [("acme", "ann", "gpt")]
