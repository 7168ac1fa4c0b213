"""Caches of answers by their contract, and what is special about each."""

import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from chatkeep.cache import open_cache
from chatkeep.cache.memory import MemoryCache
from chatkeep.cache.redis import RedisCache
from chatkeep.errors import SettingsError
from chatkeep.ports import Cache
from chatkeep.testing import CacheContract
from support.ports import refusing_port
from support.valkey import ValkeyServer

_MEGABYTE = 1_048_576
_DATABASE = 7  # nobody else's


class TestMemoryCache(CacheContract):
    """`memory://`."""

    @pytest.fixture
    def cache(self) -> Cache:
        """An empty one."""
        return open_cache("memory://", max_bytes=_MEGABYTE)


class TestRedisCache(CacheContract):
    """`redis://…`."""

    @pytest_asyncio.fixture
    async def cache(self, valkey: ValkeyServer) -> AsyncIterator[Cache]:
        """An empty one."""
        async with Redis.from_url(valkey.url(_DATABASE)) as client:
            await client.flushdb()
        cache = open_cache(valkey.url(_DATABASE), max_bytes=_MEGABYTE)
        yield cache
        await cache.aclose()


async def test_two_instances_share_a_server(valkey: ValkeyServer) -> None:
    """What one has kept the other finds, also by the scheme of Valkey."""
    one = open_cache(valkey.url(_DATABASE), max_bytes=1)
    two = open_cache(valkey.url(_DATABASE).replace("redis:", "valkey:"), max_bytes=1)

    await one.put("shared", b"value", 60)

    assert await two.get("shared") == b"value"
    await one.aclose()
    await two.aclose()


async def test_memory_forgets_what_was_not_asked_for() -> None:
    """The bytes are bounded; what was asked for last stays."""
    cache = MemoryCache(10_000)
    for number in range(4):
        await cache.put(f"k{number}", b"x" * 2_000, 60)
    await cache.get("k0")

    await cache.put("k4", b"x" * 2_000, 60)
    await cache.put("large", b"x" * 10_000, 60)

    found = [n for n in range(5) if await cache.get(f"k{n}") is not None]
    assert found == [0, 2, 3, 4]
    assert await cache.get("large") is None


async def test_memory_by_the_clock() -> None:
    """A value is there until its time is over, and takes no room behind it."""
    now = 0.0
    cache = MemoryCache(3_000, clock=lambda: now)
    await cache.put("a", b"x" * 2_000, 10)
    now = 9.9
    assert await cache.get("a") is not None
    now = 10.0
    assert await cache.get("a") is None
    await cache.put("b", b"x" * 2_000, 10)
    assert await cache.get("b") is not None


async def test_a_server_that_is_not_there() -> None:
    """It is as if nothing were kept."""
    with refusing_port() as port:
        cache = open_cache(f"redis://127.0.0.1:{port}/0", max_bytes=1)

        await cache.put("a", b"1", 60)

        assert await cache.get("a") is None
        await cache.aclose()


@pytest.fixture
def frozen() -> Iterator[ValkeyServer]:
    """A server that takes connections and says nothing."""
    server = ValkeyServer()
    try:
        server.start()
        server.signal(signal.SIGSTOP)
        yield server
    finally:
        server.remove()


async def test_a_server_that_is_silent(
    frozen: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up soon, and then left alone for a while; later it is asked again."""
    monkeypatch.setattr("chatkeep.cache.redis._ANSWER", 0.05)
    now = 100.0
    monkeypatch.setattr("chatkeep.cache.redis.monotonic", lambda: now)
    cache = RedisCache(frozen.url())

    assert await cache.get("a") is None
    frozen.signal(signal.SIGCONT)
    await cache.put("a", b"1", 60)
    assert await cache.get("a") is None

    monkeypatch.setattr("chatkeep.cache.redis._ANSWER", 60)
    now = 200.0
    again = RedisCache(frozen.url())
    await again.put("a", b"1", 60)
    assert await again.get("a") == b"1"
    await again.aclose()
    await cache.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@host",
        "redis://user:hunter2@host:port/0",
        "redis://user:hunter2@host/0?no_such=1&x=%zz",
        "nonsense",
    ],
    ids=["scheme", "port", "parameter", "none"],
)
def test_urls_that_cannot_be_read(url: str) -> None:
    """They stop the start, and nothing of the password is shown."""
    with pytest.raises(SettingsError, match=r"^cache\.url: ") as refused:
        open_cache(url, max_bytes=1)

    assert "hunter2" not in str(refused.value)
