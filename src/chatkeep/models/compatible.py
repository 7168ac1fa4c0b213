"""Models behind an OpenAI-compatible URL: the Agents SDK's own model classes, kept honest.

The SDK's private `_fetch_response` is overridden because it is the only place where the raw
stream can be reached; `tests/unit/test_sdk_pins.py` fails when its signature moves.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

from agents import Model, ModelResponse, OpenAIChatCompletionsModel, OpenAIResponsesModel
from agents.items import TResponseStreamEvent
from openai import AsyncOpenAI

from chatkeep.errors import (
    ModelCredentialsError,
    ModelError,
    ModelRequestError,
    ModelUnavailableError,
)
from chatkeep.models.errors import FOREIGN_ERRORS, translate
from chatkeep.models.guard import (
    CheckedStream,
    Deadlines,
    SurrogateJoiner,
    backpressure,
    paced,
)
from chatkeep.models.profiles import PROFILES, Profile

type Prepare = Callable[[], Awaitable[tuple[AsyncOpenAI, str]]]
"""Returns the client and the provider's name of the model; called before every request, so that
an embedded server can be started and a model looked up at the first message."""

type _Events = AsyncGenerator[TResponseStreamEvent]

_OPERATORS_BUSINESS = (ModelCredentialsError, ModelRequestError, ModelUnavailableError)
_TEXT_EVENTS = frozenset({"response.output_text.delta", "response.refusal.delta"})
_DELTAS = _TEXT_EVENTS | {
    "response.reasoning_summary_text.delta",
    "response.reasoning_text.delta",
}


class CompatibleModel(Model):
    """A model behind a URL, by chat completions or by the Responses API.

    Args:
        prepare: Gives the client and the provider's name of the model.
        deadlines: Limits on each call.
        responses_api: Which of the two APIs.
        hint: What an operator should look at when the provider fails.
        profile: What the provider supports.
        model_id: What the catalog calls the model; `calls.observer` is told of it.

    Raises, from both methods:
        ModelError: The provider failed; the subclass says how. Its own words are not passed on.
    """

    def __init__(
        self,
        prepare: Prepare,
        deadlines: Deadlines,
        *,
        responses_api: bool = False,
        hint: str | None = None,
        profile: Profile = PROFILES["compatible"],
        model_id: str = "",
    ) -> None:
        self._prepare = prepare
        self._deadlines = deadlines
        self._responses_api = responses_api
        self._hint = hint
        self._profile = profile
        self._model_id = model_id

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """Return a whole answer."""
        try:
            async with asyncio.timeout(self._deadlines.total):
                return await (await self._inner()).get_response(*args, **kwargs)
        except ModelError as error:
            self._hinted(error)
            raise
        except FOREIGN_ERRORS as error:
            raise self._translate(error, started=False) from error

    async def stream_response(
        self, *args: Any, **kwargs: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Stream an answer, within the deadlines."""
        started = False
        joiners: defaultdict[str, SurrogateJoiner] = defaultdict(SurrogateJoiner)
        pressure = backpressure.get()
        try:
            async with asyncio.timeout(self._deadlines.first_token):
                inner = await self._inner()
            # An async generator, whatever the SDK calls it: closing it closes the socket.
            stream = cast("_Events", inner.stream_response(*args, **kwargs))
            async with aclosing(stream) as events:
                async for event in paced(events, self._deadlines):
                    if event.type in _DELTAS:
                        started = started or event.type in _TEXT_EVENTS
                        delta = cast("Any", event)
                        delta.delta = joiners[event.type].feed(delta.delta)
                    yield event
                    if pressure is not None:
                        await pressure.wait()
        except ModelError as error:
            self._hinted(error)
            raise
        except FOREIGN_ERRORS as error:
            raise self._translate(error, started=started) from error

    def _translate(self, error: Exception, *, started: bool) -> ModelError:
        return self._hinted(translate(error, started=started))

    def _hinted(self, error: ModelError) -> ModelError:
        if isinstance(error, _OPERATORS_BUSINESS):
            error.hint = error.hint or self._hint
        return error

    async def _inner(self) -> "_ChatCompletions | OpenAIResponsesModel":
        client, name = await self._prepare()
        if self._responses_api:
            return OpenAIResponsesModel(model=name, openai_client=client)
        return _ChatCompletions(model=name, openai_client=client)


class _ChatCompletions(OpenAIChatCompletionsModel):
    async def _fetch_response(self, *args: Any, **kwargs: Any) -> Any:
        fetched = await super()._fetch_response(*args, **kwargs)
        if not kwargs.get("stream"):
            return fetched
        response, stream = fetched
        return response, CheckedStream(stream)
