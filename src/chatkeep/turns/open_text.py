"""The text that a turn's log goes on with: its pieces, joined and written as events."""

import asyncio
from collections.abc import Callable

from chatkit.types import AssistantMessageContentPartTextDelta as _Delta
from chatkit.types import ThreadItemUpdatedEvent
from pydantic_core import to_json

from chatkeep.turns.log import Piece, TurnLog

_MARK = "\0"


class OpenText:
    """One text at a time. Pieces that come as events wait until the turn's code waits.

    Args:
        log: Where it is written, and shown at once.
        encode: Makes an event what readers get.

    Attributes:
        place: The text's item, and the part of that; None when there is none.
    """

    def __init__(self, log: TurnLog, encode: Callable[[ThreadItemUpdatedEvent], bytes]) -> None:
        self.place: tuple[str, int] | None = None
        self._log = log
        self._encode = encode
        self._around = b"", b""
        self._written: list[str] = []
        self._half = ""
        self._pieces: list[str] = []
        self._waits = False

    def begin(self, event: ThreadItemUpdatedEvent, written: list[str]) -> None:
        """Begin a text.

        Args:
            event: Its first piece; the others are written as events like it.
            written: Gets what is written of it.
        """
        update = event.update
        assert isinstance(update, _Delta)  # noqa: S101 - the caller has looked
        self.place = event.item_id, update.content_index
        self._written = written
        # Encoding each event costs several times what its text does.
        marked = event.model_copy(update={"update": update.model_copy(update={"delta": _MARK})})
        before, _, after = self._encode(marked).partition(to_json(_MARK))
        self._around = before, after

    def add(self, text: str) -> None:
        """Add a piece, which is shown when the code next waits for something."""
        if not self._waits:
            self._waits = True
            asyncio.get_running_loop().call_soon(self._show)
        self._pieces.append(text)

    def speak(self, text: str) -> None:
        """Show a piece now: it is all that has come, and no character of it is cut in two."""
        if self._waits or self._half:
            self.add(text)
            self._show()
        else:
            self._write(text)

    def end(self) -> None:
        """Show what waits: something else comes."""
        if self.place is not None:
            self._show(all_of_it=True)
            self.place = None

    def _show(self, *, all_of_it: bool = False) -> None:
        """Write what waits; the first half of a character that was cut in two waits on."""
        text = self._half + "".join(self._pieces)
        self._waits, self._half = False, ""
        self._pieces.clear()
        if text and not all_of_it and _is_first_half(text[-1]):
            text, self._half = text[:-1], text[-1]
        if text:
            self._write(_whole(text))

    def _write(self, text: str) -> None:
        assert self.place is not None  # noqa: S101 - a text was begun
        before, after = self._around
        self._written.append(text)
        self._log.append(b"".join((before, to_json(text), after)), Piece(*self.place, text))
        self._log.show()


def _is_first_half(character: str) -> bool:
    return "\ud800" <= character <= "\udbff"


def _whole(text: str) -> str:
    """Return a text with its halves of characters joined, or replaced where one is missing."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
