"""`<think>…</think>` at the beginning of an answer: thoughts that came as text."""

from typing import Literal

_TAGS = {"<think>": "</think>", "<thinking>": "</thinking>", "<thought>": "</thought>"}
_LONGEST = max(map(len, _TAGS))
_MAX_BLANK = 1_000  # characters


class ThinkTags:
    """Parts the thoughts from the text, however the two are cut into pieces.

    Blocks count at the beginning only, where models put them: one in the middle of an answer is
    text about such tags. Blank lines between a block and the text are dropped.
    """

    def __init__(self) -> None:
        self._state: Literal["begin", "thought", "text"] = "begin"
        self._held = ""
        self._close = ""
        self._blank = True  # nothing of the present block has been given out
        self._after = False  # a block has ended

    def feed(self, piece: str) -> tuple[str, str]:
        """Return the text and the thought that are certain by now."""
        if self._state == "text":
            return piece, ""
        self._held += piece
        text = thought = ""
        before = None
        while self._held and self._state != before:
            before = self._state
            if before == "begin":
                text = self._begin()
            elif before == "thought":
                thought += self._think()
        return text, thought

    def end(self) -> tuple[str, str]:
        """Return what was held back: the begin of a tag that is none, or of an open block."""
        held, self._held = self._held, ""
        if self._state == "thought":
            return "", held
        return "" if self._after and not held.strip() else held, ""

    def _begin(self) -> str:
        """Look for an opening tag; return the text if there is none."""
        held = self._held.lstrip()
        for tag, close in _TAGS.items():
            if held.startswith(tag):
                self._state, self._close, self._blank = "thought", close, True
                self._held = held[len(tag) :]
                return ""
        undecided = len(held) < _LONGEST and any(tag.startswith(held) for tag in _TAGS)
        if undecided and len(self._held) <= _MAX_BLANK:
            return ""
        self._state = "text"
        text = held if self._after else self._held
        self._held = ""
        return text

    def _think(self) -> str:
        """Return the thought up to the closing tag, or to what may be the begin of it."""
        if self._blank:
            self._held = self._held.lstrip()
        thought, closed, rest = self._held.partition(self._close)
        if closed:
            self._state, self._after, self._held = "begin", True, rest
        else:
            keep = _overlap(thought, self._close)
            thought, self._held = thought[: len(thought) - keep], thought[len(thought) - keep :]
        self._blank = self._blank and not thought
        return thought


def _overlap(text: str, tag: str) -> int:
    """Return how many characters at the end of the text may be the begin of the tag."""
    sizes = range(min(len(tag) - 1, len(text)), 0, -1)
    return next((size for size in sizes if text.endswith(tag[:size])), 0)
