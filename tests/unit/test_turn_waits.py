"""Waiting for news, and for a database that comes back."""

import asyncio

import pytest

from chatkeep.errors import NotFoundError, StoreUnavailableError
from chatkeep.turns.bell import Bell, heard_within
from chatkeep.turns.patience import patient

pytestmark = pytest.mark.usefixtures("instant_time")


def now() -> float:
    """The loop's time."""
    return asyncio.get_running_loop().time()


async def test_a_ring_wakes_who_listens_for_the_id() -> None:
    """Those who listen for other ids, or not any more, hear nothing."""
    bell = Bell()
    with bell.listening("a", "b") as both, bell.listening("b") as other:
        bell.ring(["a", "c"])
        assert both.is_set()
        assert not other.is_set()
        await heard_within(both, 60)
        assert not both.is_set()
        bell.ring(["b"])
        assert both.is_set()
        assert other.is_set()
    both.clear()
    bell.ring(["a"])

    assert not both.is_set()
    assert not bell._listening


async def test_what_is_told_goes_to_others_as_well() -> None:
    """A ring that came from elsewhere does not go back."""
    bell, published = Bell(), []
    bell.publish = published.append
    with bell.listening("a") as heard:
        bell.tell(["a"])
        assert heard.is_set()
        bell.ring(["a"])

    assert published == [["a"]]


async def test_a_ring_between_looks_is_not_missed() -> None:
    """Who looks while it rings looks again at once."""
    bell, began = Bell(), now()
    with bell.listening("a") as heard:
        bell.ring(["a"])
        await heard_within(heard, 60)
        assert now() == began
        await heard_within(heard, 60)

    assert now() - began == pytest.approx(60)


class Gone:
    """A database that is gone for some calls."""

    def __init__(self, failures: float, error: Exception | None = None) -> None:
        self.failures = failures
        self.error = error or StoreUnavailableError()
        self.calls = 0

    async def call(self) -> str:
        """Fail, or answer."""
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "here"


async def test_a_call_is_tried_until_the_database_is_back() -> None:
    """Some failures in a row are waited out."""
    database = Gone(5)

    assert await patient(database.call) == "here"
    assert database.calls == 6


async def test_patience_ends() -> None:
    """A database that stays away is an error after about half a minute."""
    database, began = Gone(float("inf")), now()

    with pytest.raises(StoreUnavailableError):
        await patient(database.call)

    assert 25 < now() - began <= 30
    assert 15 < database.calls < 60


async def test_other_errors_are_not_waited_out() -> None:
    """Only a database that is gone may come back."""
    database = Gone(1, NotFoundError())

    with pytest.raises(NotFoundError):
        await patient(database.call)

    assert database.calls == 1


async def test_patience_can_be_cancelled() -> None:
    """Whoever is stopped does not wait on."""
    task = asyncio.create_task(patient(Gone(float("inf")).call))
    await asyncio.sleep(1)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
