"""Something goes wrong at the n-th await of what a turn depends on.

Every call of the store, of a file storage, and every event of a model has two such places: before
it, and behind it, where it has been done and nobody is told.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any

from agents import Model

from chatkeep.errors import ModelUnavailableError, StorageUnavailableError, StoreUnavailableError


class Mode(Enum):
    """What happens there."""

    RAISE = "raise"
    """What was called is not there."""
    CANCEL = "cancel"
    """Whoever waits is cancelled."""
    KILL = "kill"
    """The process is gone: nothing that it calls happens any more, or returns."""


class Faults:
    """Counts awaits, and lets one of them go wrong.

    Args:
        number: Which; 0 for none.
        mode: How.
        where: Only those at this place count.

    Attributes:
        count: How many there were.
        fired: Where it has gone wrong; None before.
        dead: The process is gone.
    """

    def __init__(self, number: int = 0, mode: Mode = Mode.RAISE, where: str | None = None) -> None:
        self._number = number
        self._where = where
        self._mode = mode
        self._buried = False
        self.count = 0
        self.fired: str | None = None
        self.dead = asyncio.Event()

    def bury(self) -> None:
        """Let whatever still waits in a dead process end."""
        self._buried = True

    async def point(self, error: Callable[[], Exception], place: str) -> None:
        """Pass a place where something may go wrong."""
        await self._stay_dead()
        self.count += self._where in (None, place)
        if self.fired or self.count != self._number:
            return
        self.fired = place
        match self._mode:
            case Mode.RAISE:
                raise error()
            case Mode.CANCEL:
                task = asyncio.current_task()
                assert task
                task.cancel()
                await asyncio.sleep(0)
            case Mode.KILL:
                self.dead.set()
                await self._stay_dead()

    async def _stay_dead(self) -> None:
        if self._buried:
            raise asyncio.CancelledError
        if self.dead.is_set():
            await asyncio.Event().wait()

    def wrap(self, wrapped: Any, error: Callable[[], Exception]) -> Any:
        """Return the same thing, whose methods can go wrong."""
        return _Faulty(wrapped, self, error)

    def store(self, store: Any) -> Any:
        """Return a store that can fail."""
        return self.wrap(store, StoreUnavailableError)

    def storage(self, storage: Any) -> Any:
        """Return a file storage that can fail."""
        return self.wrap(storage, StorageUnavailableError)

    def model(self, model: Model) -> Model:
        """Return a model that can fail."""
        return _FaultyModel(model, self)


class _Faulty:
    def __init__(self, wrapped: Any, faults: Faults, error: Callable[[], Exception]) -> None:
        self._wrapped = wrapped
        self._faults = faults
        self._error = error

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._wrapped, name)
        if iscoroutinefunction(attribute):
            return self._call(attribute)
        if isasyncgenfunction(attribute):
            return self._stream(attribute)
        return attribute

    def _call(self, call: Callable[..., Awaitable[Any]]) -> Any:
        @wraps(call)
        async def faulty(*args: Any, **named: Any) -> Any:
            await self._faults.point(self._error, f"before {call.__name__}")
            result = await call(*args, **named)
            await self._faults.point(self._error, f"behind {call.__name__}")
            return result

        return faulty

    def _stream(self, stream: Callable[..., AsyncIterator[Any]]) -> Any:
        @wraps(stream)
        async def faulty(*args: Any, **named: Any) -> AsyncIterator[Any]:
            await self._faults.point(self._error, f"before {stream.__name__}")
            async for each in stream(*args, **named):
                yield each
                await self._faults.point(self._error, f"behind {stream.__name__}")

        return faulty


class _FaultyModel(Model):
    def __init__(self, model: Model, faults: Faults) -> None:
        self._model = model
        self._faults = faults

    async def get_response(self, *args: Any, **named: Any) -> Any:
        await self._faults.point(ModelUnavailableError, "before the model")
        return await self._model.get_response(*args, **named)

    async def stream_response(self, *args: Any, **named: Any) -> AsyncIterator[Any]:
        await self._faults.point(ModelUnavailableError, "before the model")
        async for event in self._model.stream_response(*args, **named):
            yield event
            await self._faults.point(ModelUnavailableError, f"behind {event.type}")
