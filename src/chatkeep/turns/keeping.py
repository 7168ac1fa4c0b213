"""One task keeps all turns of this instance alive, and their logs stored."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from chatkeep.errors import StoreUnavailableError
from chatkeep.ports import Store, TurnKeeping
from chatkeep.telemetry.logging import describe
from chatkeep.turns.bell import Bell, heard_within
from chatkeep.turns.running import RunningTurn

_FLUSH_SECONDS = 0.5
_FLUSH_BYTES = 16 * 1024
_TICK_SECONDS = 0.1
_STOPS_SECONDS = 0.5
"""How often to look for turns that other instances were told to stop."""

_RENEWALS = 3  # in the time of a lease
_BATCH = 200

_LAST_SECONDS = 5.0
"""For how long the logs of turns that have to be left may take to be stored."""

_LAST_LEASE_SECONDS = 1.0
"""How soon another instance may take them over: this one is about to be gone."""

_STALL_SECONDS = 30.0
"""A turn without an event for so long is reported, once."""

_MAX_UNSAVED_SECONDS = 30.0
_MAX_UNSAVED_BYTES = 4 * 1024 * 1024
"""A turn whose log cannot be stored for so long, or so much of it, is stopped."""

_log = structlog.get_logger(__name__)


class Keeper:
    """Stores what turns produce, renews their leases, and hears that they are to stop.

    Args:
        store: Where turns are stored.
        running: The turns that run here, by id; the engine's own.
        bell: Told of what was stored.
        holder: This instance.
        lease: Seconds of a lease.
    """

    def __init__(
        self,
        store: Store,
        running: Mapping[str, RunningTurn],
        bell: Bell,
        *,
        holder: str,
        lease: float,
    ) -> None:
        self._store = store
        self._running = running
        self._bell = bell
        self._holder = holder
        self._lease = lease
        self._renewed: dict[str, float] = {}
        self._counted: dict[str, int] = {}
        self._used: dict[str, float] = {}
        self._stalled: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._stops_at = 0.0
        self._hurried = asyncio.Event()

    def start(self) -> None:
        """Keep turns from now on, if there are any. Idempotent."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep(), name="turn-keeper")

    def hurry(self, running: RunningTurn) -> None:
        """Store what a turn has now: a reader elsewhere waits for it."""
        running.wanted = True
        self._hurried.set()

    async def aclose(self) -> None:
        """Stop. What runs on is taken over when its lease has run out, with all that was shown."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._lease = min(self._lease, _LAST_LEASE_SECONDS)
        for running in self._running.values():
            running.wanted = True
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                await self._store_due(asyncio.get_running_loop().time())
        except (StoreUnavailableError, TimeoutError) as error:
            _log.warning("the last of the answers is not stored", error=type(error).__name__)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while self._running:
            await heard_within(self._hurried, _TICK_SECONDS)
            self._watch()
            try:
                await self._store_due(loop.time())
                if loop.time() >= self._stops_at:
                    self._stops_at = loop.time() + _STOPS_SECONDS
                    await self._hear_stops()
            except StoreUnavailableError:
                self._give_up_hopeless()
            except Exception as error:  # noqa: BLE001 - without it all turns here would be lost
                _log.error("keeping turns failed", **describe(error))
        self._renewed.clear()
        self._counted.clear()
        self._used.clear()
        self._stalled.clear()

    async def _store_due(self, now: float) -> None:
        turns = self._running.values()
        due = [kept for each in turns if (kept := self._due(each, now))]
        if due:
            # One transaction for all costs less than one for each when its time has come.
            named = {kept.turn_id for kept in due}
            others = [each for each in turns if each.id not in named]
            due += [kept for each in others if (kept := self._due(each, now, along=True))]
        for start in range(0, len(due), _BATCH):
            batch = due[start : start + _BATCH]
            held = set(await self._store.keep_turns(batch))
            self._note(batch, held, now)

    def _due(self, running: RunningTurn, now: float, *, along: bool = False) -> TurnKeeping | None:
        """Return what is to be stored of a turn; None when that can wait.

        Args:
            running: The turn.
            now: The loop's time.
            along: Something is stored now in any case.
        """
        log, turn = running.log, running.turn
        after = _FLUSH_SECONDS / 2 if along else _FLUSH_SECONDS
        much = log.unsaved_bytes >= _FLUSH_BYTES or log.unsaved_seconds >= after
        soon = log.unsaved_bytes > 0 and running.wanted
        rows = log.rows() if much or soon else []
        renews = now - self._renewed.setdefault(turn.id, now) >= self._lease / _RENEWALS
        version = running.usage.version
        counts = version != running.kept_usage
        # Most turns end at once when their model has, and that stores it.
        waited = counts and now - self._used.setdefault(turn.id, now) >= _FLUSH_SECONDS
        if not (rows or renews or waited):
            return None
        self._counted[turn.id] = version
        return TurnKeeping(
            turn.principal,
            turn.id,
            turn.fence,
            lease=self._lease,
            rows=rows,
            doing=running.doing,
            usage=running.usage.text() if counts else None,
        )

    def _note(self, batch: Sequence[TurnKeeping], held: set[str], now: float) -> None:
        told: list[str] = []
        for kept in batch:
            running = self._running.get(kept.turn_id)
            if running is None:
                continue
            if kept.turn_id not in held:
                running.lose()
                continue
            self._renewed[kept.turn_id] = now
            running.kept_usage = self._counted[kept.turn_id]
            self._used.pop(kept.turn_id, None)
            if kept.rows:
                running.log.saved(kept.rows[-1].last)
                running.wanted = False
                told.append(kept.turn_id)
        if told:
            self._bell.tell(told)

    def _watch(self) -> None:
        """Say which turns have not moved for long, and what they wait for."""
        for turn_id, running in self._running.items():
            idle = running.log.idle_seconds
            if idle < _STALL_SECONDS:
                self._stalled.discard(turn_id)
            elif turn_id not in self._stalled:
                self._stalled.add(turn_id)
                waits_for = running.doing or "its code"
                _log.warning("a turn stalls", turn=turn_id, seconds=round(idle), doing=waits_for)

    async def _hear_stops(self) -> None:
        for turn_id in await self._store.stopped_turns(self._holder):
            if (running := self._running.get(turn_id)) is not None:
                running.stop("stopped")

    def _give_up_hopeless(self) -> None:
        for running in self._running.values():
            log = running.log
            if log.unsaved_seconds > _MAX_UNSAVED_SECONDS or log.unsaved_bytes > _MAX_UNSAVED_BYTES:
                running.stop("database")
