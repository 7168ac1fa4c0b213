"""What every cache of answers must do."""

import asyncio

from chatkeep.ports import Cache

_PATIENCE = 60.0


class CacheContract:
    """Subclass it, and give it a fixture `cache`: one that is empty and has room for a megabyte."""

    async def test_what_was_put_is_there(self, cache: Cache) -> None:
        """Any bytes come back as they were, and only under their key."""
        value = bytes(range(256)) * 100
        await cache.put("a", value, 60)
        await cache.put("empty", b"", 60)

        assert await cache.get("a") == value
        assert await cache.get("empty") == b""
        assert await cache.get("b") is None

    async def test_a_later_value_takes_the_place(self, cache: Cache) -> None:
        """The last one put counts, with its own time."""
        await cache.put("a", b"one", 60)
        await cache.put("a", b"two", 60)

        assert await cache.get("a") == b"two"

    async def test_it_forgets_in_time(self, cache: Cache) -> None:
        """A value is not there any more when its time is over; others are."""
        await cache.put("short", b"1", 0.01)
        await cache.put("long", b"2", 3_600)

        async with asyncio.timeout(_PATIENCE):
            while await cache.get("short") is not None:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
        assert await cache.get("long") == b"2"

    async def test_many_at_once(self, cache: Cache) -> None:
        """Callers do not disturb each other."""
        await asyncio.gather(*[cache.put(f"k{n}", str(n).encode(), 60) for n in range(100)])
        found = await asyncio.gather(*[cache.get(f"k{n}") for n in range(100)])

        assert found == [str(n).encode() for n in range(100)]

    async def test_closing_twice(self, cache: Cache) -> None:
        """It is no error, whether it was used or not."""
        await cache.aclose()
        await cache.aclose()
