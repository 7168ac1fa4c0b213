"""Server-sent events of a provider: bytes in, events out; no I/O.

Read as the standard says, and with patience where providers do otherwise: a JSON object on a line
without `data:`, objects on lines that no blank line parts, `error:` as a field of its own.
"""

from typing import NamedTuple

from chatkeep.errors import ModelInterruptedError

_BOM = b"\xef\xbb\xbf"
DONE = "[DONE]"


class Event(NamedTuple):
    """One event.

    Attributes:
        data: Its data lines, joined.
        name: Its type; empty for the usual one.
    """

    data: str
    name: str = ""


class EventReader:
    """Finds the events in a stream of bytes, however it is cut.

    Args:
        limit: Bytes that one event may have.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._line = bytearray()  # the begin of a line whose end has not come
        self._data: list[bytes] = []
        self._size = 0
        self._name = b""
        self._first = True
        self._after_cr = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that end in these bytes.

        Raises:
            ModelInterruptedError: An event is larger than the limit.
        """
        if not data:
            return []
        if self._after_cr:
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, begun = data.split(b"\n")
        found: list[Event] = []
        if lines and self._line:
            lines[0] = bytes(self._line + lines[0])
            self._line.clear()
        for line in lines:
            self._take(line, found)
        self._line += begun
        if self._size + len(self._line) > self._limit:
            raise ModelInterruptedError("The model sent more at once than this server takes.")
        return found

    def end(self) -> list[Event]:
        """Return what the stream ended in, though no blank line followed."""
        found: list[Event] = []
        self._take(bytes(self._line), found)
        self._line.clear()
        self._dispatch(found)
        return found

    def _take(self, line: bytes, found: list[Event]) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        if not line:
            self._dispatch(found)
        elif line.startswith(b"data:"):
            self._add(line[5:].removeprefix(b" "), found)
        elif line.startswith(b"event:"):
            self._name = line[6:].strip()
        elif line.startswith((b"{", b"[DONE]")):
            self._add(line, found)
        elif line.startswith(b"error:"):
            self._dispatch(found)
            self._name = b"error"
            self._add(line[6:].strip(), found)

    def _add(self, value: bytes, found: list[Event]) -> None:
        # Two objects in one event are no JSON; whoever sends them left the blank line out.
        if self._data and value.startswith((b"{", b"[DONE]")) and self._data[-1].endswith(b"}"):
            self._dispatch(found)
        self._data.append(value)
        self._size += len(value)

    def _dispatch(self, found: list[Event]) -> None:
        if self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            found.append(Event(data.decode("utf-8", "replace"), self._name.decode("latin-1")))
            self._data = []
            self._size = 0
        self._name = b""
