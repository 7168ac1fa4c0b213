"""What the settings name, as the packages that do it want to be told."""

from decimal import Decimal

from chatkeep.agent.convert import ItemConverter
from chatkeep.agent.files import FileParts
from chatkeep.auth import AuthConfig, JwtConfig
from chatkeep.auth.anonymous import TENANT
from chatkeep.files import open_storage
from chatkeep.files.attachments import Attachments, FileLimits
from chatkeep.models.choice import ModelsConfig
from chatkeep.models.guard import Deadlines
from chatkeep.models.offers import EndpointConfig, Offer
from chatkeep.models.prices import Price, Prices, micros
from chatkeep.models.retrying import RetryPolicy
from chatkeep.ports import Budget, FileStorage, Period, Relay, Scope, Unit
from chatkeep.protocol.accounting import Limits
from chatkeep.relay import open_relay
from chatkeep.settings import Settings
from chatkeep.settings.budgets import Limits as BudgetLimits
from chatkeep.settings.models import KEYS
from chatkeep.settings.offered import Endpoint, Offered, profile_of


def open_files(settings: Settings) -> FileStorage:
    """Return where files are kept, not opened yet."""
    url = settings.files.url
    return open_storage(url.get_secret_value() if url else None, data_dir=settings.data_dir)


def open_wakes(settings: Settings, database_url: str) -> Relay:
    """Return what wakes the instances, not connected yet."""
    url = settings.relay.url
    return open_relay(url.get_secret_value() if url else None, database_url)


def file_limits(settings: Settings) -> FileLimits:
    """Return what the settings say of uploads."""
    files = settings.files
    return FileLimits(
        max_bytes=files.max_bytes,
        allowed_types=files.allowed_types,
        quota_bytes=files.quota_bytes,
        upload_seconds=files.upload_seconds,
        download_seconds=files.download_seconds,
    )


def converter(settings: Settings, attachments: Attachments) -> ItemConverter:
    """Return what makes items into model input."""
    return ItemConverter(
        FileParts(
            attachments.read,
            image_bytes=settings.files.image_bytes,
            text_tokens=settings.files.text_tokens,
        )
    )


def auth_config(settings: Settings) -> AuthConfig:
    """Return what the settings say of users."""
    auth = settings.auth
    anonymous = "anonymous" in auth.mode
    jwt = None
    if "jwt" in auth.mode and auth.issuer and auth.jwks_url and auth.audience:
        jwt = JwtConfig(
            issuer=auth.issuer,
            jwks_url=auth.jwks_url,
            audience=auth.audience,
            algorithms=auth.algorithms,
            user_claim=auth.user_claim,
            tenant_claim=auth.tenant_claim,
            default_tenant=auth.default_tenant,
            token_type=auth.token_type,
            reserved_tenant=TENANT if anonymous else None,
        )
    return AuthConfig(settings.data_dir, anonymous=anonymous, jwt=jwt)


def prices(settings: Settings) -> Prices:
    """Return what models cost."""
    models = settings.models
    own = {
        name: Price(price.input, price.output, price.cached)
        for name, price in models.prices.items()
    }
    return Prices(own, models.currency)


def limits(settings: Settings) -> Limits:
    """Return the budgets that the settings set; what a tenant does not say is as usual."""
    usual = settings.budgets
    tenants = {
        tenant: _budgets({**_limits_of(usual), **_limits_of(own)})
        for tenant, own in usual.tenants.items()
    }
    return Limits(_budgets(_limits_of(usual)), tenants)


def _limits_of(section: BudgetLimits) -> dict[str, int | Decimal]:
    named = ((name, getattr(section, name)) for name in BudgetLimits.model_fields)
    return {name: value for name, value in named if value is not None}


def _budgets(found: dict[str, int | Decimal]) -> list[Budget]:
    budgets = []
    for name, value in found.items():
        scope, period, unit = name.split("_")
        limit = micros(Decimal(value)) if unit == Unit.COST else int(value)
        budgets.append(Budget(Scope(scope), Period(period), Unit(unit), limit))
    return budgets


def models_config(settings: Settings) -> ModelsConfig:
    """Return what the settings say of models."""
    models = settings.models
    keys = {name: models.key(name) for name in KEYS}
    return ModelsConfig(
        data_dir=settings.data_dir,
        provider=models.provider,
        name=models.name,
        keys={name: key for name, key in keys.items() if key},
        base_url=models.openai_base_url,
        ollama_host=models.ollama_host,
        gguf=models.gguf,
        tour=models.tour,
        context_tokens=models.context_tokens,
        deadlines=Deadlines(models.first_token_timeout, models.chunk_timeout, models.total_timeout),
        offered=tuple(_offer(offered) for offered in models.offered),
        endpoints={name: _endpoint(name, found) for name, found in models.endpoints.items()},
        on_break=models.on_break,
        retries=RetryPolicy(models.tries),
        prices=prices(settings),
    )


def _offer(offered: Offered) -> Offer:
    price = offered.price
    fields = {name: getattr(offered, name) for name in Offered.model_fields}
    fields["price"] = price and Price(price.input, price.output, price.cached)
    return Offer(**fields)


def _endpoint(name: str, endpoint: Endpoint) -> EndpointConfig:
    return EndpointConfig(
        profile=profile_of(name, endpoint),
        base_url=endpoint.base_url,
        api_key=endpoint.api_key.get_secret_value() if endpoint.api_key else None,
        headers={name: value.get_secret_value() for name, value in endpoint.headers.items()},
        ca_file=endpoint.ca_file,
        proxy=endpoint.proxy.get_secret_value() if endpoint.proxy else None,
    )
