"""Providers with a protocol of their own, through the library any-llm (the extra `any-llm`).

Its chunks are those of chat completions, and go the way of all others from here on. Its keys come
from the environment, under the names that the library has for them.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from types import SimpleNamespace
from typing import Any, cast

from openai import AsyncOpenAI

from chatkeep.errors import (
    ModelCredentialsError,
    ModelError,
    ModelRateLimitError,
    ModelRequestError,
    SettingsError,
)
from chatkeep.models.answers import Answer
from chatkeep.models.chunks import ChunkStream, whole
from chatkeep.models.compatible import ChatCompletions, CompatibleModel
from chatkeep.models.direct import Hand
from chatkeep.models.errors import of_object, translate
from chatkeep.models.gateway import Call
from chatkeep.models.guard import Deadlines, Pace
from chatkeep.models.metering import Meter
from chatkeep.models.normalising import Normaliser
from chatkeep.models.profiles import Profile
from chatkeep.models.requests import adapted
from chatkeep.models.sse import Event

PROFILE = Profile(
    label="any-llm",
    base_url=None,
    default_model=None,
    key_name=None,
    # The library knows what its providers take; what it does not know it refuses.
    omits=("store", "metadata", "verbosity", "prompt_cache_retention", "prompt_cache_options"),
)
_HTTP_ONLY = ("extra_headers", "extra_query", "extra_body")
_KINDS: dict[str, type[ModelError]] = {
    "AuthenticationError": ModelCredentialsError,
    "MissingApiKeyError": ModelCredentialsError,
    "RateLimitError": ModelRateLimitError,
    "InvalidRequestError": ModelRequestError,
    "ModelNotFoundError": ModelRequestError,
    "UnsupportedParameterError": ModelRequestError,
}
_CODES = {
    "ContextLengthExceededError": "context_length_exceeded",
    "InsufficientFundsError": "insufficient_quota",
}


class AnyLlmModel(CompatibleModel):
    """A model that any-llm reaches.

    Args:
        name: `provider:model`, as the library has it.
        deadlines: Limits on each call.
        model_id: What the catalog calls the model.
        profile: What is sent to it.

    Raises:
        SettingsError: The library is not installed, or has no such provider.
    """

    def __init__(
        self, name: str, deadlines: Deadlines, *, model_id: str, profile: Profile = PROFILE
    ) -> None:
        provider, colon, self._name = name.partition(":")
        self.hint = f"Check the key of {provider}, and the settings of the library any-llm."
        super().__init__(_no_client, deadlines, hint=self.hint, profile=profile, model_id=model_id)
        if not colon:
            raise SettingsError(
                "MODEL_NAME: any-llm needs a provider and a model, such as cohere:command-a"
            )
        self._provider = _provider(provider)

    async def _inner(
        self, meter: Meter, *, whole: bool = False, hand: Hand | None = None
    ) -> ChatCompletions:
        pace = Pace(self._deadlines, whole=whole)
        call = Call(self._profile, pace, meter, self._memory, self._limits, hand)
        gateway = SimpleNamespace(chat=_Chat(self._provider, call))
        # The SDK looks at the address of its client for OpenAI's own, and at nothing else.
        client = cast("AsyncOpenAI", SimpleNamespace(base_url=""))
        return ChatCompletions(self._name, client, gateway)


async def _no_client() -> tuple[AsyncOpenAI, str]:
    raise NotImplementedError


def _provider(name: str) -> Any:
    """Return the library's client for a provider; what it needs is imported now."""
    try:
        library = import_module("any_llm")
    except ImportError as error:
        raise SettingsError(
            "models.provider: any-llm is not installed; install chatkeep[any-llm]"
        ) from error
    try:
        try:
            return library.AnyLLM.create(name, unified_exceptions=True, max_retries=0)
        except library.exceptions.UnsupportedParameterError:
            return library.AnyLLM.create(name, unified_exceptions=True)  # it has no retries
    except Exception as error:  # many libraries: whatever they raise, the start has to stop
        raise SettingsError(
            f"models.provider: any-llm cannot open {name} ({type(error).__name__}); see whether "
            f"its key is set, and install any-llm-sdk[{name}]"
        ) from error


class _Chat:
    def __init__(self, provider: Any, call: Call) -> None:
        self._provider = provider
        self._call = call

    @property
    def completions(self) -> "_Chat":
        return self

    async def create(self, **fields: Any) -> Any:
        call = self._call
        sent = adapted(fields, call.profile, "", call.memory)
        for name in _HTTP_ONLY:
            sent.pop(name, None)
        call.meter.request = sent["messages"]
        async with call.pace.limit():
            answered = await _translated(self._provider.acompletion(**sent), call.meter)
        call.meter.reached = True
        source = _Chunks(answered, call)
        answer = Answer(source, Normaliser(call.limits), call.meter)
        if sent.get("stream"):
            return ChunkStream(None, answer, call.meter, call.memory, call.hand)
        return await whole(answer, sent["model"], call.meter, call.memory)


class _Chunks:
    """The library's chunks, or its whole answer, as events."""

    def __init__(self, answered: Any, call: Call) -> None:
        self._chunks: AsyncIterator[Any] | None = None
        self._whole: Any = None
        if hasattr(answered, "__aiter__"):
            self._chunks = aiter(answered)
        else:
            self._whole = answered
        self._call = call

    async def read(self) -> list[Event]:
        """Return the next chunk; nothing at the end."""
        pace = self._call.pace
        pace.beat()
        if self._chunks is None:
            chunk, self._whole = self._whole, None
        else:
            chunk = await pace.awaited(_translated(anext(self._chunks, None), self._call.meter))
        return [] if chunk is None else [Event(json.dumps(chunk.model_dump(mode="json")))]

    def in_time(self) -> AbstractAsyncContextManager[None]:
        """Return a context in which one timer watches over all that is read."""
        return self._call.pace.throughout()

    async def aclose(self) -> None:
        """Close the provider's socket."""
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()


async def _translated(awaited: Any, meter: Meter) -> Any:
    """Await something of the library; its failures come out as ours."""
    try:
        return await awaited
    except TimeoutError:
        raise
    except Exception as error:  # each provider has a library, and each library its exceptions
        kind = _KINDS.get(type(error).__name__)
        if kind is not None and not meter.started:
            raise kind from error
        if (code := _CODES.get(type(error).__name__)) is not None:
            raise of_object({"code": code}, started=False) from error
        raise translate(error, started=meter.started) from error
