"""Asking a model again, as long as nothing of its answer has come: the one place for that.

The SDKs' own retries are off. What has begun is never asked for again here: text would come twice.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

import structlog
from agents import Model, ModelResponse
from agents.items import TResponseStreamEvent

from chatkeep.errors import ModelError, ModelTimeoutError
from chatkeep.models.breaker import Breaker
from chatkeep.models.failures import is_stale, may_ask_again, wished_wait, word_for

type Events = AsyncGenerator[TResponseStreamEvent]

_FIRST_WAIT = 0.5
"""Seconds before the second call, about; twice as many before the third."""

_BEFORE_THE_FIRST = frozenset({"response.created", "response.in_progress", "response.queued"})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to ask, and when.

    Attributes:
        tries: Calls at most, the first among them.
        longest_wait: What a provider may ask for, at most. If it asks for more, nobody waits.
    """

    tries: int = 3
    longest_wait: float = 10.0

    def wait(self, failed: int, wished: float | None) -> float | None:
        """Return the seconds to wait after so many failed calls, or None: it is given up."""
        if failed >= self.tries:
            return None
        if wished is None:
            wait = min(_FIRST_WAIT * float(2 ** (failed - 1)), self.longest_wait)
            return wait * random.uniform(0.5, 1)  # noqa: S311 - not a secret
        if wished > self.longest_wait:
            return None
        # Never before the time, and not all at the same moment.
        return wished + random.uniform(0, _FIRST_WAIT)  # noqa: S311


async def begun(events: Events) -> list[TResponseStreamEvent]:
    """Return what comes until an answer has begun: the last one is the first of the answer."""
    held: list[TResponseStreamEvent] = []
    async for event in events:
        held.append(event)
        if event.type not in _BEFORE_THE_FIRST:
            break
    return held


class RetryingModel(Model):
    """Asks a model again when it fails before its first token.

    Args:
        inner: The model, whose failures are `ModelError`s.
        model_id: What the catalog calls it.
        breaker: Watches its endpoint.
        policy: How often, and when.
        first_token: Seconds within which all calls together must have begun an answer.
    """

    def __init__(
        self,
        inner: Model,
        model_id: str,
        *,
        breaker: Breaker,
        policy: RetryPolicy,
        first_token: float,
    ) -> None:
        self._inner = inner
        self._id = model_id
        self._breaker = breaker
        self._policy = policy
        self._first_token = first_token

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """Return a whole answer."""
        attempts = self._attempts()
        while True:
            try:
                with self._breaker.watch():
                    return await self._inner.get_response(*args, **kwargs)
            except ModelError as error:
                wait = attempts.wait_after(error)
                if wait is None:
                    raise
            await asyncio.sleep(wait)

    async def stream_response(
        self, *args: Any, **kwargs: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Stream an answer; what failed before it began leaves no trace."""
        attempts = self._attempts()
        while True:
            # Async generators, whatever the SDK calls them.
            stream = cast("Events", self._inner.stream_response(*args, **kwargs))
            async with aclosing(stream) as events:
                try:
                    held = await self._begin(events, attempts)
                except ModelError as error:
                    wait = attempts.wait_after(error)
                    if wait is None:
                        raise
                else:
                    for event in held:
                        yield event
                    async for event in events:
                        yield event
                    return
            await asyncio.sleep(wait)

    def _attempts(self) -> "_Attempts":
        return _Attempts(self._id, self._breaker, self._policy, self._first_token)

    async def _begin(self, events: Events, attempts: "_Attempts") -> list[TResponseStreamEvent]:
        with self._breaker.watch():
            try:
                async with asyncio.timeout_at(attempts.deadline):
                    return await begun(events)
            except TimeoutError as error:
                raise ModelTimeoutError from error


class _Attempts:
    """The calls for one answer."""

    def __init__(
        self, model_id: str, breaker: Breaker, policy: RetryPolicy, first_token: float
    ) -> None:
        self.deadline = asyncio.get_running_loop().time() + first_token
        self._id = model_id
        self._breaker = breaker
        self._policy = policy
        self._failed = 0
        self._reconnected = False

    def wait_after(self, error: ModelError) -> float | None:
        """Return the seconds to wait before the next call, or None: there is no next one."""
        if not may_ask_again(error) or self._breaker.state != "closed":
            return None
        if is_stale(error) and not self._reconnected:
            self._reconnected = True  # on a new connection, at once
            return 0.0
        self._failed += 1
        wait = self._policy.wait(self._failed, wished_wait(error))
        if wait is None or asyncio.get_running_loop().time() + wait >= self.deadline:
            return None
        _log.info("model asked again", model=self._id, error=word_for(error), wait=round(wait, 3))
        return wait
