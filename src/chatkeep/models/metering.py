"""What one call took, told to its observer once, however the call ends."""

from collections.abc import Iterable
from typing import Any

from chatkeep.models.calls import Finish, Tokens, observer

_CHARACTERS_PER_TOKEN = 4
_FILE_CHARACTERS = 4_000  # what an image or a file counts for, whatever its size


class Meter:
    """Belongs to one call.

    Attributes:
        reached: Whether the provider has begun to answer.
        started: Whether text of the answer has come.
        tokens: What the provider said of tokens.
        characters: Of the answer, until now.
        request: What was sent; measured when the provider says nothing of tokens.
    """

    def __init__(self, model_id: str) -> None:
        self._model_id = model_id
        self._settled = False
        self.reached = False
        self.started = False
        self.tokens: Tokens | None = None
        self.characters = 0
        self.request: Any = None

    def ended_early(self, why: Finish) -> None:
        """Say that the answer ended before the model was done."""
        if (told := observer.get()) is not None:
            told.ended_early(why)

    def refused(self) -> None:
        """Say that what came is no answer, which nobody charges for, unless it says so itself."""
        if self.tokens is None and not self.characters:
            self.reached = False

    def settle(self) -> None:
        """Say what the call took; later calls say nothing."""
        told = observer.get()
        if self._settled or not self.reached or told is None:
            return
        self._settled = True
        told.used(self._model_id, self.tokens or self._estimated())

    def _estimated(self) -> Tokens:
        return Tokens(
            input=_characters(self.request) // _CHARACTERS_PER_TOKEN,
            output=self.characters // _CHARACTERS_PER_TOKEN,
            estimated=True,
        )


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return _FILE_CHARACTERS if value.startswith("data:") else len(value)
    if isinstance(value, dict):
        return sum(map(_characters, value.values()))
    return sum(map(_characters, value)) if isinstance(value, Iterable) else 0
