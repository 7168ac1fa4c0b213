"""Models behind an OpenAI-compatible URL: the Agents SDK's own model classes, kept honest.

The SDK makes requests of its items and events of chunks; in between, what goes over the wire is
ours (`gateway.py`). The private `_get_client`, which both classes ask for a client, is where it is
put in; `tests/unit/test_sdk_pins.py` fails when that moves.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

from agents import Model, ModelResponse, OpenAIChatCompletionsModel, OpenAIResponsesModel
from agents.items import TResponseStreamEvent
from openai import AsyncOpenAI

from chatkeep.errors import (
    ModelCredentialsError,
    ModelError,
    ModelRateLimitError,
    ModelRequestError,
    ModelUnavailableError,
)
from chatkeep.models.call_memory import CallMemory
from chatkeep.models.direct import Begun, Hand, direct
from chatkeep.models.errors import FOREIGN_ERRORS, translate
from chatkeep.models.gateway import Call, Gateway
from chatkeep.models.guard import Deadlines, Limits, Pace, backpressure
from chatkeep.models.metering import Meter
from chatkeep.models.profiles import PROFILES, Profile

type Prepare = Callable[[], Awaitable[tuple[AsyncOpenAI, str]]]
"""Returns the client and the provider's name of the model; called before every request, so that
an embedded server can be started and a model looked up at the first message."""

type _Events = AsyncGenerator[TResponseStreamEvent]

# The SDK makes the first of these of the first chunk, the second one comes from ours.
_BEGUN = frozenset({"response.created", "chatkeep.begun"})

_NO_ANSWER = (
    ModelCredentialsError,
    ModelRateLimitError,
    ModelRequestError,
    ModelUnavailableError,
)
_OPERATORS_BUSINESS = (ModelCredentialsError, ModelRequestError, ModelUnavailableError)


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
        self._memory = CallMemory(thoughts=profile.thoughts_back)
        self._limits = Limits()

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """Return a whole answer."""
        meter = Meter(self._model_id)
        try:
            async with asyncio.timeout(self._deadlines.total):
                inner = await self._inner(meter, whole=True)
                return await inner.get_response(*args, **kwargs)
        except ModelError as error:
            self._failed(error, meter)
            raise
        except FOREIGN_ERRORS as error:
            raise self._failed(translate(error, started=False), meter) from error
        finally:
            meter.settle()

    async def stream_response(
        self, *args: Any, **kwargs: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Stream an answer, within the deadlines."""
        meter = Meter(self._model_id)
        pressure, run = backpressure.get(), direct.get()
        hand = run.of(kwargs["input"] if "input" in kwargs else args[1]) if run else None
        try:
            async with asyncio.timeout(self._deadlines.first_token):
                inner = await self._inner(meter, hand=hand)
            # An async generator, whatever the SDK calls it: closing it closes the socket.
            stream = cast("_Events", inner.stream_response(*args, **kwargs))
            if hand is not None:
                stream = _handed_over(stream, hand)
            async with aclosing(stream) as events:
                async for event in events:
                    yield event
                    if pressure is not None:
                        await pressure.wait()
        except ModelError as error:
            self._failed(error, meter)
            raise
        except FOREIGN_ERRORS as error:
            raise self._failed(translate(error, started=meter.started), meter) from error
        finally:
            meter.settle()

    def _failed(self, error: ModelError, meter: Meter) -> ModelError:
        """Return a failure, with what an operator should look at."""
        if isinstance(error, _NO_ANSWER):
            meter.refused()
        spent = isinstance(error, ModelRateLimitError) and error.spent
        if spent or isinstance(error, _OPERATORS_BUSINESS):
            error.hint = error.hint or self._hint
        return error

    async def _inner(
        self, meter: Meter, *, whole: bool = False, hand: Hand | None = None
    ) -> "ChatCompletions | _Responses":
        client, name = await self._prepare()
        pace = Pace(self._deadlines, whole=whole)
        call = Call(self._profile, pace, meter, self._memory, self._limits, hand)
        kind = _Responses if self._responses_api else ChatCompletions
        return kind(name, client, Gateway(client, call))


async def _handed_over(stream: _Events, hand: Hand) -> _Events:
    """Yield what the runner needs of an answer that is handed over: that it has begun, its end."""
    async with aclosing(stream) as events:
        async for event in events:
            if event.type in _BEGUN:
                begun = Begun()
                yield cast("TResponseStreamEvent", begun)  # the SDK passes on what it does not know
                await hand.take(begun)
            elif event.type == "response.completed":
                yield event
            elif not hand.spoken:
                await hand.take(event)


class ChatCompletions(OpenAIChatCompletionsModel):
    """The SDK's model, with a client of ours."""

    def __init__(self, name: str, client: AsyncOpenAI, gateway: Any) -> None:
        super().__init__(model=name, openai_client=client)
        self._gateway = gateway

    def _get_client(self) -> Any:
        return self._gateway


class _Responses(OpenAIResponsesModel):
    def __init__(self, name: str, client: AsyncOpenAI, gateway: Gateway) -> None:
        super().__init__(model=name, openai_client=client)
        self._gateway = gateway

    def _get_client(self) -> Any:
        return self._gateway
