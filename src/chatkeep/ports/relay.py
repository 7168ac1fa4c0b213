"""Wake-ups between instances: what changed stands in the store, this only says that it did."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

type Wake = Callable[[Sequence[str]], None]
"""Called in the event loop with ids that were published; it must be quick."""


class Relay(ABC):
    """Tells other instances that something changed; what changed they read from the store.

    Wake-ups may be lost, doubled or late, and come in any order: whoever waits for one also looks
    by itself now and then. Nothing breaks when the other side is gone, it only takes longer.

    Ids are opaque: 1 to 64 printable ASCII characters, of turns or of threads. All methods are
    called in one event loop.
    """

    @abstractmethod
    async def open(self, wake: Wake) -> None:
        """Begin to listen.

        Never fails for a server that cannot be reached: it is connected to as soon as it can be,
        again after each loss, until `aclose`.

        Args:
            wake: Gets the ids that are published anywhere, here as well.
        """

    @abstractmethod
    def publish(self, ids: Sequence[str]) -> None:
        """Hand ids over to every instance. Never waits and never raises.

        What comes within a few milliseconds goes as one message. Other instances miss what is
        published while there is no connection, and every one what goes beyond some thousands that
        have not been sent yet. Before `open` and after `aclose` nobody hears anything.
        """

    @abstractmethod
    async def ping(self) -> None:
        """Return when wake-ups come.

        Raises:
            RelayUnavailableError: They do not: the server is gone, or does not let us.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Send what was published, for a second at most, and stop listening. May be repeated."""

    @property
    @abstractmethod
    def live(self) -> bool:
        """Whether wake-ups of all instances come right now: readers then look less often."""
