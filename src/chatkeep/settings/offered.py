"""Settings of the models that users may choose from, and of where they answer."""

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from chatkeep.models.profiles import PROFILES
from chatkeep.settings.section import Section
from chatkeep.settings.types import (
    URL,
    HeaderName,
    HomePath,
    Identifier,
    Key,
    ProxyURL,
    Seconds,
    json_table,
)

OURS = ("embedded", "tour", "scripted", "any-llm")
"""What has no profile: what answers here, and the way to providers with other protocols."""


def known_provider(value: str) -> str:
    """Return the name of something that can answer."""
    if value not in PROFILES and value not in OURS:
        raise ValueError(f"not one of {', '.join([*PROFILES, *OURS])}")
    return value


def _known_profile(value: str) -> str:
    if value not in PROFILES:
        raise ValueError(f"not one of {', '.join(PROFILES)}")
    return value


Money = Annotated[Decimal, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class Endpoint(Section):
    """Where models answer: `[models.endpoints.<name>]`."""

    base_url: URL | None = Field(
        None, description="an OpenAI-compatible URL; not needed where the profile has one"
    )
    profile: Annotated[str, AfterValidator(_known_profile)] | None = Field(
        None, description="the name of the provider whose ways it has; compatible by default"
    )
    api_key: Key | None = Field(
        None, description='a key, or { env = "NAME" } or { file = "/path" } of one'
    )
    headers: dict[HeaderName, Key] = Field(
        {}, description="further headers of every request; their values may be references as well"
    )
    ca_file: HomePath | None = Field(
        None, description="a PEM file with the only authorities that are trusted there"
    )
    proxy: ProxyURL | None = Field(
        None, description="an http:// or https:// proxy, instead of the environment's"
    )
    http2: bool = Field(False, description="whether HTTP/2 is spoken where it is offered")


class ModelPrice(Section):
    """What a million tokens cost, in one currency for all models."""

    input: Money = Field(description="a price of a million tokens of input, 0 or more")
    cached: Money | None = Field(
        None, description="a price of a million cached tokens; that of input by default"
    )
    output: Money = Field(description="a price of a million tokens of output, 0 or more")


class Offered(Section):
    """One model: `[[models.offered]]`."""

    id: Identifier = Field(description="a name that clients choose it by, once only")
    provider: Identifier = Field(
        description="a provider's name, or that of a table [models.endpoints.<name>]"
    )
    name: Identifier | None = Field(None, description="the model, as its provider names it")
    label: Identifier | None = Field(None, description="a name for users; the model's by default")
    description: Annotated[str, Field(max_length=300)] | None = Field(
        None, description="a short line below the label"
    )
    context_tokens: int | None = Field(
        None, ge=1024, description="the tokens of the model's context, 1024 at least"
    )
    max_tokens: int | None = Field(None, ge=1, description="tokens of an answer, at most")
    temperature: float | None = Field(None, ge=0, le=2, description="a number from 0 to 2")
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = Field(
        None, description="how hard it thinks: none, minimal, low, medium, high or xhigh"
    )
    extra_body: dict[str, Any] = Field({}, description="a table of fields to add to each request")
    first_token_timeout: Seconds | None = Field(None, description="seconds until the first token")
    chunk_timeout: Seconds | None = Field(None, description="seconds between two tokens")
    total_timeout: Seconds | None = Field(None, description="seconds for a whole answer")
    fallback: tuple[Identifier, ...] = Field(
        (), description="a list of the ids of other offered models, asked in this order"
    )
    tenants: tuple[Identifier, ...] = Field(
        (), description="a list of the tenants that may choose it; none: all may"
    )
    images: bool | None = Field(None, description="whether it takes images; as the profile says")
    tools: bool | None = Field(None, description="whether it calls tools; as the profile says")
    titles: bool | None = Field(None, description="whether it names conversations")
    price: ModelPrice | None = Field(None, description="a table of input, cached and output")


Endpoints = Annotated[dict[Identifier, Endpoint], BeforeValidator(json_table)]


class Offers(Section):
    """The part of `[models]` that lists models."""

    offered: Annotated[tuple[Offered, ...], BeforeValidator(json_table)] = Field(
        (),
        description="tables [[models.offered]], or a JSON list of them; the first is the default",
    )
    endpoints: Endpoints = Field(
        {}, description="tables [models.endpoints.<name>], or a JSON object of them"
    )

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        """Refuse names that name nothing."""
        ids = [offered.id for offered in self.offered]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"models.offered: the id {twice[0]!r} comes twice; rename one of them")
        for offered in self.offered:
            _check_provider(offered, self.endpoints)
            _check_fallback(offered, {other.id: other for other in self.offered})
        for name, endpoint in self.endpoints.items():
            profile = PROFILES[profile_of(name, endpoint)]
            if endpoint.base_url is None and profile.base_url is None and name != "ollama":
                raise ValueError(f"models.endpoints.{name}: it has no address; set base_url")
        return self


def profile_of(name: str, endpoint: Endpoint) -> str:
    """Return the profile of an endpoint: the one that it names, or is named like."""
    return endpoint.profile or (name if name in PROFILES else "compatible")


def _check_provider(offered: Offered, endpoints: dict[str, Endpoint]) -> None:
    known = [*PROFILES, *OURS, *endpoints]
    if offered.provider not in known:
        raise ValueError(
            f"models.offered: the provider of {offered.id!r} is not known; set it to one of "
            f"{', '.join(dict.fromkeys(known))}, or add its table [models.endpoints.<name>]"
        )


def _check_fallback(offered: Offered, others: dict[str, Offered]) -> None:
    for name in offered.fallback:
        other = others.get(name)
        if other is None or other is offered:
            raise ValueError(
                f"models.offered: {offered.id!r} has a fallback that is no other offered model; "
                f"the ids are {', '.join(others)}"
            )
        if other.tenants and not (offered.tenants and {*offered.tenants} <= {*other.tenants}):
            raise ValueError(
                f"models.offered: {offered.id!r} falls back to {name!r}, which not all of its "
                f"tenants may use; give {name!r} the same tenants"
            )
