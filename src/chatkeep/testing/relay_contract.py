"""The relay's contract as tests, to be subclassed with two fixtures.

    class TestMyRelay(RelayContract):
        @pytest.fixture
        def relay(self):
            return MyRelay(...)

        @pytest.fixture
        def second_relay(self):  # of another instance; None if there is only ever one
            return MyRelay(...)

Neither is open yet; the suite opens and closes them. Nobody else may use their channel.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count

import pytest

from chatkeep.errors import RelayUnavailableError
from chatkeep.ports import Relay

_PATIENCE = 120.0
"""Seconds. Only a test that fails takes that long."""
_AGAIN = 0.1
"""Seconds until an id that was not heard is published again: wake-ups may be lost."""


class Ear:
    """Hears wake-ups, and remembers them."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, ids: Sequence[str]) -> None:
        """Be woken."""
        self.calls.append(tuple(ids))

    @property
    def heard(self) -> set[str]:
        """All ids so far."""
        return {each for call in self.calls for each in call}


_numbers = count()


def _fresh_id() -> str:
    return f"trn_probe_{next(_numbers)}"


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


async def answers(relay: Relay) -> None:
    """Ping until there is an answer: on a slow machine the first one may take too long."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            try:
                await relay.ping()
            except RelayUnavailableError:
                await asyncio.sleep(_AGAIN)
            else:
                return


async def comes_through(relay: Relay, ear: Ear) -> None:
    """Publish an id again and again until it is heard."""
    wanted = _fresh_id()
    async with asyncio.timeout(_PATIENCE):
        while wanted not in ear.heard:
            relay.publish([wanted])
            await asyncio.sleep(_AGAIN)


@asynccontextmanager
async def opened(relay: Relay) -> AsyncIterator[Ear]:
    """Open a relay, and close it at the end."""
    ear = Ear()
    await relay.open(ear)
    try:
        yield ear
    finally:
        await relay.aclose()


@asynccontextmanager
async def pair(relay: Relay, second_relay: Relay | None) -> AsyncIterator[tuple[Ear, Ear]]:
    """Open two instances' relays, and wait until they hear each other."""
    if second_relay is None:
        pytest.skip("a relay for one process")
    async with opened(relay) as here, opened(second_relay) as there:
        await comes_through(relay, there)
        await comes_through(second_relay, here)
        yield here, there


@pytest.mark.asyncio
class RelayContract:
    """What `chatkeep.ports.Relay` promises."""

    async def test_wakes_the_one_who_publishes(self, relay: Relay) -> None:
        """Who waits here hears what is published here, connected or not."""
        async with opened(relay) as ear:
            relay.publish(["trn_1", "thr_1"])
            await _until(lambda: {"trn_1", "thr_1"} <= ear.heard)

    async def test_wakes_another_instance(self, relay: Relay, second_relay: Relay | None) -> None:
        """Ids reach the other instance, in both directions, and once more after a while."""
        async with pair(relay, second_relay) as (here, there):
            second = second_relay or relay
            for _ in range(3):
                await comes_through(relay, there)
                await comes_through(second, here)

    async def test_joins_what_comes_at_once(self, relay: Relay, second_relay: Relay | None) -> None:
        """A thousand ids are a few messages, here and there, and each id is in one of them."""
        ids = {f"trn_{n}" for n in range(1000)}
        async with pair(relay, second_relay) as (here, there):
            tries = 0
            while not ids <= there.heard:
                tries += 1
                for each in sorted(ids):
                    relay.publish([each, each])
                await comes_through(relay, there)
            assert sum(not ids.isdisjoint(call) for call in here.calls) == tries
            assert sum(not ids.isdisjoint(call) for call in there.calls) <= 10 * tries

    async def test_stays_bounded(self, relay: Relay) -> None:
        """Ten thousand ids at once neither wait, nor raise, nor all get kept."""
        async with opened(relay) as ear:
            relay.publish([f"trn_{'x' * 50}{n}" for n in range(10_000)])
            await comes_through(relay, ear)
            assert all(len(call) < 10_000 for call in ear.calls)
            assert len(ear.heard) < 10_000

    async def test_drops_what_is_no_id(self, relay: Relay) -> None:
        """What could not be told apart from other ids is left out, and the rest is not."""
        async with opened(relay) as ear:
            relay.publish(["", "a\nb", "ü", "x" * 65, "x" * 64, "good one"])
            await _until(lambda: "good one" in ear.heard)
            assert ear.heard == {"x" * 64, "good one"}

    async def test_survives_a_wake_up_that_fails(
        self, relay: Relay, second_relay: Relay | None
    ) -> None:
        """A mistake of who is woken is not the end of waking, neither here nor there."""
        ear = Ear()

        def clumsy(ids: Sequence[str]) -> None:
            ear(ids)
            raise ValueError("mine")

        await relay.open(clumsy)
        try:
            for _ in range(2):
                await comes_through(relay, ear)
            if second_relay is not None:
                async with opened(second_relay) as there:
                    for _ in range(2):
                        await comes_through(second_relay, ear)
                        await comes_through(relay, there)
        finally:
            await relay.aclose()

    async def test_publishing_never_fails(self, relay: Relay) -> None:
        """Neither before it is open nor after it was closed; nobody hears that."""
        relay.publish(["trn_early"])
        async with opened(relay) as ear:
            await comes_through(relay, ear)
        relay.publish(["trn_late"])
        await asyncio.sleep(0)
        assert ear.heard.isdisjoint({"trn_early", "trn_late"})

    async def test_the_last_words_are_heard(self, relay: Relay, second_relay: Relay | None) -> None:
        """What was published just before the end is sent."""
        if second_relay is None:
            pytest.skip("a relay for one process")
        async with opened(second_relay) as there:
            async with asyncio.timeout(_PATIENCE):
                while "trn_last" not in there.heard:
                    async with opened(relay) as here:
                        await comes_through(relay, there)
                        relay.publish(["trn_last"])
                    assert "trn_last" in here.heard
                    await asyncio.sleep(_AGAIN)

    async def test_answers_a_ping(self, relay: Relay) -> None:
        """It does while it is open, and not else."""
        with pytest.raises(RelayUnavailableError):
            await relay.ping()
        async with opened(relay):
            await answers(relay)
        with pytest.raises(RelayUnavailableError):
            await relay.ping()

    async def test_is_live_while_it_is_open(self, relay: Relay) -> None:
        """Readers may rely on it then."""
        assert not relay.live
        async with opened(relay):
            await _until(lambda: relay.live)
        assert not relay.live

    async def test_leaves_no_task(self, relay: Relay, second_relay: Relay | None) -> None:
        """Closing ends what opening began, also in the middle, twice, and before it began."""
        before = asyncio.all_tasks()
        await relay.aclose()
        for each in (relay, second_relay or relay):
            await each.open(Ear())
            each.publish(["trn_1"])
            await each.aclose()
            await each.aclose()
            await _until(lambda: asyncio.all_tasks() == before)
        async with opened(relay) as ear:
            await comes_through(relay, ear)
            await answers(relay)
        await _until(lambda: asyncio.all_tasks() == before)
