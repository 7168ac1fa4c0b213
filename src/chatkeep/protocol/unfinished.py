"""Which items of a turn were shown in part, by its events."""

from typing import Any

from chatkit.server import ChatKitServer
from chatkit.types import (
    AssistantMessageContentPartTextDelta as _Delta,
)
from chatkit.types import (
    AssistantMessageItem,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WorkflowItem,
)


class Unfinished:
    """Keeps the items that were added and are not done, as far as they have come.

    Args:
        server: Knows how updates change an item.

    Attributes:
        answered: A whole answer was the last of all.
    """

    def __init__(self, server: ChatKitServer[Any]) -> None:
        self._server = server
        self._items: dict[str, ThreadItem] = {}
        self.answered = False

    @property
    def items(self) -> list[ThreadItem]:
        """The items, in the order in which they began."""
        return list(self._items.values())

    @property
    def worth_keeping(self) -> list[ThreadItem]:
        """Those that a reader has got something from: text, or steps of a work."""
        return [item for item in self.items if _says_something(item)]

    def take(self, event: ThreadStreamEvent) -> None:
        """Take an event into account."""
        match event:
            case ThreadItemAddedEvent():
                # A copy: the code that made it may go on changing it.
                self._items[event.item.id] = event.item.model_copy(deep=True)
                self.answered = False
            case ThreadItemUpdatedEvent():
                if not isinstance(event.update, _Delta):
                    # What it brings becomes a part of the item, which grows.
                    event = event.model_copy(deep=True)
                self._server._update_pending_items(self._items, event)  # noqa: SLF001 - pinned
            case ThreadItemDoneEvent() | ThreadItemReplacedEvent():
                self._items.pop(event.item.id, None)
                self.answered = isinstance(event.item, AssistantMessageItem)
            case ThreadItemRemovedEvent():
                self._items.pop(event.item_id, None)
            case _:
                pass


def _says_something(item: ThreadItem) -> bool:
    match item:
        case AssistantMessageItem():
            return any(part.text.strip() for part in item.content)
        case WorkflowItem():
            return bool(item.workflow.tasks)
        case _:
            return False
