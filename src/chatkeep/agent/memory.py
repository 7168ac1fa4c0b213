"""Calls of server tools, remembered with the thread.

ChatKit has no items for what a tool of the server was asked and has answered, so that a model would
have forgotten it by the next turn. The calls of each step of a run are kept as one hidden item,
which clients never get; `chatkeep.agent.convert` makes them into model input again.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from agents import TResponseInputItem
from chatkit.store import StoreItemType
from chatkit.types import HiddenContextItem
from openai.types.responses import ResponseFunctionToolCallParam
from openai.types.responses.response_input_item_param import FunctionCallOutput
from pydantic import BaseModel, Field, ValidationError

from chatkeep.agent.text import clean_text

KIND = "chatkeep.tool_calls"
MAX_CALLS = 32
"""Calls that one item keeps; of a step with more, the newest ones."""

MAX_ARGUMENTS = 4_000
MAX_OUTPUT = 8_000
"""Characters that are kept of the arguments of a call and of its output."""

_CUT = " […]"
_NOTHING = "(nothing)"  # some providers refuse an output that is empty


class RememberedCall(BaseModel):
    """A call of a tool.

    Attributes:
        call_id: As the provider named it; not unique.
        name: The tool.
        arguments: JSON text, as the model wrote it.
        output: What the model was told; None: nobody knows what became of the call.
    """

    call_id: str
    name: str
    arguments: str = ""
    output: str | None = None


class RememberedCalls(BaseModel):
    """The content of a hidden item that remembers calls, in their order."""

    kind: str = Field(KIND, pattern=f"^{KIND}$")
    calls: list[RememberedCall]


@dataclass(slots=True, eq=False)
class _Open:
    """A call, the step of its run, and whether its output is on the way to the model."""

    call: RememberedCall
    step: int
    told: bool = False


class ToolMemory:
    """The calls of one run that are not kept yet.

    They are told of twice. The hooks of the run tell at once, so that nothing is missed when a
    stop cuts a call off, and may be ahead of the run's events by more than a step. The events come
    in the order in which items are kept.
    """

    def __init__(self, thread_id: str, generate_id: Callable[[StoreItemType], str]) -> None:
        self._thread_id = thread_id
        self._generate_id = generate_id
        self._open: list[_Open] = []
        self._step = 0

    def next_step(self) -> None:
        """Note that the model is asked again."""
        self._step += 1

    def begin(self, call_id: str, name: str, arguments: str) -> None:
        """Note a call that is about to happen."""
        bounded = _bounded(arguments, MAX_ARGUMENTS)
        call = RememberedCall(call_id=call_id, name=name, arguments=bounded)
        self._open.append(_Open(call, self._step))

    def end(self, call_id: str, result: object) -> None:
        """Note what a tool has returned."""
        if (known := self._find(call_id, newest=True)) is not None:
            known.call.output = _bounded(_text_of(result), MAX_OUTPUT)

    def forget(self, call_id: str) -> None:
        """Leave a call out: it is kept in another way."""
        if (known := self._find(call_id, newest=True)) is not None:
            self._open.remove(known)

    def told(self, call_id: str, output: object) -> HiddenContextItem | None:
        """Note what the model is told of a call; return the item when that was the step's last."""
        if (known := self._find(call_id, newest=False)) is None:
            return None
        known.call.output = _bounded(_text_of(output), MAX_OUTPUT)
        known.told = True
        step = [each for each in self._open if each.step == known.step]
        return self._item(step) if all(each.told for each in step) else None

    def take(self) -> HiddenContextItem | None:
        """Return the item for all calls that are open; None if there are none."""
        return self._item(list(self._open))

    def _find(self, call_id: str, *, newest: bool) -> _Open | None:
        """Return a call that is open; providers use an id again in the next step."""
        calls = reversed(self._open) if newest else iter(self._open)
        return next(
            (each for each in calls if each.call.call_id == call_id and not each.told), None
        )

    def _item(self, calls: Sequence[_Open]) -> HiddenContextItem | None:
        if not calls:
            return None
        self._open = [each for each in self._open if each not in calls]
        kept = [each.call for each in calls][-MAX_CALLS:]
        return HiddenContextItem(
            id=self._generate_id("sdk_hidden_context"),
            thread_id=self._thread_id,
            created_at=datetime.now(UTC),
            content=RememberedCalls(kind=KIND, calls=kept).model_dump(),
        )


def remembered(content: object) -> list[RememberedCall] | None:
    """Return the calls that a hidden item remembers; None when it is about something else."""
    if not (isinstance(content, dict) and content.get("kind") == KIND):
        return None
    try:
        return RememberedCalls.model_validate(content).calls
    except ValidationError:
        return []  # of a later version


def pair(call_id: str, name: str, arguments: str, output: str) -> list[TResponseInputItem]:
    """Return a call and its output as model input; its arguments are a JSON object for certain."""
    call = ResponseFunctionToolCallParam(
        type="function_call", call_id=call_id, name=name, arguments=_object(arguments)
    )
    told = FunctionCallOutput(
        type="function_call_output", call_id=call_id, output=output if output.strip() else _NOTHING
    )
    return cast("list[TResponseInputItem]", [call, told])


def _object(arguments: str) -> str:
    """Return arguments that can be read: providers refuse others, or read them as they like."""
    try:
        if isinstance(json.loads(arguments or "{}"), dict):
            return arguments or "{}"
    except (ValueError, RecursionError):
        pass
    return json.dumps({"arguments": arguments}, ensure_ascii=False)


def _text_of(result: Any) -> str:
    """Return what a tool has returned as text; what is no text is named."""
    if isinstance(result, str):
        return result
    if isinstance(result, list):
        return "\n".join(map(_text_of, result))
    if isinstance(result, BaseModel):
        result = result.model_dump(exclude_none=True)
    if isinstance(result, dict):
        kind = str(result.get("type", ""))
        if isinstance(text := result.get("text"), str) and kind.endswith("text"):
            return text
        if kind.endswith(("image", "file")):
            return f"[{kind.rpartition('_')[2]}]"  # bytes, as a rule
    return str(result)


def _bounded(text: str, length: int) -> str:
    """Return what is kept of a text; what cannot be stored would cost the whole turn."""
    return clean_text(text if len(text) <= length else text[:length] + _CUT)
