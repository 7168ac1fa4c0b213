"""Waiting for a database that is gone for a while."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from chatkeep.errors import StoreUnavailableError

_PATIENCE_SECONDS = 30.0  # a restart or a failover takes less
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 2.0


async def patient[T](
    call: Callable[[], Awaitable[T]],
    seconds: float = _PATIENCE_SECONDS,
    waiting: Callable[[float], None] | None = None,
) -> T:
    """Return what a call of the store does, tried again while the store is not there.

    A call that the store has carried out although it could not say so is repeated: it must be one
    for which that makes no difference.

    Args:
        call: The call.
        seconds: For how long to try.
        waiting: Told, before each further try, for how many seconds it has been tried.

    Raises:
        StoreUnavailableError: It was not there for that many seconds.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    wait = _FIRST_WAIT
    while True:
        try:
            return await call()
        except StoreUnavailableError:
            waited = loop.time() - began
            if waited + wait > seconds:
                raise
        if waiting is not None:
            waiting(waited)
        await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - not for secrets
        wait = min(wait * 2, _LONGEST_WAIT)
