"""What is offered, as the settings say it: one model each, and the endpoints that they name."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from chatkeep.models.guard import Deadlines
from chatkeep.models.prices import Price
from chatkeep.models.profiles import Profile

type OnBreak = Literal["stop", "restart", "continue"]
"""What a broken answer of a model with a fallback does."""


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """Where models answer. Keys and headers are plain text here and never shown.

    Attributes:
        profile: The name of the profile whose ways it has.
        base_url: Its address; None: the profile's.
        api_key: Its key; None: the profile's, if that has one.
        headers: Further headers of every request.
        ca_file: The only authorities that are trusted there; None: the system's.
        proxy: How it is reached; None: as the environment says.
        http2: Whether HTTP/2 is spoken where it is offered.
    """

    profile: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: Path | None = None
    proxy: str | None = field(default=None, repr=False)
    http2: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that is offered; None leaves a thing as the profile or the settings for all have it.

    Attributes:
        id: What clients choose it by.
        provider: A profile, an endpoint, or `embedded`, `tour`, `scripted` or `any-llm`.
        name: What the provider calls it.
        label: What users read.
        description: A short line below the label.
        context_tokens: What question, history and answer together may have.
        max_tokens: Tokens of an answer, at most.
        temperature: From 0 to 2.
        effort: How hard it thinks.
        extra_body: Fields to add to each request.
        first_token_timeout: Seconds until the first token.
        chunk_timeout: Seconds between two tokens.
        total_timeout: Seconds for a whole answer.
        fallback: The ids of those that are asked instead, in this order.
        tenants: Who may choose it; nobody named: all may.
        images: Whether it takes images.
        tools: Whether it calls tools.
        titles: Whether it names conversations.
        price: What it costs.
    """

    id: str
    provider: str
    name: str | None = None
    label: str | None = None
    description: str | None = None
    context_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    first_token_timeout: float | None = None
    chunk_timeout: float | None = None
    total_timeout: float | None = None
    fallback: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    images: bool | None = None
    tools: bool | None = None
    titles: bool | None = None
    price: Price | None = None

    def takes(self, profile: Profile) -> Profile:
        """Return the profile of its provider with what this model does not take."""
        images = profile.images if self.images is None else self.images
        tools = profile.tools if self.tools is None else self.tools
        return replace(profile, images=images, tools=tools)

    def within(self, usual: Deadlines) -> Deadlines:
        """Return its own deadlines, where it has any."""
        if not (self.first_token_timeout or self.chunk_timeout or self.total_timeout):
            return usual
        return Deadlines(
            self.first_token_timeout or usual.first_token,
            self.chunk_timeout or usual.between,
            self.total_timeout or usual.total,
        )
