"""A turn is work under a lease; HTTP responses only read what it produces.

The task matters: in a response's own task a disconnect cancels again at every await, and a partial
answer could not be saved. So every turn has a task of its own, here or, when this instance is
gone, on another one: see `chatkeep.turns.recovery`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from chatkeep.context import RequestContext
from chatkeep.errors import (
    ChatkeepError,
    NotFoundError,
    ShuttingDownError,
    StoreUnavailableError,
    TurnRunningError,
)
from chatkeep.ids import new_id
from chatkeep.ports import Store, Turn, TurnOrder, TurnState
from chatkeep.telemetry.logging import describe
from chatkeep.turns.bell import Bell, asked_for
from chatkeep.turns.ending import end, hand_back
from chatkeep.turns.keeping import Keeper
from chatkeep.turns.log import rows_of
from chatkeep.turns.patience import patient
from chatkeep.turns.pump import Pump
from chatkeep.turns.running import RunningTurn
from chatkeep.turns.scope import Scope, entered
from chatkeep.turns.stored import load_all_events
from chatkeep.turns.work import Work

QUEUE = "queue"
"""What the bell rings when a turn has ended here: others may wait for that."""

_STOP_SECONDS = 5.0  # for what a stopped turn still has to store
_LOOK_SECONDS = 0.1
_MAX_FENCE = 4  # a turn that ended so many instances may be what ends them

_log = structlog.get_logger(__name__)


class TurnEngine:
    """All turns that run on this instance.

    Args:
        store: Where turns are stored.
        work: What they do.
        bell: Told when something here changes.
        lease: Seconds after which another instance takes over a turn of one that is gone.
        holder: The name of this instance; a new one by default.
    """

    def __init__(
        self,
        store: Store,
        work: Work,
        bell: Bell,
        *,
        lease: float,
        holder: str | None = None,
    ) -> None:
        self.holder = holder or new_id("ins")
        self.lease = lease
        self.bell = bell
        self.draining = asyncio.Event()
        self._store = store
        self._work = work
        self._running: dict[str, RunningTurn] = {}
        self._hurried = asyncio.Event()
        self._errands: set[asyncio.Task[None]] = set()
        self._keeper = Keeper(store, self._running, bell, holder=self.holder, lease=lease)

    @property
    def running(self) -> Sequence[RunningTurn]:
        """The turns that run here."""
        return list(self._running.values())

    def find(self, turn_id: str) -> RunningTurn | None:
        """Return a turn if it runs here."""
        return self._running.get(turn_id)

    async def begin(
        self,
        order: TurnOrder,
        opening: Sequence[bytes],
        context: RequestContext,
        given: object = None,
    ) -> Turn:
        """Store a turn, with its thread and message, and start to work on it.

        When this returns the message is safe. The turn that is returned is an earlier one if the
        order's idempotency key says so.

        Args:
            order: The turn.
            opening: The events that readers get at once.
            context: Who asks.
            given: What the order was made of, for the work.

        Raises:
            TurnRunningError: The thread has a running turn, which has not been told to stop.
            ShuttingDownError: No new turns are taken.
            ChatkeepError: As `Store.begin_turn`. Nothing was stored.
        """
        if self.draining.is_set():
            raise ShuttingDownError
        order = replace(order, events=rows_of(opening))
        turn = await self._begin_behind_stopped(order, context)
        if turn.id == order.id and turn.state is TurnState.RUNNING:
            self._adopt(RunningTurn(turn, context, self._store, opening, given), self._answer)
        self.bell.tell([turn.thread_id])
        return turn

    def take(self, turn: Turn) -> None:
        """Work on a turn that was taken over: begin again, if nothing of it has happened."""
        again = not turn.touched and not turn.cancel_requested and turn.fence <= _MAX_FENCE
        try:
            context = self._work.context_of(turn)
        except ChatkeepError as error:
            # Of another version. To leave it would be to take it again, for ever.
            _log.warning("a turn cannot begin again", turn=turn.id, error=type(error).__name__)
            context, again = RequestContext(turn.principal, request_id=turn.id), False
        running = RunningTurn(turn, context, self._store)
        _log.info("a turn was taken over", turn=turn.id, begins_again=again)
        self._adopt(running, self._answer if again else self._give_up)

    def _adopt(self, running: RunningTurn, how: Callable[[RunningTurn], Awaitable[bool]]) -> None:
        if (before := self._running.get(running.id)) is not None:
            before.lose()  # this instance stood still for longer than its lease
        self._running[running.id] = running
        running.task = asyncio.create_task(self._run(running, how), name="turn")
        self._keeper.start()

    async def cancel(self, turn_id: str, context: RequestContext) -> Turn:
        """Stop a turn wherever it runs; return it, ended if that did not take long. Idempotent.

        Raises:
            NotFoundError: There is no such turn.
        """
        turn = await self._store.cancel_turn(turn_id, context)
        if (running := self._running.get(turn_id)) is not None:
            running.stop("stopped")
        self.bell.tell([turn_id, turn.thread_id])
        loop = asyncio.get_running_loop()
        until = loop.time() + _STOP_SECONDS
        while turn.ended_at is None and loop.time() < until:
            await self._wait_for(turn_id)
            turn = await self._store.load_turn(turn_id, context)
        return turn

    def leave(self, turn_id: str, context: RequestContext) -> None:
        """Stop a turn that a reader has left, unless somebody else here reads it."""
        running = self._running.get(turn_id)
        if running is not None and running.log.readers:
            return
        task = asyncio.create_task(self._cancel_quietly(turn_id, context), name="cancel")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _cancel_quietly(self, turn_id: str, context: RequestContext) -> None:
        try:
            await self.cancel(turn_id, context)
        except ChatkeepError as error:
            _log.info("a turn was not stopped", turn=turn_id, error=type(error).__name__)

    async def stop_thread(self, thread_id: str, context: RequestContext) -> None:
        """Stop the turn of a thread, if one is open, wherever it runs."""
        try:
            turn = await self._store.load_thread_turn(thread_id, context)
            if turn is not None and turn.ended_at is None:
                await self.cancel(turn.id, context)
        except NotFoundError:
            return

    async def drain(self, grace: float) -> None:
        """Take no new turns, let running ones finish for `grace` seconds, then hand them over.

        A turn that can begin again is given back, for another instance to take; any other one ends
        as interrupted, with what it has.
        """
        self.draining.set()
        if running := self._tasks():
            _log.info("waiting for running answers", turns=len(running), grace=grace)
            watchers: list[asyncio.Task[object]] = [
                asyncio.create_task(asyncio.wait(running)),
                asyncio.create_task(self._hurried.wait()),
            ]
            await asyncio.wait(watchers, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            for watcher in watchers:
                watcher.cancel()
        if late := self._tasks():
            _log.info("handing running answers over", turns=len(late))
            for each in self.running:
                each.stop("shutdown")
            _, left = await asyncio.wait(late, timeout=_STOP_SECONDS)
            if left:
                _log.warning("answers are left to be taken over", turns=len(left))
        await self._keeper.aclose()

    def hurry(self) -> None:
        """End the grace of a drain now."""
        self._hurried.set()

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [each.task for each in self._running.values() if each.task is not None]

    async def _begin_behind_stopped(self, order: TurnOrder, context: RequestContext) -> Turn:
        """Begin a turn; one that was told to stop is waited for, so that a message can follow."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _STOP_SECONDS
        while True:
            try:
                return await self._store.begin_turn(order, context)
            except TurnRunningError as error:
                if loop.time() > until or not await self._is_stopping(error.turn_id, context):
                    raise
                await self._wait_for(error.turn_id)

    async def _is_stopping(self, turn_id: str, context: RequestContext) -> bool:
        if (running := self._running.get(turn_id)) is not None:
            return running.stopping is not None
        try:
            turn = await self._store.load_turn(turn_id, context)
        except NotFoundError:
            return True  # deleted with its thread since
        return turn.cancel_requested or turn.ended_at is not None

    async def _wait_for(self, turn_id: str) -> None:
        """Return when a turn that runs here has ended, or after a moment."""
        running = self._running.get(turn_id)
        if running is not None and running.task is not None:
            await asyncio.wait([running.task], timeout=_STOP_SECONDS)
        else:
            await asyncio.sleep(_LOOK_SECONDS)

    async def _run(
        self, running: RunningTurn, how: Callable[[RunningTurn], Awaitable[bool]]
    ) -> None:
        turn = running.turn
        try:
            with (
                self.bell.answering(lambda: self._keeper.hurry(running), asked_for(turn.id)),
                entered(Scope(running.context, running)),
            ):
                replaces = await how(running)
            if running.stopping == "lost":
                running.log.end(lost=True)
            elif running.begins_again:
                await hand_back(running, self._store)
            else:
                await end(running, self._store, replaces=replaces)
        except Exception as error:  # noqa: BLE001 - the end of a task that nobody waits for
            # Its lease runs out, and it is taken over.
            _log.error("a turn could not be ended", turn=turn.id, **describe(error))
        finally:
            if self._running.get(turn.id) is running:
                del self._running[turn.id]
            if not running.log.ended:
                running.log.end(lost=True)
            self.bell.tell([turn.id, turn.thread_id])
            self.bell.ring([QUEUE])

    async def _answer(self, running: RunningTurn) -> bool:
        """Do the turn's work; say whether its answer takes the place of what it replaces."""
        pump = Pump(running, self._work, self._work.answer(running))
        await self._drive(running, pump)
        whole = running.complete or not running.delivered
        return pump.answered and not pump.failed and whole

    async def _give_up(self, running: RunningTurn) -> bool:
        """End a turn, as what it was: stopped by its user, or interrupted."""
        turn = running.turn
        rows = await patient(lambda: load_all_events(self._store, turn, running.context))
        await self._drive(running, Pump(running, self._work, self._work.give_up(running, rows)))
        return False

    async def _drive(self, running: RunningTurn, pump: Pump) -> None:
        """Write the turn's events to its log, and what it has finished to its draft."""
        error: Exception | None = None
        try:
            await pump.run()
        except asyncio.CancelledError:
            if not running.delivered:
                raise
        except Exception as caught:  # noqa: BLE001 - recorded, and told as the last event
            error = caught
        if running.delivered:
            await _swallow_stop()
        if error is None and not running.delivered:
            return  # told too late, or not at all: it is complete
        pump.tell()
        if error is None and running.complete:
            return  # told while it waited for something else, such as a title
        self._tell_failure(running, pump, error)

    def _tell_failure(self, running: RunningTurn, pump: Pump, error: Exception | None) -> None:
        """Note how a turn ends that was stopped or has failed, and tell its readers."""
        match running.stopping:
            case "stopped":
                running.fail(TurnState.CANCELLED, "stopped")
            case "shutdown" | "database" as reason:
                running.fail(TurnState.INTERRUPTED, reason)
                error = ShuttingDownError() if reason == "shutdown" else StoreUnavailableError()
            case None if error is not None:
                running.fail(TurnState.FAILED, "error")
                _log.error("turn failed", turn=running.id, **describe(error))
            case _:
                pass
        if error is not None and not pump.failed:
            pump.append(self._work.failure(running, error))


async def _swallow_stop() -> None:
    """Have the cancellation by which the turn was stopped arrive here, if it has not arrived.

    Its code may have ended without waiting for anything. `uncancel` alone takes back what is on
    its way from Python 3.13 on only, and the turn's end must not be cancelled.
    """
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    if (task := asyncio.current_task()) is not None:
        task.uncancel()
