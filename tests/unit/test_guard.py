"""Deadlines on streams, and the repair of surrogate pairs."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkeep.errors import ModelInterruptedError, ModelUnavailableError
from chatkeep.models.guard import CheckedStream, Deadlines, SurrogateJoiner, paced


async def events(*gaps: float, closed: list[bool] | None = None) -> AsyncIterator[int]:
    """Yield a number after each gap."""
    try:
        for number, gap in enumerate(gaps):
            await asyncio.sleep(gap)
            yield number
    finally:
        if closed is not None:
            closed.append(True)


async def collect(stream: Any, seen: list[Any]) -> None:
    """Put what comes into a list, which keeps it when the stream fails."""
    async for event in stream:
        seen.append(event)  # noqa: PERF401 - see above


@pytest.mark.usefixtures("instant_time")
async def test_events_in_time_pass() -> None:
    """All of them, in order, and the end is the end."""
    deadlines = Deadlines(0.2, 0.2, 1)
    assert [n async for n in paced(events(0, 0.01, 0.02), deadlines)] == [0, 1, 2]
    assert [n async for n in paced(events(), deadlines)] == []


@pytest.mark.parametrize(
    ("gaps", "deadlines", "passed", "seconds"),
    [
        ((60,), Deadlines(first_token=5, between=99, total=99), 0, 5),
        ((1, 60), Deadlines(first_token=99, between=5, total=99), 1, 6),
        ((1, 1, 60), Deadlines(first_token=99, between=5, total=99), 2, 7),
        ((60,), Deadlines(first_token=99, between=99, total=5), 0, 5),
        ((4, 4, 4, 4), Deadlines(first_token=99, between=99, total=10), 2, 10),
    ],
)
async def test_each_limit_ends_the_wait(
    gaps: tuple[float, ...],
    deadlines: Deadlines,
    passed: int,
    seconds: float,
    instant_time: asyncio.AbstractEventLoop,
) -> None:
    """First token, between tokens, total: whichever comes first, and the source is closed."""
    closed: list[bool] = []
    seen: list[int] = []
    started = instant_time.time()
    with pytest.raises(TimeoutError):
        await collect(paced(events(*gaps, closed=closed), deadlines), seen)
    assert len(seen) == passed
    assert instant_time.time() - started == pytest.approx(seconds)
    assert closed == [True]


@pytest.mark.usefixtures("instant_time")
async def test_the_wait_of_a_slow_reader_is_not_the_providers() -> None:
    """The limit between tokens starts when the next one is asked for."""
    seen = []
    async for number in paced(events(0, 0, 0), Deadlines(1, 5, 60)):
        await asyncio.sleep(8)
        seen.append(number)
    assert seen == [0, 1, 2]


async def test_an_error_and_a_cancellation_pass() -> None:
    """Only time is watched here."""

    async def failing() -> AsyncIterator[int]:
        yield 1
        raise LookupError

    with pytest.raises(LookupError):
        _ = [n async for n in paced(failing(), Deadlines())]
    task = asyncio.create_task(anext(paced(events(60), Deadlines())))  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def units(text: str) -> list[str]:
    """The UTF-16 code units of a text, as characters."""
    data = text.encode("utf-16-le", "surrogatepass")
    return [chr(int.from_bytes(data[i : i + 2], "little")) for i in range(0, len(data), 2)]


@given(st.text(), st.lists(st.integers(0, 40), max_size=8))
def test_a_text_cut_anywhere_is_joined(text: str, cuts: list[int]) -> None:
    """However a provider cuts the code units of a text into deltas, the joined text is the same."""
    whole = units(text)
    bounds = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    joiner = SurrogateJoiner()
    pieces = [joiner.feed("".join(whole[start:end])) for start, end in itertools.pairwise(bounds)]
    for piece in pieces:
        piece.encode()
    assert "".join(pieces) == text


ANY = st.text(alphabet=st.characters(codec=None, categories=None))


@given(st.lists(ANY, max_size=6))
def test_whatever_comes_can_be_encoded(pieces: list[str]) -> None:
    """Lone halves become U+FFFD, one each; everything else stays, in order."""
    joiner = SurrogateJoiner()
    fed = [joiner.feed(piece) for piece in [*pieces, "."]]
    for piece in fed:
        piece.encode()
    data = "".join([*pieces, "."]).encode("utf-16", "surrogatepass")
    assert "".join(fed) == data.decode("utf-16", "replace")


def test_half_a_pair_is_held_back() -> None:
    """Nothing is shown of an emoji until it is whole; the text before it does not wait."""
    joiner = SurrogateJoiner()
    assert joiner.feed("a\ud83d") == "a"
    assert joiner.feed("") == ""
    assert joiner.feed("\ude00b") == "\U0001f600b"


@pytest.mark.parametrize(
    ("pieces", "joined"),
    [
        (["\ud83d", "x"], ["", "\ufffdx"]),
        (["\ud83d", "\ud83d", "\ude00"], ["", "\ufffd", "\U0001f600"]),
        (["\ude00"], ["\ufffd"]),
        (["a\ud83db"], ["a\ufffdb"]),
        (["\ud83d\ude00"], ["\U0001f600"]),
        (["\ufeff\ud83d", "\ude00"], ["\ufeff", "\U0001f600"]),
    ],
)
def test_halves(pieces: list[str], joined: list[str]) -> None:
    """Pairs are joined, also within one delta; lone halves are replaced."""
    joiner = SurrogateJoiner()
    assert [joiner.feed(piece) for piece in pieces] == joined


class Chunks:
    """Stands where the SDK's `AsyncStream` does: iterated and closed."""

    def __init__(self, *reasons: str | None) -> None:
        self.response = object()
        self.closed = False
        self.chunks = [
            SimpleNamespace(choices=[SimpleNamespace(finish_reason=reason)]) for reason in reasons
        ]

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Yield the chunks."""
        for chunk in self.chunks:
            yield chunk

    async def close(self) -> None:
        """Remember it."""
        self.closed = True


@pytest.mark.parametrize("reasons", [("stop",), (None, "stop"), ("length", None), ("tool_calls",)])
async def test_a_stream_with_a_reason_ends(reasons: tuple[str | None, ...]) -> None:
    """Any finish reason will do, also when chunks follow it (the usage does)."""
    stream = CheckedStream(Chunks(*reasons))  # type: ignore[arg-type]
    assert len([chunk async for chunk in stream]) == len(reasons)


async def test_a_stream_without_a_reason_was_cut() -> None:
    """The chunks pass; then the end is an error."""
    seen: list[Any] = []
    with pytest.raises(ModelInterruptedError):
        await collect(CheckedStream(Chunks(None, None)), seen)  # type: ignore[arg-type]
    assert len(seen) == 2


async def test_a_stream_without_a_chunk_is_no_providers() -> None:
    """An empty stream, as of a page in its place, is not an answer that was cut off."""
    with pytest.raises(ModelUnavailableError):
        _ = [chunk async for chunk in CheckedStream(Chunks())]  # type: ignore[arg-type]


async def test_what_the_sdk_uses_of_a_stream_is_passed_on() -> None:
    """The response, for its request id, and closing."""
    chunks = Chunks()
    stream = CheckedStream(chunks)  # type: ignore[arg-type]
    assert stream.response is chunks.response
    await stream.close()
    assert chunks.closed
