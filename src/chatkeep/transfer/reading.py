"""The JSON document of an export, read in pieces.

What comes is not trusted: how deep it is, and how much of it is in memory at once, is bounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Literal, NoReturn

import ijson  # type: ignore[import-untyped]

from chatkeep.errors import InvalidRequestError
from chatkeep.transfer.export import VERSION

MAX_THREADS = 50_000
MAX_ITEMS = 100_000
"""Items of one thread, and attachments."""

_MAX_VALUES = 100_000  # of one part
_MAX_DEPTH = 64
_CHUNK = 65_536
_MAX_CHUNK = 2_097_152
_LONGEST = 4_194_304  # bytes of one string that is no file

_ORDER = ("thread", "archived", "items", "feedback", "attachments")

type Kind = Literal["thread", "archived", "items", "feedback", "attachments", "end"]
type _Events = Iterator[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a thread.

    Attributes:
        kind: What it is: one item, one attachment, or one of the other fields.
        path: Where it is in the document.
        value: What it says, as JSON does; None at the end of a thread.
    """

    kind: Kind
    path: str
    value: Any = None


class _Bounded:
    """A file of which nothing that is one value may be too long for memory."""

    def __init__(self, file: IO[bytes], longest: int) -> None:
        self._file = file
        self._longest = longest
        self._pending = 0  # bytes of a value that is not whole yet

    def read(self, size: int) -> bytes:
        """Return the next bytes: more and more of a long value.

        With each piece, the parser looks again at all that it has of the value.
        """
        data = self._file.read(min(max(size, self._pending), _MAX_CHUNK) if size else 0)
        self._pending += len(data)
        if self._pending > self._longest:
            _refuse("body", "has a value that is too long")
        return data

    def events(self) -> _Events:
        """Yield what the bytes say."""
        for event in ijson.basic_parse(self, buf_size=_CHUNK, use_float=True):
            self._pending = 0
            yield event


def read_parts(document: IO[bytes], max_file: int) -> Iterator[Part]:
    """Yield the parts of a document: those of a thread in their order, then its end.

    Args:
        document: An open file.
        max_file: Bytes of an attachment, at most.

    Raises:
        InvalidRequestError: It is no such document; the message names the place.
    """
    try:
        yield from _document(_Bounded(document, max_file * 4 // 3 + _LONGEST).events())
    except (ijson.JSONError, ValueError, OverflowError) as error:
        raise InvalidRequestError("This is not a JSON document that can be read.") from error


def _document(events: _Events) -> Iterator[Part]:
    _expect(next(events), "start_map", "body", "an object")
    version: object = None
    for event, name in events:
        if event == "end_map":
            break
        if name == "chatkeep_export":
            version = _value(next(events), events, name)
            if version != VERSION or isinstance(version, bool):
                _refuse(name, f"only version {VERSION} is known here")
        elif name == "threads" and version is not None:
            yield from _threads(events)
        else:
            _refuse("body", "first 'chatkeep_export', then 'threads', and nothing else")
    if version is None:
        _refuse("chatkeep_export", "is missing")
    for _ in events:  # what follows the document, if anything, is an error of the parser
        pass


def _threads(events: _Events) -> Iterator[Part]:
    _expect(next(events), "start_array", "threads", "a list")
    for number, event in enumerate(events):
        if event[0] == "end_array":
            return
        path = f"threads[{number}]"
        if number >= MAX_THREADS:
            _refuse(path, f"there are more than {MAX_THREADS} threads")
        _expect(event, "start_map", path, "an object")
        yield from _thread(events, path)


def _thread(events: _Events, path: str) -> Iterator[Part]:
    missing = list(_ORDER)
    for event, name in events:
        if event == "end_map":
            break
        if name not in missing or missing[0] == "thread" != name:
            _refuse(path, f"the fields are, in this order: {', '.join(_ORDER)}")
        del missing[: missing.index(name) + 1]
        here = f"{path}.{name}"
        if name in ("items", "attachments"):
            yield from _list(events, name, here)
        else:
            yield Part(name, here, _value(next(events), events, here))
    if missing[:1] == ["thread"]:
        _refuse(f"{path}.thread", "is missing")
    yield Part("end", path)


def _list(events: _Events, kind: Kind, path: str) -> Iterator[Part]:
    _expect(next(events), "start_array", path, "a list")
    for number, event in enumerate(events):
        if event[0] == "end_array":
            return
        if number >= MAX_ITEMS:
            _refuse(path, f"there are more than {MAX_ITEMS}")
        here = f"{path}[{number}]"
        yield Part(kind, here, _value(event, events, here))


def _value(first: tuple[str, Any], events: _Events, path: str) -> Any:
    """Return the value that begins with an event, and take the rest of its events."""
    event, value = first
    if event not in ("start_map", "start_array"):
        return value
    root: dict[str, Any] | list[Any] = {} if event == "start_map" else []
    stack: list[dict[str, Any] | list[Any]] = [root]
    keys: list[str] = [""]
    for count, (event, value) in enumerate(events):
        if count >= _MAX_VALUES:
            _refuse(path, "is too large")
        if event in ("end_map", "end_array"):
            stack.pop()
            keys.pop()
            if not stack:
                break
            continue
        if event == "map_key":
            keys[-1] = value
            continue
        new: Any = {"start_map": {}, "start_array": []}.get(event, value)
        top = stack[-1]
        if isinstance(top, list):
            top.append(new)
        else:
            top[keys[-1]] = new
        if event in ("start_map", "start_array"):
            if len(stack) >= _MAX_DEPTH:
                _refuse(path, "is nested too deeply")
            stack.append(new)
            keys.append("")
    return root


def _expect(event: tuple[str, Any], kind: str, path: str, what: str) -> None:
    if event[0] != kind:
        _refuse(path, f"must be {what}")


def _refuse(path: str, why: str) -> NoReturn:
    raise InvalidRequestError(f"{path}: {why}")
