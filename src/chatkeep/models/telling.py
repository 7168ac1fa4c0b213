"""An answer by chat completions as the events that go the short way.

They are those that the Agents SDK makes of its chunks, as far as a reader sees them.
"""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from chatkeep.models.direct import AnnotationTold, ItemTold, TextDelta
from chatkeep.models.normalising import Citation, Delta

# The SDK's answers have all the same one as well.
_ID = "__fake_id__"
_MESSAGE = SimpleNamespace(type="message", id=_ID)
_REASONING = SimpleNamespace(type="reasoning", id=_ID)
_ADDED, _DONE = "response.output_item.added", "response.output_item.done"


class Telling:
    """Tells of one answer."""

    def __init__(self) -> None:
        self._reasons = False
        self._parts: dict[str, int] = {}

    def piece(self, delta: Delta) -> Iterator[Any]:
        """Yield the events for a piece of the answer."""
        if delta.thought:
            if not self._reasons:
                self._reasons = True
                yield ItemTold(_ADDED, _REASONING)
            yield TextDelta(
                "response.reasoning_summary_text.delta", _ID, delta.thought, summary_index=0
            )
        if delta.text:
            yield from self._text("response.output_text.delta", delta.text)
        if delta.refusal:
            yield from self._text("response.refusal.delta", delta.refusal)

    def end(self, rest: Delta, citations: Sequence[Citation]) -> Iterator[Any]:
        """Yield the events for the end of the answer."""
        yield from self.piece(rest)
        cited = self._parts.get("response.output_text.delta")
        for citation in citations if cited is not None else ():
            yield AnnotationTold(_ID, cited or 0, _annotation(citation))
        if self._parts:
            yield ItemTold(_DONE, _MESSAGE)

    def _text(self, kind: str, text: str) -> Iterator[Any]:
        if not self._parts:
            yield ItemTold(_ADDED, _MESSAGE)
        index = self._parts.setdefault(kind, len(self._parts))
        yield TextDelta(kind, _ID, text, index)


def _annotation(citation: Citation) -> dict[str, Any]:
    return {
        "type": "url_citation",
        "url": citation.url,
        "title": citation.title,
        "start_index": citation.start,
        "end_index": citation.end,
    }
