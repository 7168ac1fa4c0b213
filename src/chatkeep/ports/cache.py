"""Where answers wait to be given again."""

from abc import ABC, abstractmethod


class Cache(ABC):
    """Values under keys, for some time. It may forget anything at any time.

    When the other side is gone, slow or full, it is as if nothing were kept: nothing is raised but
    a cancellation, and nobody waits for longer than a moment.
    """

    @abstractmethod
    async def get(self, key: str) -> bytes | None:
        """Return the value of a key; None when there is none, or none any more."""

    @abstractmethod
    async def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value for so long, in place of an older one."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close connections. Idempotent."""
