"""A time limit on many short waits."""

import asyncio

import pytest

from chatkeep.deadline import Deadline


async def test_waits_in_time_are_not_ended(instant_time: asyncio.AbstractEventLoop) -> None:
    """However long they are together; nor is one for which there is no limit."""
    async with Deadline() as deadline:
        for _ in range(20):
            deadline.set(instant_time.time() + 3)
            await asyncio.sleep(2)
            deadline.clear()
        await asyncio.sleep(50)


@pytest.mark.parametrize("before", [None, 3, 60])
async def test_a_late_wait_is_ended(
    before: float | None, instant_time: asyncio.AbstractEventLoop
) -> None:
    """At its own moment, whether one before it had an earlier, a later or no limit."""
    started = instant_time.time()

    async def wait() -> None:
        async with Deadline() as deadline:
            if before is not None:
                deadline.set(started + before)
                await asyncio.sleep(1)
                deadline.clear()
            deadline.set(started + 10)
            await asyncio.sleep(1000)

    with pytest.raises(TimeoutError):
        await wait()
    assert instant_time.time() - started == pytest.approx(10)


async def test_a_cancellation_stays_one(instant_time: asyncio.AbstractEventLoop) -> None:
    """It is not taken for the limit, which ends with its block."""

    async def wait() -> None:
        async with Deadline() as deadline:
            deadline.set(instant_time.time() + 10)
            await asyncio.sleep(1000)

    task = asyncio.create_task(wait())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(60)
