"""What stands between a provider's stream and us: deadlines, limits, repaired surrogate pairs.

A stream has a limit until its first event, between events and in total. One that has more than
it may is cut off, and an emoji that the provider cut into two deltas is joined.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from chatkeep.deadline import Deadline

_SURROGATE = re.compile("[\ud800-\udfff]")
_HIGH_AT_END = re.compile("[\ud800-\udbff]\\Z")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Limits on one model call, in seconds."""

    first_token: float = 30
    between: float = 30
    total: float = 600


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on one answer.

    Attributes:
        event: Bytes of one event, which may hold an image.
        body: Bytes of the whole stream.
        characters: Of text, thoughts and arguments; some four make a token.
    """

    event: int = 8 * 2**20
    body: int = 64 * 2**20
    characters: int = 4_000_000


class Pace:
    """The deadlines of one call, from now on.

    Args:
        deadlines: The limits.
        whole: Whether the answer comes in one piece: then only the total counts.
    """

    def __init__(self, deadlines: Deadlines, *, whole: bool = False) -> None:
        self._deadlines = deadlines
        self._whole = whole
        now = asyncio.get_running_loop().time()
        self._end = now + deadlines.total
        self._due = self._end if whole else min(self._end, now + deadlines.first_token)
        self._deadline: Deadline | None = None

    def limit(self) -> asyncio.Timeout:
        """Return a context that raises `TimeoutError` when what is awaited in it is due."""
        return asyncio.timeout_at(self._due)

    @asynccontextmanager
    async def throughout(self) -> AsyncGenerator[None]:
        """Keep one timer for all that is awaited within."""
        async with Deadline() as deadline:
            self._deadline = deadline
            try:
                yield
            finally:
                self._deadline = None

    async def awaited[T](self, awaitable: Awaitable[T]) -> T:
        """Await something.

        Raises:
            TimeoutError: It did not come in time.
        """
        if self._deadline is None:
            async with self.limit():
                return await awaitable
        self._deadline.set(self._due)
        result = await awaitable
        self._deadline.clear()
        return result

    def beat(self) -> None:
        """Say that something has come, and has been dealt with: the next one is due later."""
        if self._whole:
            return
        now = asyncio.get_running_loop().time()
        self._due = min(self._end, now + self._deadlines.between)


class SurrogateJoiner:
    """Joins surrogate pairs that arrive in two pieces; a lone half becomes U+FFFD.

    A lone surrogate cannot be encoded as UTF-8: let through, it ends the stream with an exception.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the text that is complete; half a pair at the end is held back."""
        if not self._held and not _SURROGATE.search(text):
            return text
        text = self._held + text
        self._held = ""
        if match := _HIGH_AT_END.search(text):
            self._held = match.group()
            text = text[:-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def end(self) -> str:
        """Return what stands for a half that was held back to the end."""
        held, self._held = self._held, ""
        return "\ufffd" if held else ""


class Backpressure:
    """Holds a model back while a run has more events than its reader has taken.

    The Agents SDK queues without a bound between model and reader.
    """

    _LIMIT = 512

    def __init__(self) -> None:
        self.waiting: Callable[[], int] = lambda: 0
        self._room = asyncio.Event()

    async def wait(self) -> None:
        """Return when there is room."""
        while self.waiting() >= self._LIMIT:
            self._room.clear()
            await self._room.wait()

    def taken(self) -> None:
        """Say that the reader has taken an event."""
        if not self._room.is_set() and self.waiting() < self._LIMIT // 2:
            self._room.set()


backpressure: ContextVar[Backpressure | None] = ContextVar("backpressure", default=None)
"""Of the run that a model is called in."""
