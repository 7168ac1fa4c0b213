"""Events from an HTTP response: within bounds, in time, and with the connection given back."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from chatkeep.errors import ModelInterruptedError, ModelUnavailableError
from chatkeep.models.guard import Deadlines, Limits, Pace
from chatkeep.models.reading import EventSource

SSE = "text/event-stream"


class Body:
    """The pieces of a body, and whether it was read to its end."""

    def __init__(self, *pieces: bytes, gap: float = 0) -> None:
        self.pieces = pieces
        self.gap = gap
        self.ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give them out."""
        for piece in self.pieces:
            await asyncio.sleep(self.gap)
            yield piece
        self.ended = True


def source(body: Body, kind: str = SSE, limits: Limits | None = None) -> EventSource:
    """A source over a response with this body."""
    response = httpx2.Response(200, headers={"Content-Type": kind}, content=body)
    return EventSource(response, Pace(Deadlines(5, 5, 20)), limits or Limits())


async def every(events: EventSource) -> list[str]:
    """Return the data of all events."""
    found: list[str] = []
    while batch := await events.read():
        found += [event.data for event in batch]
    return found


async def test_a_stream_ends_with_done_or_without() -> None:
    """What follows is not read as an event, but it is read: the connection is used again."""
    for last in ([b"data: [DONE]\n\n", b""], [b"data: [DONE]\n\ndata: c\n\n"], []):
        body = Body(b"data: a\n\n", b"data: b\n\n", *last)
        assert await every(source(body)) == ["a", "b"]
        assert body.ended


async def test_json_is_one_event() -> None:
    """In however many pieces, and with blanks before it that keep a connection alive."""
    body = Body(b"\n\n", b'{"a":\n\n', b"1}")
    assert await every(source(body, "application/json; charset=utf-8")) == ['\n\n{"a":\n\n1}']
    assert await every(source(Body(), "application/json")) == []


async def test_a_page_is_no_stream() -> None:
    """Nothing of it is read."""
    with pytest.raises(ModelUnavailableError):
        await source(Body(b"<html>"), "text/html; charset=utf-8").read()


@pytest.mark.parametrize("kind", [SSE, "application/json"])
async def test_a_body_has_a_largest_size(kind: str) -> None:
    """Comments without an end count, too."""
    body = Body(*[b": waiting\n\n"] * 100)
    with pytest.raises(ModelInterruptedError, match="longer"):
        await every(source(body, kind, Limits(body=500)))
    assert not body.ended


async def test_comments_are_no_sign_of_an_answer(instant_time: asyncio.AbstractEventLoop) -> None:
    """A server that says only that it lives is given up when the first event is due."""
    started = instant_time.time()
    with pytest.raises(TimeoutError):
        await every(source(Body(*[b": alive\n\n"] * 100, gap=1)))
    assert instant_time.time() - started == pytest.approx(5)
