"""A cache in Redis or Valkey, for all instances."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Any, cast

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chatkeep.errors import SettingsError
from chatkeep.ports import Cache

_ANSWER = 1.0
"""Seconds that connecting, and any answer, may take: so long a turn is held up at most."""

_PAUSE = 10.0
"""Seconds for which a server that failed is left alone."""

_CONNECTIONS = 32
_PREFIX = "chatkeep:answer:"
_FAILURES = (OSError, RedisError)

_log = structlog.get_logger(__name__)


class RedisCache(Cache):
    """Values as they are, with the time that they have left; the server's settings say how many.

    Args:
        url: A `redis://` or `rediss://` URL, with the parameters that redis-py knows.

    Raises:
        SettingsError: The URL cannot be read.
    """

    def __init__(self, url: str) -> None:
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                timeout=_ANSWER,
                socket_timeout=_ANSWER,
                socket_connect_timeout=_ANSWER,
                retry=Retry(NoBackoff(), 0),
                max_connections=_CONNECTIONS,
                protocol=2,  # the older one does all that is needed, on every server
                driver_info=None,
            )
            # It looks at the parameters, and connects later.
            cast("Any", pool).make_connection()
        except (ValueError, TypeError, RedisError):
            # Its message may show the password.
            raise SettingsError(
                "cache.url: cannot be read; example: redis://user:password@host:6379/1"
            ) from None
        self._client = Redis.from_pool(pool)
        self._again_at = 0.0

    async def get(self, key: str) -> bytes | None:
        """Return the value of a key."""
        value = await self._try(lambda: self._client.get(_PREFIX + key))
        return value if isinstance(value, bytes) else None

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value."""
        milliseconds = max(1, int(seconds * 1_000))
        await self._try(lambda: self._client.set(_PREFIX + key, value, px=milliseconds))

    async def aclose(self) -> None:
        """Close the connections."""
        with suppress(*_FAILURES):
            await self._client.aclose()

    async def _try(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Return what a call returns; None when it fails, or the one before has just failed."""
        if monotonic() < self._again_at:
            return None
        try:
            return await call()
        except _FAILURES as error:
            self._again_at = monotonic() + _PAUSE
            _log.warning("the cache does not answer", error=type(error).__name__)
            return None
