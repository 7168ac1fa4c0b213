"""The last step to model input: what no provider refuses, whatever was stored.

Providers differ in what they insist on. What comes out of here satisfies all of them: no message
is empty, the user and the assistant take turns and the user begins, a call of a tool is followed by
its output, no two calls have the same id, and every text can be sent as UTF-8.
"""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from agents import TResponseInputItem

from chatkeep.agent.text import clean_text
from chatkeep.ids import call_id_of

MAX_CALL_ID = 64
"""Characters of a call's id that OpenAI takes."""

_BEGINS = "[The conversation begins with the assistant.]"

type _Item = dict[str, Any]


def shape(items: Iterable[TResponseInputItem]) -> list[TResponseInputItem]:
    """Return the input with its messages cleaned and joined, and its calls paired."""
    shaped: list[_Item] = []
    used: set[str] = set()
    pending: _Item | None = None
    for item in items:
        each = _clean(cast("_Item", item))
        match each.get("type", "message"):
            case "function_call":
                pending = each
            case "function_call_output":
                if pending is not None and pending["call_id"] == each["call_id"]:
                    call_id = _unique(str(each["call_id"]), used, len(shaped))
                    shaped += [pending | {"call_id": call_id}, each | {"call_id": call_id}]
                pending = None
            case _:
                _add_message(shaped, each)
    if shaped and shaped[0].get("role") != "user":
        shaped.insert(0, _message("user", _BEGINS))
    return cast("list[TResponseInputItem]", shaped)


def text_of(content: object) -> str:
    """Return the text of a message's content."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, Sequence) else ()
    return "\n\n".join(str(part["text"]) for part in parts if part.get("text"))


def _add_message(shaped: list[_Item], each: _Item) -> None:
    role, parts = each.get("role"), _parts(each.get("content"))
    if not parts:
        return
    last = shaped[-1] if shaped else None
    if last is not None and last.get("role") == role:
        parts = [*_parts(last["content"]), *parts]
        shaped.pop()
    if all(part["type"] != "input_image" for part in parts):
        shaped.append(_message(str(role), text_of(parts)))
    else:
        shaped.append(_message(str(role), parts))


def _parts(content: object) -> list[_Item]:
    """Return the parts of a message that are not empty."""
    if isinstance(content, str):
        content = [{"type": "input_text", "text": content}]
    parts = content if isinstance(content, list) else []
    return [part for part in parts if str(part.get("text") or part.get("image_url") or "").strip()]


def _message(role: str, content: object) -> _Item:
    return {"type": "message", "role": role, "content": content}


def _unique(call_id: str, used: set[str], place: int) -> str:
    """Return the id, or another one when it is too long or was there before."""
    while not call_id or len(call_id) > MAX_CALL_ID or call_id in used:
        call_id = call_id_of(call_id, str(place))
    used.add(call_id)
    return call_id


def _clean(value: Any) -> Any:
    """Return a value with every text in it such that it can be sent."""
    match value:
        case str():
            return clean_text(value)
        case dict():
            return {key: _clean(each) for key, each in value.items()}
        case list():
            return [_clean(each) for each in value]
        case _:
            return value
