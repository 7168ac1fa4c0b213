"""Other models that answer instead of one that fails.

One call of a model is replaced, not the run that it belongs to: what tools did before the call is
a part of its input, and no tool is called before the call has ended. So a tool never runs twice.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

import structlog
from agents import Model, ModelResponse
from agents.items import TResponseStreamEvent

from chatkeep.errors import ModelError, ModelRequestError
from chatkeep.models.calls import observer
from chatkeep.models.failures import may_ask_another, word_for
from chatkeep.models.retrying import begun
from chatkeep.models.tuned import Input

type Events = AsyncGenerator[TResponseStreamEvent]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may answer.

    Attributes:
        id: What the catalog calls it.
        label: What users read.
        model: What answers.
        context_tokens: What question, history and answer together may have.
        images: Whether it takes images.
    """

    id: str
    label: str
    model: Model
    context_tokens: int
    images: bool = True


class Chain:
    """The candidates for one call, and how far it has come.

    Args:
        candidates: The chosen model, then those that stand in for it.
        input: What is asked.

    Attributes:
        current: The one that is asked now.
        before: The one that was asked before it.
    """

    def __init__(self, candidates: Sequence[Candidate], input: Input) -> None:
        self.current = self.before = candidates[0]
        self._rest = list(candidates[1:])
        self._input = input
        self._failure: ModelError | None = None

    def next(self, error: ModelError, *, broken: bool = False) -> None:
        """Go on to the next one that may do better; the log and the run's observer are told.

        Args:
            error: How the present one failed.
            broken: It had begun to answer.

        Raises:
            ModelError: There is none. It is the first failure, or how the shown answer broke.
        """
        self._failure = error if broken else self._failure or error
        while self._rest:
            candidate = self._rest.pop(0)
            if self._may(candidate, error):
                self.before, self.current = self.current, candidate
                self._note(error)
                return
        raise self._failure

    def _may(self, candidate: Candidate, error: ModelError) -> bool:
        if isinstance(error, ModelRequestError) and error.too_long:
            return candidate.context_tokens > self.current.context_tokens
        if may_ask_another(error):
            return True
        # It may have been the images; which models take them cannot be asked.
        return self.current.images and candidate.images and _has_images(self._input)

    def _note(self, error: ModelError) -> None:
        why = word_for(error)
        _log.warning(
            "another model asked",
            model=self.before.id,
            to=self.current.id,
            error=why,
            hint=error.hint,
        )
        if (told := observer.get()) is not None:
            told.fell_back(self.before.id, self.current.id, why)


class FallbackModel(Model):
    """Asks its candidates in their order until one begins to answer.

    Args:
        candidates: The chosen model, then those that stand in for it.

    Raises, from both methods:
        ModelError: All have failed, and this is the failure of the chosen one; or an answer broke
            that had begun.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates

    async def get_response(
        self, system_instructions: str | None, input: Input, *args: Any, **kwargs: Any
    ) -> ModelResponse:
        """Return a whole answer."""
        chain = Chain(self._candidates, input)
        while True:
            model = chain.current.model
            try:
                return await model.get_response(system_instructions, input, *args, **kwargs)
            except ModelError as error:
                chain.next(error)

    async def stream_response(
        self, system_instructions: str | None, input: Input, *args: Any, **kwargs: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Stream an answer."""
        chain = Chain(self._candidates, input)
        while True:
            async with aclosing(
                opened(chain.current, system_instructions, input, *args, **kwargs)
            ) as events:
                try:
                    held = await begun(events)
                except ModelError as error:
                    chain.next(error)
                    continue
                for event in held:
                    yield event
                async for event in events:
                    yield event
                return


def opened(candidate: Candidate, *args: Any, **kwargs: Any) -> Events:
    """Return the stream of a candidate: an async generator, whatever the SDK calls it."""
    return cast("Events", candidate.model.stream_response(*args, **kwargs))


def _has_images(input: Input) -> bool:
    items = cast("list[Mapping[str, Any]]", [] if isinstance(input, str) else input)
    contents = (item.get("content") for item in items)
    parts = (part for content in contents if isinstance(content, list) for part in content)
    return any(isinstance(part, Mapping) and part.get("type") == "input_image" for part in parts)
