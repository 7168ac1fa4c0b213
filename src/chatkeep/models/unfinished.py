"""What there is of an answer that broke in the middle, for another model to do something about."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from agents import TResponseInputItem
from agents.items import TResponseStreamEvent
from openai.types.responses import (
    ResponseCompletedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
)

_TEXTS = frozenset({"response.output_text.delta", "response.refusal.delta"})

# Of these the provider has done nothing outside, and we call our tools when a call has ended.
_WITHOUT_EFFECTS = frozenset(
    {
        "message",
        "reasoning",
        "function_call",
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
    }
)

_GO_ON = (
    "Your answer was cut off. Go on exactly where it ends: repeat nothing of it, and do not say "
    "that it was cut off."
)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """An event of a model's stream: all of this call's answer so far is to be taken back."""

    type: Literal["chatkeep.withdrawn"] = "chatkeep.withdrawn"


def withdrawn() -> TResponseStreamEvent:
    """Return the event; the Agents SDK passes on what it does not know."""
    return cast("TResponseStreamEvent", Withdrawn())


class Unfinished:
    """Follows one answer, so that there is something to go on from should it break.

    Attributes:
        has_effects: Whether the provider did something outside for it, which must not be done for
            another one again.
    """

    def __init__(self) -> None:
        self._open: dict[str, list[str]] = {}
        self._messages: list[ResponseOutputMessage] = []
        self.has_effects = False

    @property
    def text(self) -> str:
        """All text of it."""
        done = [_text_of(message) for message in self._messages]
        return "\n\n".join([*done, *("".join(pieces) for pieces in self._open.values())])

    def see(self, event: Any) -> None:
        """Note an event of it."""
        if event.type in _TEXTS:
            self._open.setdefault(event.item_id, []).append(event.delta)
        elif event.type == "response.output_item.added":
            self.has_effects = self.has_effects or event.item.type not in _WITHOUT_EFFECTS
        elif event.type == "response.output_item.done" and event.item.type == "message":
            self._open.pop(event.item.id, None)
            self._messages.append(event.item)

    def close(self) -> Iterator[TResponseStreamEvent]:
        """Finish its open messages with what they have, and yield the events that say so."""
        for item_id, pieces in self._open.items():
            message = ResponseOutputMessage(
                id=item_id,
                type="message",
                role="assistant",
                status="incomplete",
                content=[
                    ResponseOutputText(type="output_text", text="".join(pieces), annotations=[])
                ],
            )
            self._messages.append(message)
            yield ResponseOutputItemDoneEvent(
                type="response.output_item.done", item=message, output_index=0, sequence_number=0
            )
        self._open.clear()

    def put_before(self, event: TResponseStreamEvent) -> None:
        """Put it in front of the answer that a model has completed: both are the call's."""
        if isinstance(event, ResponseCompletedEvent):
            event.response.output = [*self._messages, *event.response.output]

    def asked_to_go_on(self) -> list[TResponseInputItem]:
        """Return what is added to the input of the model that goes on."""
        return [{"role": "assistant", "content": self.text}, {"role": "user", "content": _GO_ON}]


def _text_of(message: ResponseOutputMessage) -> str:
    return "".join(
        part.text if isinstance(part, ResponseOutputText) else part.refusal
        for part in message.content
    )
