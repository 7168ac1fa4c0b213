"""A provider at the socket whose answer follows from the message, at a pace that it names."""

import asyncio
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from chatkeep.models.scripted import Message, Pause, Step, Text
from chatkeep.testing.provider import ScriptedProvider

_PACE = re.compile(r"(\d+) words, (\d+) ms apart, after (\d+) ms")


def question(name: str, words: int = 20, gap: int = 20, first: int = 0) -> str:
    """Return a message: what to answer, and how fast, in milliseconds. Names are of one use."""
    return f"{name}: {words} words, {gap} ms apart, after {first} ms"


def reply(message: str) -> str:
    """Return the whole answer to a message."""
    name = message.partition(":")[0]
    words = int(_paced(message)[0])
    return " ".join(f"{name}/{n}{'🙂' * (n % 7 == 0)}" for n in range(words))


@dataclass(slots=True, eq=False)
class Call:
    """A request for an answer.

    Attributes:
        began: When it came, by the clock that `time.monotonic` has in every process.
        ended: When the last of it was sent, or the client had left.
        closed: When the client left before the end; None if it did not.
        complete: The answer was sent to its end.
        over: Set when nothing more comes.
    """

    began: float = field(default_factory=monotonic)
    ended: float = math.inf
    closed: float | None = None
    complete: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)


class PacedProvider(ScriptedProvider):
    """Counts the calls for each message, and notices clients that leave.

    Attributes:
        calls: The calls for each message's name.
    """

    def __init__(self) -> None:
        super().__init__(_answer)
        self.calls: defaultdict[str, list[Call]] = defaultdict(list)

    async def _complete(
        self, request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        call = Call()
        self.calls[_newest(request)].append(call)
        try:
            await super()._complete(request, reader, writer)
            await writer.drain()
            call.complete = True
        except ConnectionError:
            call.closed = monotonic()
            raise
        finally:
            call.ended = monotonic()
            call.over.set()


def _newest(request: dict[str, Any]) -> str:
    asked = [each["content"] for each in request["messages"] if each["role"] == "user"]
    newest = next(text for text in reversed(asked) if _PACE.search(str(text)))
    return str(newest).partition(":")[0]


def _answer(messages: Sequence[Message]) -> Iterable[Step]:
    asked = [message.text for message in messages if message.role == "user"]
    newest = next(text for text in reversed(asked) if _PACE.search(text))
    _, gap, first = _paced(newest)
    yield Pause(first / 1000)
    yield Text(reply(newest), gap=gap / 1000)


def _paced(message: str) -> tuple[int, int, int]:
    found = _PACE.search(message)
    assert found
    words, gap, first = map(int, found.groups())
    return words, gap, first
