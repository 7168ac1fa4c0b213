"""The models that a user may choose from: the allow-list, and the Agents SDK's provider."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from agents import Model, ModelProvider, ModelSettings


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
        calls: Whether it takes calls of tools, and so those of earlier turns.
        probe: Returns when the model could answer, else raises `ModelError`.
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
    calls: bool = True
    probe: Callable[[], Awaitable[None]] = _always_there


class Catalog(ModelProvider):
    """The models of this server, the default one first."""

    def __init__(
        self, entries: Sequence[ModelEntry], closers: Sequence[Callable[[], Awaitable[None]]] = ()
    ) -> None:
        self._entries = {entry.id: entry for entry in entries}
        self._closing = AsyncExitStack()
        for close in closers:
            self._closing.push_async_callback(close)

    @property
    def entries(self) -> list[ModelEntry]:
        """All models, the default one first."""
        return list(self._entries.values())

    @property
    def default(self) -> ModelEntry:
        """What answers when the user chose nothing."""
        return next(iter(self._entries.values()))

    def find(self, model_id: str | None) -> ModelEntry | None:
        """Return the entry with this id (the default one for None), or None."""
        return self.default if model_id is None else self._entries.get(model_id)

    def wrap_models(self, wrap: Callable[[ModelEntry], Model]) -> None:
        """Put something in front of every model."""
        self._entries = {
            entry.id: replace(entry, model=wrap(entry)) for entry in self._entries.values()
        }

    def get_model(self, model_name: str | None) -> Model:
        """Return a model for the Agents SDK; a name that is not ours gets the default model."""
        return (self.find(model_name) or self.default).model

    async def aclose(self) -> None:
        """Close connections and stop the embedded model. Idempotent."""
        await self._closing.aclose()
