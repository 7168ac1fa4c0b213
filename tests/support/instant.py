"""Time that passes at once, for tests of limits and pauses within one loop.

The loop does not wait for its timers: when nothing else is to be done, its clock jumps to the next
one. Timers go off in their order, exactly when they are due, on any machine. It is for tests
without sockets, threads and processes, whose time goes on as always; with `busy` the clock stands
still while somebody else works, and the loop waits for him.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_LONGEST_WORK = 5.0
"""Seconds after which somebody who is busy is waited for no longer: he may wait for a timer."""


@contextmanager
def instant(
    loop: asyncio.AbstractEventLoop, busy: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Let the time of a loop pass at once, while nobody is busy."""
    changed: Any = loop
    select = changed._selector.select
    now = loop.time()

    def jump(timeout: float | None = None) -> Any:
        nonlocal now
        if timeout != 0 and busy() and (ready := select(_LONGEST_WORK)):
            return ready
        ready = select(timeout if timeout is None else 0)
        if not ready and timeout is not None:
            now += timeout
        return ready

    changed.time = lambda: now
    changed._selector.select = jump
    yield
    del changed.time, changed._selector.select
