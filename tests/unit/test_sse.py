"""The reader of server-sent events."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkeep.errors import ModelInterruptedError
from chatkeep.models.sse import Event, EventReader

ROOMY = 1_000_000


def read(*pieces: bytes, limit: int = ROOMY) -> list[Event]:
    """Feed the pieces, and end."""
    reader = EventReader(limit)
    found = [event for piece in pieces for event in reader.feed(piece)]
    return [*found, *reader.end()]


def texts(*pieces: bytes) -> list[str]:
    """The data of the events."""
    return [event.data for event in read(*pieces)]


STREAMS = {
    "lines": (b"data: a\n\ndata: b\n\n", ["a", "b"]),
    "cr lf": (b"data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]),
    "cr": (b"data: a\r\rdata: b\r\r", ["a", "b"]),
    "mixed ends": (b"data: a\r\n\ndata: b\n\r\n", ["a", "b"]),
    "byte order mark": (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
    "no blank": (b"data:a\n\n", ["a"]),
    "two blanks": (b"data:  a\n\n", [" a"]),
    "several lines": (b"data: {\ndata: }\n\n", ["{\n}"]),
    "comments": (b": OPENROUTER PROCESSING\n\ndata: a\n: more\n\n:\n\n", ["a"]),
    "other fields": (b"id: 5\nretry: 9\nwhat: x\nwhat\ndata: a\n\n", ["a"]),
    "no data": (b"event: ping\n\ndata: a\n\n", ["a"]),
    "no blank line at the end": (b"data: a\n\ndata: b\n", ["a", "b"]),
    "no line end at the end": (b"data: a\n\ndata: b", ["a", "b"]),
    "objects without blank lines": (
        b'data: {"a":1}\ndata: {"b":2}\ndata: [DONE]\n\n',
        ['{"a":1}', '{"b":2}', "[DONE]"],
    ),
    "objects without a field": (b'{"a":1}\n{"b":2}\n', ['{"a":1}', '{"b":2}']),
    "utf-8": ("data: é🙂\n\n".encode(), ["é🙂"]),
    "bad utf-8": (b"data: a\xffb\n\n", ["a\ufffdb"]),
    "a page": (b"<html>\n<body>\n\n</html>\n", []),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams(name: str) -> None:
    """In one piece and byte by byte."""
    stream, expected = STREAMS[name]
    assert texts(stream) == expected
    assert texts(*(stream[i : i + 1] for i in range(len(stream)))) == expected


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"event: error\ndata: {}\n\ndata: a\n\n", [Event("{}", "error"), Event("a")]),
        (b'data: a\nerror: {"code":1}\n\n', [Event("a"), Event('{"code":1}', "error")]),
        (b"event: x\n\ndata: a\n\n", [Event("a")]),
    ],
)
def test_names(stream: bytes, expected: list[Event]) -> None:
    """An event's type belongs to it alone; errors come as a field, too."""
    assert read(stream) == expected


LINES = st.lists(
    st.one_of(
        st.sampled_from(["", "data: {", "data: }", "data: [DONE]", ": c", "event: error", "{}"]),
        st.text(max_size=8).map(lambda text: f"data: {text}"),
        st.text(max_size=8),
    ),
    max_size=12,
)


@given(LINES, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 120), max_size=12))
def test_cut_anywhere(lines: list[str], end: str, cuts: list[int]) -> None:
    """However the bytes come in pieces, the events are the same."""
    stream = end.join(lines).encode()
    bounds = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:stop] for start, stop in itertools.pairwise(bounds)]
    assert read(*pieces) == read(stream)


@pytest.mark.parametrize("piece", [b"x" * 60, b"data: " + b"x" * 30 + b"\n"])
def test_an_event_without_an_end_is_given_up(piece: bytes) -> None:
    """A line, or many lines, of an event that does not end take no more room than they may."""
    reader = EventReader(100)
    with pytest.raises(ModelInterruptedError, match="at once"):
        _ = [reader.feed(piece) for _ in range(10)]


def test_many_events_are_not_one() -> None:
    """The limit is one for each event."""
    assert len(read(b"data: 123456789\n\n" * 50, limit=20)) == 50
