"""The models that a user may choose from: the allow-list, and the Agents SDK's provider."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Literal

from agents import Model, ModelProvider, ModelSettings

from chatkeep.errors import ModelError
from chatkeep.models.calls import caller
from chatkeep.models.clients import Endpoint
from chatkeep.models.prices import Price


async def _always_there() -> None:
    """Answer the probe of a model that needs nothing."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that can be chosen.

    Attributes:
        id: What the client sends to choose it.
        label: What the user reads.
        description: A short line below the label.
        model: What answers.
        settings: How it is called, unless the agent says otherwise.
        context_tokens: What question, history and answer together may have.
        instructions: Instead of the default assistant's, where a model is too small for them.
        disclaimer: What a user should know of it (Markdown), shown below the composer.
        titles: Whether it is good and cheap enough to name threads.
        probe: Returns when the model could answer, else raises `ModelError`; the same one for all
            models of an endpoint.
        tenants: Who may choose it; nobody named: all may.
        images: Whether it takes images.
        tools: Whether it calls tools.
        price: What it costs, where that is known for this entry.
        source: What answers behind the id, and where: another one gives other answers.
    """

    id: str
    label: str
    description: str
    model: Model
    settings: ModelSettings = field(default_factory=ModelSettings)
    context_tokens: int = 16_000
    instructions: str | None = None
    disclaimer: str | None = None
    titles: bool = False
    probe: Callable[[], Awaitable[None]] = _always_there
    tenants: frozenset[str] = frozenset()
    images: bool = True
    tools: bool = True
    price: Price | None = None
    source: str = ""

    def allowed(self, tenant: str | None) -> bool:
        """Whether a tenant may choose it; None is one that is not known."""
        return not self.tenants or tenant in self.tenants


class Catalog(ModelProvider):
    """The models of this server, the default one first.

    Args:
        entries: The models.
        closers: What closes what they use.
        endpoints: Where they answer, for those who ask whether they do.
    """

    def __init__(
        self,
        entries: Sequence[ModelEntry],
        closers: Sequence[Callable[[], Awaitable[None]]] = (),
        endpoints: Sequence[Endpoint] = (),
    ) -> None:
        self._entries = {entry.id: entry for entry in entries}
        self._endpoints = endpoints
        self._closing = AsyncExitStack()
        for close in closers:
            self._closing.push_async_callback(close)

    @property
    def entries(self) -> list[ModelEntry]:
        """All models, the default one first."""
        return list(self._entries.values())

    @property
    def default(self) -> ModelEntry:
        """The first one of all."""
        return next(iter(self._entries.values()))

    def offered(self, tenant: str | None) -> list[ModelEntry]:
        """Return the models that a tenant may choose, the default one first."""
        return [entry for entry in self._entries.values() if entry.allowed(tenant)]

    def find(self, model_id: str | None, tenant: str | None) -> ModelEntry | None:
        """Return a model that a tenant may choose (its default one for None), or None."""
        if model_id is None:
            return next(iter(self.offered(tenant)), None)
        entry = self._entries.get(model_id)
        return entry if entry is not None and entry.allowed(tenant) else None

    def known(self, model_id: str) -> ModelEntry | None:
        """Return the entry with this id, whoever may choose it, or None."""
        return self._entries.get(model_id)

    def choices(self, tenant: str | None) -> list[dict[str, object]]:
        """Return the models that a tenant may choose, as front ends want to be told of them."""
        return [
            {
                "id": entry.id,
                "label": entry.label,
                "description": entry.description,
                "default": place == 0,
            }
            for place, entry in enumerate(self.offered(tenant))
        ]

    async def state(self) -> Literal["ok", "degraded", "unavailable"]:
        """Return whether all, some or none of the endpoints answer."""
        works = await asyncio.gather(*(endpoint.works() for endpoint in self._endpoints))
        if all(works):
            return "ok"
        return "degraded" if any(works) else "unavailable"

    def wrap_models(self, wrap: Callable[[ModelEntry], Model]) -> None:
        """Put something in front of every model."""
        self._entries = {
            entry.id: replace(entry, model=wrap(entry)) for entry in self._entries.values()
        }

    def get_model(self, model_name: str | None) -> Model:
        """Return a model for the Agents SDK; a name that is not ours gets the default model.

        That is the one of the tenant for whom it is asked: what is said may go to no other.

        Raises:
            ModelError: Nothing is offered to that tenant.
        """
        asking, known = caller.get(), self.known(model_name or "")
        if known is None:
            known = self.default if asking is None else self.find(None, asking.tenant)
        if known is None:
            raise ModelError("No model is offered to your organisation.")
        return known.model

    async def aclose(self) -> None:
        """Close connections and stop the embedded model. Idempotent."""
        await self._closing.aclose()
