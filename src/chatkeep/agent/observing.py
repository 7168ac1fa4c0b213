"""The listener of an answer's calls of models: what they took, and how they ended."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from chatkit.types import NoticeEvent

from chatkeep.agent.usage import Usage
from chatkeep.models.calls import CallObserver, Finish, Tokens, observer
from chatkeep.models.prices import Price

_MAX_NOTICES = 20
"""That wait to be shown, at most; later ones are left out."""


class Observing:
    """Listens for one answer, whoever asks the models for it.

    Args:
        usage: Counts.
        price_of: Returns what a model costs, None when nobody knows.

    Attributes:
        early: Why the answer ended before the model was done.
    """

    def __init__(self, usage: Usage, price_of: Callable[[str], Price | None]) -> None:
        self.early: Finish | None = None
        self._usage = usage
        self._price_of = price_of
        self._notices: list[NoticeEvent] = []

    def used(self, model_id: str, tokens: Tokens) -> None:
        """Count what a call took."""
        self._usage.add(model_id, tokens, self._price_of(model_id))

    def replayed(self, model_id: str) -> None:
        """Count an answer from the cache."""
        del model_id
        self._usage.replayed()

    def ended_early(self, why: Finish) -> None:
        """Note that the answer is not whole."""
        self.early = why

    def fell_back(self, model_id: str, to: str, why: str) -> None:
        """Note that another model was asked."""
        self._usage.fell_back(model_id, to, why)

    async def notify(self, level: Literal["info", "warning", "danger"], message: str) -> None:
        """Have a notice shown with what comes next."""
        if len(self._notices) < _MAX_NOTICES:
            self._notices.append(NoticeEvent(level=level, message=message))

    def notices(self) -> Sequence[NoticeEvent]:
        """Return the notices that are to be shown, once."""
        taken, self._notices = self._notices, []
        return taken


class RunCalls:
    """Listens for one run of an agent, whose steps follow one another.

    Args:
        whole: Listens for the answer that the run is part of.
        show: Shows an event at once.

    Attributes:
        heard: The present step's model has told what it took.
        last: What the step before took.
    """

    def __init__(
        self, whole: CallObserver | None, show: Callable[[NoticeEvent], Awaitable[None]]
    ) -> None:
        self.heard = False
        self.last: Tokens | None = None
        self._whole = whole
        self._show = show
        self._early: Finish | None = None

    def begins(self) -> None:
        """Note that a step begins: how the one before ended is not how the answer ends."""
        self.heard = False
        self._early = None

    def ends(self) -> None:
        """Tell how the last step ended."""
        if self._whole is not None and self._early is not None:
            self._whole.ended_early(self._early)

    def used(self, model_id: str, tokens: Tokens) -> None:
        """Pass on."""
        self.heard, self.last = True, tokens
        if self._whole is not None:
            self._whole.used(model_id, tokens)

    def replayed(self, model_id: str) -> None:
        """Pass on."""
        self.heard = True
        if self._whole is not None:
            self._whole.replayed(model_id)

    def ended_early(self, why: Finish) -> None:
        """Note it for the end of the run."""
        self._early = why

    def fell_back(self, model_id: str, to: str, why: str) -> None:
        """Pass on."""
        if self._whole is not None:
            self._whole.fell_back(model_id, to, why)

    async def notify(self, level: Literal["info", "warning", "danger"], message: str) -> None:
        """Show a notice at once."""
        await self._show(NoticeEvent(level=level, message=message))


class _Aside:
    """Counts calls that are no part of the answer, and says nothing of how they end."""

    def __init__(self, whole: CallObserver) -> None:
        self.used = whole.used
        self.replayed = whole.replayed
        self.fell_back = whole.fell_back

    def ended_early(self, why: Finish) -> None:
        """Say nothing: it is not the answer that ends."""

    async def notify(self, level: Literal["info", "warning", "danger"], message: str) -> None:
        """Say nothing."""


@contextmanager
def listening(listener: CallObserver) -> Iterator[None]:
    """Have a listener told of the calls that are made, or tasks for them started, meanwhile."""
    token = observer.set(listener)
    try:
        yield
    finally:
        observer.reset(token)


@contextmanager
def aside() -> Iterator[None]:
    """Have calls counted that are no part of the answer, such as those for a title."""
    whole = observer.get()
    if whole is None:
        yield
        return
    with listening(_Aside(whole)):
        yield
