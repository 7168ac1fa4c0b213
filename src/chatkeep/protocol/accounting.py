"""What turns cost here, and what is put aside for them as they begin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import structlog
from chatkit.types import ThreadItem, UserMessageItem

from chatkeep.context import Principal, RequestContext
from chatkeep.models.catalog import Catalog, ModelEntry
from chatkeep.models.prices import Price, Prices
from chatkeep.ports import Budget, Reservation, Store, Unit
from chatkeep.protocol.planning import Plan
from chatkeep.turns.account import Account

_ANSWER_TOKENS = 4_096
"""Of an answer, at most, when the model's settings do not say."""

_INSTRUCTIONS_TOKENS = 1_000
"""For instructions and descriptions of tools."""

_FILE_TOKENS = 8_000
"""For a file that the model is shown."""

_BYTES_PER_TOKEN = 3
_ITEMS = 100
"""Newest items of a thread that are looked at; for a longer one a whole context is put aside."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets, for all tenants and for some.

    Attributes:
        usual: Of tenants that are not named.
        tenants: Of those that are, whole.
    """

    usual: Sequence[Budget] = ()
    tenants: Mapping[str, Sequence[Budget]] = field(default_factory=dict)

    def of(self, tenant: str) -> Sequence[Budget]:
        """Return the budgets that hold in a tenant."""
        return self.tenants.get(tenant, self.usual)


class Accounting:
    """Says what calls cost, and what a turn may take.

    Args:
        prices: Prices of models.
        limits: Budgets.
        catalog: The models, whose own prices go before.
    """

    def __init__(self, prices: Prices, limits: Limits, catalog: Catalog) -> None:
        self.currency = prices.currency
        self._prices = prices
        self._limits = limits
        self._catalog = catalog

    def warn(self) -> None:
        """Warn of models that budgets of money cannot limit, as their price is not known."""
        budgets = [*self._limits.usual, *chain.from_iterable(self._limits.tenants.values())]
        unknown = [each.id for each in self._catalog.entries if self.price_of(each.id) is None]
        if unknown and any(budget.unit is Unit.COST for budget in budgets):
            _log.warning("models without a price are free to budgets of money", models=unknown)

    def price_of(self, model_id: str) -> Price | None:
        """Return what a model costs, by what the catalog or its provider calls it."""
        entry = self._catalog.known(model_id)
        own = entry.price if entry else None
        return own or self._prices.find(model_id)

    def account(self, principal: Principal, entry: ModelEntry | None = None) -> Account:
        """Return the terms of a user's turn, by the model that is expected to answer."""
        entry = entry or self._catalog.default
        answer = entry.settings.max_tokens or _ANSWER_TOKENS
        budgets = self._limits.of(principal.tenant)
        return Account(budgets, self.currency, self.price_of(entry.id), answer)

    async def reserve(
        self, plan: Plan, store: Store, context: RequestContext
    ) -> Reservation | None:
        """Return what is to be put aside for a turn that is planned; None without budgets.

        It is more than nearly every first call of a model takes, and never more than the model's
        context and its longest answer.
        """
        if not self._limits.of(context.principal.tenant):
            return None
        items, more = list(plan.items), False
        if plan.thread is None:
            page = await store.load_thread_items(plan.thread_id, None, _ITEMS, "desc", context)
            items, more = page.data, page.has_more
        asked = plan.message or next(
            (item for item in items if isinstance(item, UserMessageItem)), None
        )
        chosen = asked.inference_options.model if asked else None
        tenant, catalog = context.principal.tenant, self._catalog
        entry = catalog.find(chosen, tenant) or catalog.find(None, tenant) or catalog.default
        if plan.message is not None:
            items = [*items, plan.message]
        window = entry.context_tokens
        tokens = window if more else _INSTRUCTIONS_TOKENS + sum(map(_tokens_of, items))
        return self.account(context.principal, entry).reserving(min(tokens, window))


def _tokens_of(item: ThreadItem) -> int:
    files = len(item.attachments) if isinstance(item, UserMessageItem) else 0
    return len(item.model_dump_json()) // _BYTES_PER_TOKEN + files * _FILE_TOKENS
