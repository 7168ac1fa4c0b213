"""From the configuration to the catalog."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import openai
from agents import Model, ModelSettings
from openai import AsyncOpenAI
from openai.types.shared import Reasoning

from chatkeep.models.any_llm import PROFILE as ANY_LLM
from chatkeep.models.any_llm import AnyLlmModel
from chatkeep.models.breaker import Breaker
from chatkeep.models.catalog import Catalog, ModelEntry
from chatkeep.models.choice import ModelsConfig, choose_provider
from chatkeep.models.clients import Endpoint
from chatkeep.models.compatible import CompatibleModel, Prepare
from chatkeep.models.fallback import Candidate, FallbackModel
from chatkeep.models.guard import Deadlines
from chatkeep.models.offers import Offer
from chatkeep.models.opening_embedded import open_embedded
from chatkeep.models.places import Places
from chatkeep.models.replacing import ReplacingModel
from chatkeep.models.retrying import RetryingModel
from chatkeep.models.scripted import ScriptedModel, echo
from chatkeep.models.tour import Tour, documentation
from chatkeep.models.tuned import TunedModel

_NAMELESS = "default"
"""A server with one model need not have a list, nor care for the name."""

_OUR_IDS = frozenset({"tour", "embedded", "scripted"})


def open_models(config: ModelsConfig) -> Catalog:
    """Return the models to choose from.

    Raises:
        SettingsError: The configuration does not name one provider, or it lacks something.
    """
    opening = _Opening(config)
    entries = [opening.entry(offer) for offer in config.offered or [_only(config, opening.places)]]
    known = {entry.id: entry for entry in entries}
    for offer in config.offered:
        if offer.fallback:
            chain = [known[offer.id], *(known[other] for other in offer.fallback)]
            entries[entries.index(chain[0])] = _with_fallback(chain, config)
    if config.tour and "tour" not in known:
        entries.append(opening.entry(Offer("tour", "tour")))
    return Catalog(entries, opening.closers, opening.places.endpoints)


def _only(config: ModelsConfig, places: Places) -> Offer:
    """Return the one model of a configuration without a list."""
    provider = choose_provider(config)
    if provider in _OUR_IDS:
        return Offer(provider, provider, context_tokens=config.context_tokens)
    if provider == "any-llm":
        model_id = config.name or provider
        return Offer(model_id, provider, name=config.name, context_tokens=config.context_tokens)
    name = config.name or places.profile_of(provider).default_model
    # A provider's model may be called like one of ours.
    model_id = f"{provider}/{name}" if name in _OUR_IDS else name or provider
    return Offer(model_id, provider, name=name, context_tokens=config.context_tokens)


def _with_fallback(chain: Sequence[ModelEntry], config: ModelsConfig) -> ModelEntry:
    candidates = [
        Candidate(entry.id, entry.label, entry.model, entry.context_tokens, entry.images)
        for entry in chain
    ]
    if config.on_break == "stop":
        return replace(chain[0], model=FallbackModel(candidates))
    return replace(chain[0], model=ReplacingModel(candidates, config.on_break))


class _Opening:
    """Makes entries, and remembers what must be closed."""

    def __init__(self, config: ModelsConfig) -> None:
        self.places = Places(config)
        self._config = config
        self._closers: list[Callable[[], Awaitable[None]]] = []

    @property
    def closers(self) -> list[Callable[[], Awaitable[None]]]:
        """What closes all of it."""
        return [*self._closers, *self.places.closers]

    def entry(self, offer: Offer) -> ModelEntry:
        """Return the entry of an offer, without its fallback."""
        match offer.provider:
            case "tour":
                entry = self._tour(offer)
            case "scripted":
                entry = _scripted(offer)
            case "embedded":
                entry, closers = open_embedded(self._config, offer)
                self._closers += closers
            case "any-llm":
                entry = self._any_llm(offer)
            case _:
                entry = self._remote(offer)
        return _as_offered(entry, offer)

    def _tour(self, offer: Offer) -> ModelEntry:
        guide = Tour(documentation())
        self._closers.append(guide.aclose)
        return ModelEntry(
            id=offer.id,
            label="Tour",
            description="A built-in guide: quotes Chatkeep's documentation, no language model",
            model=ScriptedModel("tour", guide),
            disclaimer="You are talking to the **built-in tour**, which quotes Chatkeep's "
            "documentation. Ask it how to connect a real model.",
        )

    def _any_llm(self, offer: Offer) -> ModelEntry:
        name = offer.name or ""
        deadlines = offer.within(self._config.deadlines)
        profile = offer.takes(ANY_LLM)
        called = AnyLlmModel(name, deadlines, model_id=offer.id, profile=profile)
        return ModelEntry(
            id=offer.id,
            label=name,
            description="Through any-llm",
            model=self._tried_again(
                called, offer, Breaker(f"any-llm: {name}", called.hint), deadlines
            ),
            context_tokens=self._config.context_tokens or ANY_LLM.context_tokens,
            titles=True,
            images=profile.images,
            tools=profile.tools,
            price=self._config.prices.find(name),
            source=f"any-llm {name}",
        )

    def _remote(self, offer: Offer) -> ModelEntry:
        endpoint = self.places.open(offer.provider)
        profile = offer.takes(self.places.profile_of(offer.provider))
        place = self.places.address_of(offer.provider).place
        named = offer.name or profile.default_model
        deadlines = offer.within(self._config.deadlines)
        called = CompatibleModel(
            _named(endpoint, named),
            deadlines,
            responses_api=profile.responses_api,
            hint=endpoint.hint,
            profile=profile,
            model_id=offer.id,
        )
        return ModelEntry(
            id=offer.id,
            label=named or "First model listed",
            description=profile.label if profile.base_url else f"{profile.label} at {place}",
            model=self._tried_again(called, offer, endpoint.breaker, deadlines),
            context_tokens=self._config.context_tokens or profile.context_tokens,
            titles=True,
            probe=endpoint.probe,
            images=profile.images,
            tools=profile.tools,
            price=self._config.prices.find(named or "*", self.places.name_of(offer.provider)),
            source=f"{place} {named}",
        )

    def _tried_again(
        self, model: Model, offer: Offer, breaker: Breaker, deadlines: Deadlines
    ) -> Model:
        return RetryingModel(
            model,
            offer.id,
            breaker=breaker,
            policy=self._config.retries,
            first_token=deadlines.first_token,
        )


def _scripted(offer: Offer) -> ModelEntry:
    return ModelEntry(
        id=offer.id,
        label="Scripted",
        description="Says what it was told",
        model=ScriptedModel("scripted", echo),
        disclaimer="You are talking to a **script**, not to a language model.",
    )


def _as_offered(entry: ModelEntry, offer: Offer) -> ModelEntry:
    """Return the entry with what the offer says of it."""
    own = ModelSettings(
        temperature=offer.temperature,
        max_tokens=offer.max_tokens,
        reasoning=Reasoning(effort=offer.effort) if offer.effort else None,
        extra_body=dict(offer.extra_body) or None,
    )
    settings = entry.settings.resolve(own)
    model = entry.model if settings == ModelSettings() else TunedModel(entry.model, settings)
    return replace(
        entry,
        label=offer.label or entry.label,
        description=entry.description if offer.description is None else offer.description,
        model=model,
        settings=settings,
        context_tokens=offer.context_tokens or entry.context_tokens,
        titles=entry.titles if offer.titles is None else offer.titles,
        tenants=frozenset(offer.tenants),
        price=offer.price or entry.price,
    )


def _named(endpoint: Endpoint, name: str | None) -> Prepare:
    """Return the client and the model's name, asking the server for its first one if need be."""
    resolved = name

    async def prepare() -> tuple[AsyncOpenAI, str]:
        nonlocal resolved
        if resolved is None:
            first: Any = None
            try:
                listed = await endpoint.client.models.list()
                if not listed.data:
                    return endpoint.client, _NAMELESS  # a model may be added at any time
                first = listed.data[0].id
            except (openai.NotFoundError, AttributeError, LookupError, TypeError, ValueError):
                pass  # no list, or another page in its place
            resolved = first if isinstance(first, str) else _NAMELESS
        return endpoint.client, resolved

    return prepare
