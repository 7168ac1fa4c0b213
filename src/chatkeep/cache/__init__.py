"""Caches of answers, opened by URL."""

from urllib.parse import urlsplit

from chatkeep.cache.memory import MemoryCache
from chatkeep.errors import SettingsError
from chatkeep.ports import Cache

_REDIS = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}


def open_cache(url: str, *, max_bytes: int) -> Cache:
    """Return the cache for a URL, which connects when it is used.

    Args:
        url: `memory://`, or `redis://…`, `rediss://…` and the same with `valkey`.
        max_bytes: What a cache in memory keeps, at most.

    Raises:
        SettingsError: The URL cannot be read, or its driver is not installed.
    """
    scheme = urlsplit(url).scheme.lower()
    if scheme == "memory":
        return MemoryCache(max_bytes)
    if scheme not in _REDIS:
        raise SettingsError("cache.url: begins with memory://, redis:// or rediss://")
    try:
        from chatkeep.cache.redis import RedisCache  # noqa: PLC0415 - its driver is an extra
    except ImportError as error:
        raise SettingsError(
            "cache.url: the driver for Redis is not installed; install chatkeep[redis]"
        ) from error
    return RedisCache(_REDIS[scheme] + url[len(scheme) :])
