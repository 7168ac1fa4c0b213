"""One process: who publishes is who waits."""

from collections.abc import Sequence

from chatkeep.errors import RelayUnavailableError
from chatkeep.ports import Relay, Wake
from chatkeep.relay.waking import Batch, guarded


class LocalRelay(Relay):
    """Wakes nobody but this process."""

    def __init__(self, *, live: bool) -> None:
        """Take whether this process is the only one, so that nothing is missed."""
        self._live = live
        self._batch: Batch | None = None

    async def open(self, wake: Wake) -> None:
        """Begin to listen."""
        self._batch = Batch(0, guarded(wake))

    def publish(self, ids: Sequence[str]) -> None:
        """Wake for ids, as soon as the loop comes to it."""
        if self._batch is not None:
            self._batch.add(ids)

    async def ping(self) -> None:
        """Return: nothing can be gone."""
        if self._batch is None:
            raise RelayUnavailableError(hint="it is not open")

    async def aclose(self) -> None:
        """Deliver what was published, and stop."""
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.flush()

    @property
    def live(self) -> bool:
        """Whether there is no other process."""
        return self._live and self._batch is not None
