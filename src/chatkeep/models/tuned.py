"""A model with settings of its own."""

from collections.abc import AsyncIterator
from typing import Any

from agents import Model, ModelResponse, ModelSettings, TResponseInputItem
from agents.items import TResponseStreamEvent

type Input = str | list[TResponseInputItem]


class TunedModel(Model):
    """Lays settings over the agent's.

    Not left to the run, which has one set of them: behind a fallback each model has its own.

    Args:
        inner: The model.
        settings: They win over the agent's.
    """

    def __init__(self, inner: Model, settings: ModelSettings) -> None:
        self._inner = inner
        self._settings = settings

    async def get_response(
        self,
        system_instructions: str | None,
        input: Input,
        model_settings: ModelSettings,
        *args: Any,
        **kwargs: Any,
    ) -> ModelResponse:
        """Return a whole answer."""
        settings = model_settings.resolve(self._settings)
        return await self._inner.get_response(system_instructions, input, settings, *args, **kwargs)

    def stream_response(
        self,
        system_instructions: str | None,
        input: Input,
        model_settings: ModelSettings,
        *args: Any,
        **kwargs: Any,
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Stream an answer."""
        settings = model_settings.resolve(self._settings)
        return self._inner.stream_response(system_instructions, input, settings, *args, **kwargs)
