"""A cache in the memory of this process."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from chatkeep.ports import Cache

_OVERHEAD = 400  # bytes of an entry beside its key and value


class MemoryCache(Cache):
    """Keeps so many bytes, and forgets first what was not asked for for the longest time.

    Args:
        max_bytes: Keys and values together, at most.
        clock: Tells the time, in seconds.
    """

    def __init__(self, max_bytes: int, *, clock: Callable[[], float] = monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._used = 0

    async def get(self, key: str) -> bytes | None:
        """Return the value of a key."""
        if (entry := self._entries.get(key)) is None:
            return None
        value, until = entry
        if until <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return value

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value; one that is too large for the whole cache is not kept."""
        self._drop(key)
        if _size(key, value) > self._max_bytes:
            return
        self._entries[key] = value, self._clock() + seconds
        self._used += _size(key, value)
        while self._used > self._max_bytes:
            self._drop(next(iter(self._entries)))

    async def aclose(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._used = 0

    def _drop(self, key: str) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._used -= _size(key, entry[0])


def _size(key: str, value: bytes) -> int:
    return len(key) + len(value) + _OVERHEAD
