"""A turn that runs here."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from chatkeep.agent.usage import Usage
from chatkeep.context import Lease, RequestContext
from chatkeep.ports import Store, Turn, TurnState
from chatkeep.turns.account import Account
from chatkeep.turns.draft import Draft
from chatkeep.turns.log import TurnLog
from chatkeep.turns.patience import patient
from chatkeep.turns.spoken import Spoken

TAKEOVER_GAP = 100_000
"""How many numbers are left out when a turn is taken over.

The instance that is gone may have shown events that it had not stored. What comes now must have
higher numbers than those, or a reader that comes back would take it for what it has seen. Of a
turn that was not touched nothing was shown that would not be shown again under the same number.
"""


class RunningTurn:
    """What this instance knows of a turn that it holds.

    Args:
        turn: The turn, as it was begun or claimed.
        context: Who asked.
        store: Where it is stored.
        opening: All events that are stored with its beginning; none of a turn taken over.
        given: What its order was made of; None of a turn taken over.

    Attributes:
        turn: The turn.
        given: What its order was made of, as long as it is in memory.
        context: Who asked, with the turn's lease.
        log: Its events.
        draft: Its items that are not stored yet.
        spoken: Its texts that are not finished yet.
        speaks: Writes a piece of a text, if the log's last event is a piece of it as well.
        doing: What it waits for, in a few words for operators.
        usage: What it took, that of earlier holders with it.
        account: What it may take.
        notice: What the user is told at its end, when that came early.
        kept_usage: The version of the usage that is stored.
        state: How it will end.
        reason: Why, in a word.
        unknown: Tools that it had called, of which nobody knows whether they took effect.
        stopping: Why it was told to stop, in a word; None when it was not.
        task: What works on it.
        delivered: Its code has been told to stop.
        complete: Its answer is complete, whatever its code still waits for.
        ending: Its code has ended.
        wanted: A reader elsewhere waits for what is not stored yet.
    """

    def __init__(
        self,
        turn: Turn,
        context: RequestContext,
        store: Store,
        opening: Sequence[bytes] = (),
        given: object = None,
    ) -> None:
        self.turn = turn
        self.given = given
        self.context = replace(context, lease=Lease(turn.id, turn.fence))
        self._store = store
        stored = 0 if opening else turn.last_event
        self.log = TurnLog(stored, TAKEOVER_GAP if turn.touched else 0)
        self.log.open(opening)
        self.draft = Draft(store, turn.thread_id, self.context, self.touched_by_store)
        self.spoken = Spoken()
        self.speaks: Callable[[str, int, str], bool] | None = None
        self.doing: str | None = None
        self.usage = Usage.read(turn.usage)
        self.account: Account | None = None
        self.notice: str | None = None
        self.kept_usage = 0
        self.state = TurnState.COMPLETED
        self.reason: str | None = None
        self.stopping: str | None = None
        self.unknown: Sequence[str] = ()
        self.task: asyncio.Task[None] | None = None
        self.delivered = False
        self.complete = False
        self.ending = False
        self.wanted = False
        self._producing = False
        self._touched = turn.touched

    @property
    def id(self) -> str:
        """The turn's id."""
        return self.turn.id

    @property
    def touched(self) -> bool:
        """Whether something happened that must not happen twice."""
        return self._touched

    @property
    def begins_again(self) -> bool:
        """Whether it was told to stop for another instance to begin it anew."""
        return self.delivered and self.stopping == "shutdown" and not self._touched

    async def touch(self) -> None:
        """Note, in the store, that something is about to happen that must not happen twice.

        Raises:
            LeaseLostError: Another instance works on the turn.
        """
        if not self._touched:
            turn = self.turn
            await patient(lambda: self._store.touch_turn(turn.id, turn.fence, self.context))
            self._touched = True

    def touched_by_store(self) -> None:
        """Note that a write of the turn has touched it."""
        self._touched = True

    def fail(self, state: TurnState, reason: str) -> None:
        """Note that the turn ends badly; the first to say so has it."""
        if self.state is TurnState.COMPLETED:
            self.state, self.reason = state, reason

    def ends_early(self, reason: str, notice: str) -> None:
        """Note that the turn completes before its work was done, and what to tell the user."""
        if self.state is TurnState.COMPLETED and self.reason is None:
            self.reason, self.notice = reason, notice

    def stop(self, reason: str) -> None:
        """Tell the turn to stop, which keeps what it has. Does nothing when it was told already.

        Its code must learn of it as a cancellation where it waits, not where it yields: only then
        does it finish what it has.
        """
        if self.stopping is not None:
            return
        self.stopping = reason
        if self._producing:
            self._deliver()

    def lose(self) -> None:
        """Give the turn up to whoever has it now; if it has just ended, its end finds out."""
        if not self.ending:
            self.stop("lost")

    def speak(self, item_id: str, part: int, text: str) -> bool:
        """Show a piece of a text past the turn's code, which waits; False: it has to be an event.

        Args:
            item_id: Whose text.
            part: Which one.
            text: A piece that goes on with it, and cuts no character in two.
        """
        if self.speaks is None or self.stopping is not None or not self._producing:
            return False
        return self.speaks(item_id, part, text)

    def producing(self, now: bool) -> None:
        """Note whether the turn's code runs, and so may be cancelled."""
        self._producing = now
        if now and self.stopping is not None and not self.delivered:
            self._deliver()  # arrives where the code waits next

    def _deliver(self) -> None:
        if self.task is not None:
            self.delivered = True
            self.task.cancel()
