"""What the settings name, as the packages that do it want to be told."""

from decimal import Decimal

from agents import Model

from chatkeep.agent.convert import ItemConverter
from chatkeep.agent.files import FileParts
from chatkeep.agent.recall import Recall
from chatkeep.auth import AuthConfig, JwtConfig
from chatkeep.auth.anonymous import TENANT
from chatkeep.cache import open_cache
from chatkeep.errors import SettingsError
from chatkeep.files import open_storage
from chatkeep.files.attachments import Attachments, FileLimits
from chatkeep.models.cache import CachedModel
from chatkeep.models.catalog import Catalog, ModelEntry
from chatkeep.models.choice import ModelsConfig
from chatkeep.models.guard import Deadlines
from chatkeep.models.offers import EndpointConfig, Offer
from chatkeep.models.prices import Price, Prices, micros
from chatkeep.models.retrying import RetryPolicy
from chatkeep.models.scripted import ScriptedModel
from chatkeep.ports import Budget, Cache, FileStorage, Period, Relay, Scope, Store, Unit
from chatkeep.protocol.accounting import Limits
from chatkeep.relay import open_relay
from chatkeep.settings import Settings
from chatkeep.settings.budgets import Limits as BudgetLimits
from chatkeep.settings.models import KEYS
from chatkeep.settings.offered import Endpoint, Offered, profile_of
from chatkeep.turns.admission import Bounds, affordable_turns
from chatkeep.turns.store import scoped


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


def open_answers(settings: Settings, catalog: Catalog) -> Cache | None:
    """Put the cache of answers in front of the models, and return it; None without one."""
    url = settings.cache.url
    if url is None:
        return None
    cache = open_cache(url.get_secret_value(), max_bytes=settings.cache.max_bytes)

    def wrap(entry: ModelEntry) -> Model:
        if isinstance(entry.model, ScriptedModel):
            return entry.model  # as quick as a cache
        ttl = settings.cache.ttl
        return CachedModel(entry.model, entry.id, cache, ttl, entry.settings, entry.source)

    catalog.wrap_models(wrap)
    return cache


def open_recall(
    settings: Settings, store: Store, attachments: Attachments, catalog: Catalog
) -> Recall:
    """Return what tells models of their threads.

    Raises:
        SettingsError: The model that is to write summaries is not one of the list.
    """
    name = settings.models.summary_model
    writer = catalog.known(name) if name else None
    if name and writer is None:
        listed = ", ".join(entry.id for entry in catalog.entries)
        raise SettingsError(f"models.summary_model: not on the list of models; name one: {listed}")
    return Recall(
        scoped(store),
        converter(settings, attachments),
        image_messages=settings.files.image_messages,
        summaries=settings.models.summaries == "on",
        summary_model=writer,
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


def bounds(settings: Settings) -> Bounds:
    """Return how much one instance takes on."""
    overload = settings.overload
    return Bounds(overload.turns or affordable_turns(), overload.lag, overload.starting)


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
        http2=endpoint.http2,
    )
