"""A turn's log: its events, numbered, in memory for readers here and in rows for all others.

Events are JSON documents as readers get them. Their numbers grow by one, from 1; only where a turn
was taken over from an instance that is gone, some are left out.

A row covers a stretch of events, and joins the pieces of one text into one event. It keeps their
lengths, so that a reader can be given just what comes behind any number, also in the middle of
such an event.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from pydantic_core import from_json, to_json

from chatkeep.ports import EventRow

_KEPT_BYTES = 32 * 1024
"""How much of what is stored already is kept for readers; those further behind read the rows."""

_ROW_BYTES = 8 * 1024
"""How large a row grows, about: what a reader that is far behind has to hold."""


class Piece(NamedTuple):
    """What an event adds to a text."""

    item_id: str
    part: int
    text: str


class Numbered(NamedTuple):
    """An event, or pieces of a text joined to one, and the number of the last of it."""

    number: int
    json: bytes


class _Entry(NamedTuple):
    number: int
    json: bytes
    piece: Piece | None


class TurnLog:
    """What a turn that runs here has produced.

    Args:
        stored: The number of the last event that is in rows already, and not here.
        gap: How many numbers to leave out behind it.

    Attributes:
        last: The number of the last event.
        shown: The number of the last event that readers may have.
        ended: Nothing more will come.
        lost: It ended because another instance works on the turn now, or will: what comes next is
            in the store.
        readers: How many follow it here.
        seen: With the turn's end it is stored that one of them has seen it.
    """

    def __init__(self, stored: int = 0, gap: int = 0) -> None:
        self._kept: deque[_Entry] = deque()
        self._kept_bytes = 0
        self._unsaved_bytes = 0
        self._unsaved_since: float | None = None
        self._appended_at = time.monotonic()
        self._rows: list[EventRow] = []
        self._saved = stored + gap
        self._waiting: set[asyncio.Future[None]] = set()
        self._dropped = stored
        # Behind a gap nothing is shown yet: a reader that is in it waits for what comes.
        self._newest = stored
        self.last = stored + gap
        self.shown = stored
        self.ended = False
        self.lost = False
        self.readers = 0
        self.seen = False

    @property
    def unsaved_bytes(self) -> int:
        """How much is in memory only."""
        return self._unsaved_bytes

    @property
    def unsaved_seconds(self) -> float:
        """For how long the oldest event has been in memory only; 0 when all are stored."""
        since = self._unsaved_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def idle_seconds(self) -> float:
        """For how long there has been no event."""
        return time.monotonic() - self._appended_at

    def open(self, events: Sequence[bytes]) -> None:
        """Show the first events of a turn, which are stored already."""
        for json in events:
            self.append(json)
        self.saved(self.last)
        self.show()

    def append(self, json: bytes, piece: Piece | None = None) -> None:
        """Add an event, which readers get with the next `show`."""
        self.last += 1
        self._newest = self.last
        self._kept.append(_Entry(self.last, json, piece))
        self._kept_bytes += len(json)
        self._unsaved_bytes += len(json)
        self._appended_at = time.monotonic()
        if self._unsaved_since is None:
            self._unsaved_since = self._appended_at

    def show(self) -> None:
        """Give the readers all there is."""
        self.shown = self._newest
        self._wake()

    def end(self, *, lost: bool = False) -> None:
        """Tell the readers that nothing more comes from here."""
        self.ended = True
        self.lost = lost
        self._wake()

    def behind(self, number: int) -> list[Numbered] | None:
        """Return the shown events behind a number; None if some are not in memory any more."""
        if number >= self.shown:
            return []
        if number < self._dropped:
            return None
        # From the end: a reader that keeps up asks for the newest ones only.
        found: list[Numbered] = []
        for entry in reversed(self._kept):
            if entry.number <= number:
                break
            if entry.number <= self.shown:
                found.append(Numbered(entry.number, entry.json))
        return found[::-1]

    async def wait(self, number: int, seconds: float) -> None:
        """Return when something is shown behind a number, nothing more will come, or it is late."""
        if self.shown > number or self.ended:
            return
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        timer = loop.call_later(seconds, _wake, waiter)
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiting.discard(waiter)

    def rows(self, *, hidden: bool = False) -> list[EventRow]:
        """Return the rows for what is not stored; with what is not shown yet if asked.

        A row that was returned stays as it is until it is stored: it may be there already, when
        the answer to that was lost.
        """
        self._rows += _rows(self._unsaved(self.shown))
        if hidden:
            # In rows of their own: what is shown may be stored before the turn's end is.
            self._rows += _rows(self._unsaved(self.last))
        until = self.last if hidden else self.shown
        return [row for row in self._rows if row.last <= until]

    def _unsaved(self, until: int) -> list[_Entry]:
        """Return what is in no row, up to a number."""
        have = self._rows[-1].last if self._rows else self._saved
        entries = []
        for entry in reversed(self._kept):
            if entry.number <= have:
                break
            if entry.number <= until:
                entries.append(entry)
        return entries[::-1]

    def saved(self, number: int) -> None:
        """Note that all events up to a number are stored."""
        if number <= self._saved:
            return
        self._saved = number
        self._rows = [row for row in self._rows if row.last > number]
        left = 0
        for entry in reversed(self._kept):
            if entry.number <= number:
                break
            left += len(entry.json)
        self._unsaved_bytes = left
        self._unsaved_since = time.monotonic() if left else None
        while self._kept_bytes > _KEPT_BYTES and self._kept and self._kept[0].number <= number:
            gone = self._kept.popleft()
            self._kept_bytes -= len(gone.json)
            self._dropped = gone.number

    def _wake(self) -> None:
        for waiter in self._waiting:
            _wake(waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def rows_of(events: Sequence[bytes]) -> list[EventRow]:
    """Return the rows of the first events of a turn."""
    entries = [_Entry(number, json, None) for number, json in enumerate(events, start=1)]
    return list(_rows(entries))


def read_row(row: EventRow, after: int) -> Iterator[Numbered]:
    """Yield what a row holds behind a number, texts still joined."""
    number = row.first - 1
    for entry in from_json(row.body):
        event, lengths = entry["event"], entry.get("lengths", [0])
        start, number = number, number + len(lengths)
        if number <= after:
            continue
        if start < after:
            # The reader has the first pieces of this text.
            has = list(accumulate(lengths))[after - start - 1]
            event["update"]["delta"] = event["update"]["delta"][has:]
        yield Numbered(number, to_json(event))


def _rows(entries: Sequence[_Entry]) -> Iterator[EventRow]:
    start = size = 0
    for end, entry in enumerate(entries, start=1):
        size += len(entry.json)
        if size >= _ROW_BYTES or end == len(entries):
            stretch = entries[start:end]
            yield EventRow(stretch[0].number, stretch[-1].number, _join(stretch))
            start, size = end, 0


def _join(entries: Sequence[_Entry]) -> str:
    """Return the body of a row: a list of events, with the lengths of joined pieces."""
    parts: list[bytes] = []
    pieces: list[_Entry] = []
    for entry in entries:
        if pieces and not _continues(entry, pieces[-1]):
            parts.append(_joined(pieces))
            pieces = []
        if entry.piece is None:
            parts.append(b'{"event":' + entry.json + b"}")
        else:
            pieces.append(entry)
    if pieces:
        parts.append(_joined(pieces))
    return (b"[" + b",".join(parts) + b"]").decode()


def _continues(entry: _Entry, before: _Entry) -> bool:
    piece, other = entry.piece, before.piece
    return piece is not None and other is not None and piece[:2] == other[:2]


def _joined(entries: Sequence[_Entry]) -> bytes:
    """Return one event for several pieces of a text."""
    texts = [entry.piece.text for entry in entries if entry.piece is not None]
    event = from_json(entries[0].json)
    event["update"]["delta"] = "".join(texts)
    return to_json({"event": event, "lengths": [len(text) for text in texts]})
