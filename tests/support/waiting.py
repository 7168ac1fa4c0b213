"""Waiting for what happens by itself, however slow the machine is."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable

PATIENCE = 120.0
"""Seconds. Only a test that fails takes that long."""


async def until[T](condition: Callable[[], T | Awaitable[T]]) -> T:
    """Ask again and again until the answer is true, and return it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = condition()
            found = await answer if isawaitable(answer) else answer
            if found:
                return found
            await asyncio.sleep(0.01)
