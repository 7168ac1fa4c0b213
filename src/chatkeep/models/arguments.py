"""The arguments of a tool call, as models write them: JSON, or nearly.

Only what can be meant in one way is repaired. Libraries for the purpose make something of any
text, also of one that was cut off within a value, and a tool would run with the wrong one.
"""

import ast
import json
import re
from typing import Any

_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_CLOSERS = {"{": "}", "[": "]"}
_MAX_DEPTH = 64
_MAX_LITERAL = 20_000  # characters; Python's own parser takes long over more


def is_whole(text: str) -> bool:
    """Whether the text is JSON, to the end."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def repaired(text: str, *, cut: bool = False) -> str | None:
    """Return the arguments as the JSON of an object, or None when it is unclear what is meant.

    Args:
        text: What the model wrote.
        cut: Whether it was stopped at a limit: then nothing that is missing is made up.
    """
    if cut:
        return text if is_whole(text) else None
    if not text.strip():
        return "{}"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = _repair(text)
    else:
        if isinstance(value, dict):
            return text
    if value is None:
        return "{}" if text.strip() == "null" else None
    if isinstance(value, str):  # JSON in JSON
        value = _loaded(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else None


def _repair(text: str) -> Any:
    """Return the object that the text can only mean, or None."""
    if fenced := _FENCE.match(text):
        text = fenced.group(1)
    for attempt in (_lenient, _first_of_several, _closed, _python):
        if isinstance(value := attempt(text), dict):
            return value
    return None


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _lenient(text: str) -> Any:
    """Read JSON with raw line ends in its strings."""
    return _loaded(text)


def _first_of_several(text: str) -> Any:
    """Read the object that other text follows, or its double; an empty one gives way to another."""
    decoder = json.JSONDecoder(strict=False)
    try:
        value, end = decoder.raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return None
    rest = text.lstrip()[end:].strip()
    if not rest.startswith("{"):
        return value
    second = _loaded(rest)
    return second if value in ({}, second) else None


def _closed(text: str) -> Any:
    """Read an object whose closing brackets are missing, unless it breaks off in a string."""
    stack: list[str] = []
    within = escaped = False
    for character in text:
        if within:
            within = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            within = True
        elif character in _CLOSERS:
            stack.append(_CLOSERS[character])
        elif character in "}]" and (not stack or stack.pop() != character):
            return None
    # A number or a word at the end may be the begin of a longer one.
    if within or not 0 < len(stack) <= _MAX_DEPTH or text.rstrip()[-1:] not in '"}]':
        return None
    return _loaded(text + "".join(reversed(stack)))


def _python(text: str) -> Any:
    """Read a Python dictionary: single quotes, True, None."""
    if not text.lstrip().startswith("{") or len(text) > _MAX_LITERAL:
        return None
    try:
        value = ast.literal_eval(text.strip())
        json.dumps(value, allow_nan=False)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return value
