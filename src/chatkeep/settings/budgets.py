"""Settings of budgets: how much users, conversations and tenants may spend."""

from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field

from chatkeep.settings.section import Section
from chatkeep.settings.types import Identifier, json_table

type _Tokens = Annotated[int, Field(ge=0, le=10**15)]
type _Money = Annotated[Decimal, Field(ge=0, le=10**9, allow_inf_nan=False)]

_TOKENS = "tokens from 0 on"
_COST = "an amount of models.currency from 0 on"


class Limits(Section):
    """How much there may be; what is not set is not limited."""

    user_day_tokens: _Tokens | None = Field(None, description=_TOKENS)
    user_day_cost: _Money | None = Field(None, description=_COST)
    user_month_tokens: _Tokens | None = Field(None, description=_TOKENS)
    user_month_cost: _Money | None = Field(None, description=_COST)
    thread_day_tokens: _Tokens | None = Field(None, description=_TOKENS)
    thread_day_cost: _Money | None = Field(None, description=_COST)
    thread_month_tokens: _Tokens | None = Field(None, description=_TOKENS)
    thread_month_cost: _Money | None = Field(None, description=_COST)
    tenant_day_tokens: _Tokens | None = Field(None, description=_TOKENS)
    tenant_day_cost: _Money | None = Field(None, description=_COST)
    tenant_month_tokens: _Tokens | None = Field(None, description=_TOKENS)
    tenant_month_cost: _Money | None = Field(None, description=_COST)


class Budgets(Limits):
    """The usual limits, and those of some tenants."""

    tenants: Annotated[dict[Identifier, Limits], BeforeValidator(json_table)] = Field(
        {}, description="a table of budgets for each tenant, instead of the usual ones"
    )
