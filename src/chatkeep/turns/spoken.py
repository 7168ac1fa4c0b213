"""The texts of a turn that are still growing, as far as they are in its log."""

from chatkit.types import AssistantMessageItem


class Spoken:
    """Pieces by item and part. The server's code has not seen those that went the short way."""

    def __init__(self) -> None:
        self._pieces: dict[str, dict[int, list[str]]] = {}

    def begin(self, item_id: str, part: int) -> list[str]:
        """Return the list that the pieces of a part are added to."""
        return self._pieces.setdefault(item_id, {}).setdefault(part, [])

    def forget(self, item_id: str) -> None:
        """Forget an item that is finished or gone."""
        self._pieces.pop(item_id, None)

    def complete(self, item: AssistantMessageItem) -> None:
        """Give an item that is not finished all the text that was shown of it."""
        for index, pieces in self._pieces.get(item.id, {}).items():
            if index < len(item.content):
                item.content[index].text = "".join(pieces)
