"""What an agent's run tells of the turn that it is: its calls of tools and models, its failure."""

from datetime import UTC, datetime

from chatkit.errors import CustomStreamError
from chatkit.types import NoticeEvent, SDKHiddenContextItem

from chatkeep.agent.observing import Observing
from chatkeep.errors import (
    BudgetExceededError,
    ModelCredentialsError,
    ModelError,
    ModelInterruptedError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from chatkeep.ids import new_item_id
from chatkeep.models.calls import Finish, Tokens
from chatkeep.ports import Store, TurnState
from chatkeep.turns.patience import patient
from chatkeep.turns.running import RunningTurn

_REASONS: dict[type[BaseException], str] = {
    ModelCredentialsError: "credentials",
    ModelRequestError: "refused",
    ModelRateLimitError: "rate_limit",
    ModelUnavailableError: "provider",
    ModelTimeoutError: "timeout",
    ModelInterruptedError: "cut",
}

_CUT = (ModelInterruptedError, ModelTimeoutError, ModelUnavailableError)


def note_failure(running: RunningTurn, error: CustomStreamError) -> None:
    """Note how a turn ends: interrupted when a part of the answer was shown, else failed."""
    cause = error.__cause__
    if isinstance(cause, ModelError):
        cut = isinstance(cause, _CUT) and running.touched
        state = TurnState.INTERRUPTED if cut else TurnState.FAILED
        running.fail(state, _REASONS.get(type(cause), "model"))
    else:
        running.fail(TurnState.FAILED, "error")


_EARLY: dict[Finish, str] = {
    "length": "The answer was cut off at the model's length limit.",
    "content_filter": "The provider's filter stopped this answer.",
}

_FOR_THE_MODEL = {
    "length": "The assistant's previous answer was cut off at the model's length limit.",
    "content_filter": "The provider's filter stopped the assistant's previous answer.",
    "budget": "The assistant's previous answer ended early, as a budget was used up.",
}


def note_end(running: RunningTurn, observing: Observing) -> list[NoticeEvent]:
    """Note how the answer of a turn ended, for the model in what comes next; return the notices."""
    notices = [*observing.notices()]
    if observing.early is not None:
        running.ends_early(observing.early, _EARLY[observing.early])
    if running.notice is None or running.state is not TurnState.COMPLETED:
        return notices
    note = SDKHiddenContextItem(
        id=new_item_id("sdk_hidden_context"),
        thread_id=running.turn.thread_id,
        created_at=datetime.now(UTC),
        content=_FOR_THE_MODEL[running.reason or ""],
    )
    running.draft.add(note.thread_id, note)
    return [*notices, NoticeEvent(level="warning", message=running.notice)]


class TurnNotes:
    """Takes the notes of an agent's run down; see `chatkeep.agent.notes`."""

    def __init__(self, running: RunningTurn, store: Store) -> None:
        self._running = running
        self._store = store

    def doing(self, what: str | None) -> None:
        """Note what the run waits for."""
        self._running.doing = what

    async def model_begins(self, last: Tokens | None) -> None:
        """Put more aside for the turn when what it has left is not enough for another call.

        The first call is what was put aside as the turn began.

        Raises:
            BudgetExceededError: There is no more.
            LeaseLostError: Another instance works on the turn.
        """
        running, account = self._running, self._running.account
        if account is None or last is None or not account.budgets:
            return
        used = running.usage.tokens, running.usage.micros
        reserves = account.reserving(last.input + last.output, used)
        turn = running.turn
        if reserves.tokens <= turn.tokens and reserves.cost <= turn.cost:
            return
        running.turn = await patient(
            lambda: self._store.reserve_turn(turn.id, turn.fence, reserves, used, running.context)
        )

    def over_budget(self, error: BudgetExceededError) -> None:
        """Note that the turn ends with what it has."""
        self._running.ends_early("budget", f"This answer ends here. {error}")

    def speak(self, item_id: str, part: int, text: str) -> bool:
        """Show what goes on with the text that was shown last; False: it has to be an event."""
        return self._running.speak(item_id, part, text)

    def completed(self) -> None:
        """Note that the answer is complete."""
        self._running.complete = True

    async def tool_begins(self, call_id: str, name: str) -> None:
        """Note, in the store, that a tool is about to be called.

        Raises:
            ConflictError: An instance that is gone has called it; nobody knows what became of it.
        """
        running, turn = self._running, self._running.turn
        running.doing = f"the tool {name}"
        await patient(
            lambda: self._store.begin_tool_call(turn.id, turn.fence, call_id, name, running.context)
        )
        running.touched_by_store()

    async def tool_ended(self, call_id: str) -> None:
        """Note, in the store, that the call has ended."""
        running, turn = self._running, self._running.turn
        running.doing = None
        await patient(
            lambda: self._store.end_tool_call(turn.id, turn.fence, call_id, running.context)
        )
