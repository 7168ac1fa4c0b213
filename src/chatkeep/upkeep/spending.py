"""What was spent, as operators see it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from chatkeep.models.prices import amount
from chatkeep.ports import SpendingSum
from chatkeep.ports.spending import COUNTED, day_of
from chatkeep.ports.upkeep import Upkeep

MAX_DAYS = 3_660
"""Days of a report, at most."""

MAX_SUMS = 10_000
"""Rows of a report, at most."""


async def load_report(
    store: Upkeep,
    *,
    days: int,
    tenant: str | None = None,
    user: str | None = None,
    model: str | None = None,
) -> Sequence[dict[str, Any]]:
    """Return what was spent in the last days, today among them, by model.

    Of all tenants, of a tenant (`user` is None) and its users, or of one user of a tenant.
    """
    since = day_of(datetime.now(UTC)) - days + 1
    sums = await store.load_spending(since, tenant, user, MAX_SUMS)
    return [_row(each) for each in sums if model in (None, each.spent.model)]


def _row(found: SpendingSum) -> dict[str, Any]:
    spent = found.spent
    counts = {name: getattr(spent, name) for name in COUNTED if name != "cost"}
    return {
        "tenant": found.tenant,
        "user": found.user,
        "model": spent.model,
        **counts,
        "total_tokens": spent.input_tokens + spent.output_tokens,
        "cost": f"{amount(spent.cost):f}",
        "currency": spent.currency,
    }
