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

_PACE = re.compile(r"([\w-]+): (\d+) words, (\d+) ms apart, after (\d+) ms")


def question(name: str, words: int = 20, gap: int = 20, first: int = 0) -> str:
    """Return a message: what to answer, and how fast, in milliseconds. Names are of one use."""
    return f"{name}: {words} words, {gap} ms apart, after {first} ms"


def reply(message: str) -> str:
    """Return the whole answer to a message."""
    name, words, _, _ = _paced(message)
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
    return _paced("\n".join(_texts(request)))[0]


def _texts(request: dict[str, Any]) -> Iterable[str]:
    for message in request["messages"]:
        if message["role"] == "user":
            content = message["content"]
            parts = [{"text": content}] if isinstance(content, str) else content
            yield from (part["text"] for part in parts if "text" in part)


def _answer(messages: Sequence[Message]) -> Iterable[Step]:
    asked = "\n".join(message.text for message in messages if message.role == "user")
    name, words, gap, first = _paced(asked)
    yield Pause(first / 1000)
    yield Text(reply(question(name, words, gap, first)), gap=gap / 1000)


def _paced(asked: str) -> tuple[str, int, int, int]:
    """Return the name, words and times of the newest question in a text.

    Messages that were not answered come in one with the newest, and before it.
    """
    found = _PACE.findall(asked)
    assert found
    name, *numbers = found[-1]
    words, gap, first = map(int, numbers)
    return name, words, gap, first
