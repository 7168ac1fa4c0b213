"""Payloads that differ in their text only, told apart without parsing each.

Providers repeat the same object for every token, with another text in it. What was read of one of
them holds for the next, so only the text is looked for.
"""

from collections.abc import Mapping
from json import JSONDecoder
from typing import Any

_FIELDS = ('"content":"', '"content": "')
_TRIES = 8

_json = JSONDecoder()


class Frame:
    """What stands around the text in the payloads of one answer."""

    def __init__(self) -> None:
        self._before = ""
        self._after = ""
        self._tries = 0

    def text_of(self, data: str) -> str | None:
        """Return the text of a payload that is known but for it; None for any other."""
        before, after = self._before, self._after
        if not before or not data.startswith(before) or not data.endswith(after):
            return None
        start, end = len(before), len(data) - len(after)
        text = data[start:end]
        if '"' not in text and "\\" not in text:
            return text
        try:
            text, behind = _json.raw_decode(data, start - 1)
        except ValueError:
            return None
        return text if behind == end + 1 else None

    def learn(self, data: str, payload: Mapping[str, Any]) -> None:
        """Remember what stands around the text of a payload that says nothing else.

        Args:
            data: The payload.
            payload: The same, parsed, and read by a normaliser.
        """
        if self._tries == _TRIES:
            return  # each has something else of its own
        self._tries += 1
        text = _only_text(payload)
        if text is None:
            return
        for field in _FIELDS:
            head, found, rest = data.partition(field)
            if found and field not in rest:
                start = len(head) + len(field)
                said, behind = _json.raw_decode(data, start - 1)
                if said == text:
                    self._before, self._after = data[:start], data[behind - 1 :]
                return


def _only_text(payload: Mapping[str, Any]) -> str | None:
    """Return the text of a payload that has one choice, and in it a text and nothing else."""
    choices = payload.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or payload.get("usage"):
        return None
    piece = choices[0].get("delta")
    if not isinstance(piece, dict) or choices[0].get("finish_reason"):
        return None
    if any(value for name, value in piece.items() if name not in ("content", "role")):
        return None
    text = piece.get("content")
    return text if isinstance(text, str) else None
