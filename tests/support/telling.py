"""A scripted model that tells its run what a call took and how it ended, as those of providers."""

from collections.abc import AsyncIterator
from typing import Any

from agents import ModelResponse
from agents.items import TResponseStreamEvent

from chatkeep.models.calls import Finish, Tokens, observer
from chatkeep.models.scripted import Script, ScriptedModel, echo

TOKENS = Tokens(input=100, cached=40, output=50, reasoning=10)


class Telling(ScriptedModel):
    """Tells of each call.

    Args:
        script: What it says.
        tokens: What each call takes.
        early: Why each answer ends early.
        instead_of: The model that was to be asked.
        notice: What the user is told meanwhile.
    """

    def __init__(
        self,
        script: Script = echo,
        tokens: Tokens = TOKENS,
        *,
        early: Finish | None = None,
        instead_of: str | None = None,
        notice: str | None = None,
    ) -> None:
        super().__init__("telling", script)
        self.tokens = tokens
        self.early = early
        self.instead_of = instead_of
        self.notice = notice

    async def get_response(self, *args: Any, **named: Any) -> ModelResponse:
        """Play the whole script."""
        response = await super().get_response(*args, **named)
        self._tell()
        return response

    async def stream_response(
        self, *args: Any, **named: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Play the script as a stream."""
        told = observer.get()
        if told is not None and self.instead_of is not None:
            told.fell_back(self.instead_of, self.name, "timeout")
        if told is not None and self.notice is not None:
            await told.notify("info", self.notice)
        async for event in super().stream_response(*args, **named):
            yield event
        self._tell()

    def _tell(self) -> None:
        told = observer.get()
        if told is None:
            return
        told.used(self.name, self.tokens)
        if self.early is not None:
            told.ended_early(self.early)
