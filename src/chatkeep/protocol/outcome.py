"""What an agent's run tells of the turn that it is: its calls of tools, its tokens, its failure."""

from chatkit.errors import CustomStreamError
from pydantic_core import to_json

from chatkeep.errors import (
    ModelCredentialsError,
    ModelError,
    ModelInterruptedError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
)
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


class TurnNotes:
    """Takes the notes of an agent's run down; see `chatkeep.agent.notes`."""

    def __init__(self, running: RunningTurn, store: Store) -> None:
        self._running = running
        self._store = store

    def doing(self, what: str | None) -> None:
        """Note what the run waits for."""
        self._running.doing = what

    def used(self, requests: int, input_tokens: int, output_tokens: int) -> None:
        """Note how many tokens it took."""
        usage = {
            "requests": requests,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens,
        }
        self._running.usage = to_json(usage).decode()

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
