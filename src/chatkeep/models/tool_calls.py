"""Tool calls from the fragments that providers stream, whatever ties these together."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chatkeep.errors import ModelInterruptedError
from chatkeep.ids import new_id
from chatkeep.models.arguments import is_whole, repaired

_MAX_CALLS = 128


@dataclass(slots=True)
class ToolCall:
    """A call, complete.

    Attributes:
        id: Ours: some servers name the first call of every answer `call_0`. With 39 characters it
            is short enough for every provider, which gets it back in the history.
        name: The tool.
        arguments: A JSON object, unless what the model wrote could not be understood.
        extra: What the provider wants back with the call (`extra_content`).
    """

    id: str
    name: str
    arguments: str
    extra: dict[str, Any] | None = None


@dataclass(slots=True)
class _Open:
    index: int | None
    id: str
    name: str
    pieces: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def arguments(self) -> str:
        return "".join(self.pieces)


class ToolCalls:
    """Gathers fragments: by index, else by id, else a new name begins a new call."""

    def __init__(self) -> None:
        self._calls: list[_Open] = []

    def add(self, fragment: Any) -> int:
        """Take a fragment, and return how many characters it had."""
        if not isinstance(fragment, Mapping) or fragment.get("type") == "custom":
            return 0
        function = fragment.get("function")
        if not isinstance(function, Mapping):
            function = fragment  # some leave the wrapping out
        call = self._call_of(fragment, _text(function.get("name")))
        call.id = call.id or _text(fragment.get("id"))
        call.name = call.name or _text(function.get("name"))
        if isinstance(extra := fragment.get("extra_content"), Mapping):
            call.extra.update(extra)
        return self._add_arguments(call, function.get("arguments"))

    def finished(self, *, cut: bool) -> list[ToolCall]:
        """Return the calls, in the order in which they began; those without a name are none.

        Args:
            cut: Whether the answer was stopped at a limit.
        """
        calls = []
        for call in self._calls:
            if call.name:
                arguments = _encodable(call.arguments())
                known = repaired(arguments, cut=cut)
                whole = arguments if known is None else known
                calls.append(ToolCall(new_id("tc"), call.name, whole, call.extra or None))
        return calls

    def _call_of(self, fragment: Mapping[str, Any], name: str) -> _Open:
        index = fragment.get("index")
        index = index if isinstance(index, int) else None
        given = _text(fragment.get("id"))
        call = self._find(index, given, name)
        if call is None or _begins_another(call, given, name):
            if len(self._calls) == _MAX_CALLS:
                raise ModelInterruptedError("The model called more tools than this server takes.")
            call = _Open(index, given, name)
            self._calls.append(call)
        return call

    def _find(self, index: int | None, given: str, name: str) -> _Open | None:
        newest_first = reversed(self._calls)
        if index is not None:
            return next((call for call in newest_first if call.index == index), None)
        if given and (known := next((call for call in newest_first if call.id == given), None)):
            return known
        if given and name:
            return None
        return self._calls[-1] if self._calls else None

    def _add_arguments(self, call: _Open, arguments: Any) -> int:
        if isinstance(arguments, Mapping):
            call.pieces = [json.dumps(arguments)]
            return len(call.pieces[0])
        if not isinstance(arguments, str) or not arguments:
            return 0
        # Some repeat the whole call at the end.
        if len(arguments) > 1 and arguments == call.arguments() and is_whole(arguments):
            return 0
        call.pieces.append(arguments)
        return len(arguments)


def _begins_another(call: _Open, given: str, name: str) -> bool:
    """Whether a fragment that points at a call is the begin of another one all the same."""
    if not name or not call.name:
        return False
    if given and call.id:
        return given != call.id  # several whole calls under one index
    return name != call.name or is_whole(call.arguments())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _encodable(text: str) -> str:
    """Return the text with pairs of surrogates joined and halves replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
