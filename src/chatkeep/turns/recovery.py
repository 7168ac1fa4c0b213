"""Taking over turns of instances that are gone, and queued ones whose time has come."""

import asyncio
import random
from collections.abc import Callable

import structlog

from chatkeep.errors import StoreUnavailableError
from chatkeep.ports import Store
from chatkeep.telemetry.logging import describe
from chatkeep.turns.bell import heard_within
from chatkeep.turns.engine import QUEUE, TurnEngine

_LOOK_SECONDS = 2.0
_CALM_SECONDS = 10.0
"""How long to leave turns alone after the store was gone: those who work on them come back too."""

_log = structlog.get_logger(__name__)


class Recovery:
    """Looks for turns that need somebody, every other second and when one has ended here.

    Args:
        store: Where they are.
        engine: Takes them.
        has_room: Whether there is room for another one. Where there is none, one is taken at each
            look all the same: they were promised, and nobody else may have room either.
    """

    def __init__(
        self, store: Store, engine: TurnEngine, has_room: Callable[[], bool] = lambda: True
    ) -> None:
        self._store = store
        self._engine = engine
        self._has_room = has_room

    async def run(self) -> None:
        """Take turns over until cancelled. The store being gone, it waits."""
        calm_until = 0.0
        loop = asyncio.get_running_loop()
        with self._engine.bell.listening(QUEUE) as heard:
            while not self._engine.draining.is_set():
                try:
                    if loop.time() >= calm_until:
                        await self.take_all()
                except StoreUnavailableError:
                    calm_until = loop.time() + _CALM_SECONDS
                except Exception as error:  # noqa: BLE001 - without it nobody would look any more
                    _log.error("no turn was taken over", **describe(error))
                pause = _LOOK_SECONDS * random.uniform(0.75, 1.25)  # noqa: S311 - not for secrets
                await heard_within(heard, pause)

    async def take_all(self) -> None:
        """Take the turns that need somebody now, as many as there is room for."""
        engine = self._engine
        while not engine.draining.is_set():
            turn = await self._store.claim_turn(engine.holder, engine.lease)
            if turn is None:
                return
            engine.take(turn)
            if not self._has_room():
                return
