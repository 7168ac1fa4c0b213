"""How a turn ends: its state, last items and last events are stored together, or not at all."""

from dataclasses import replace
from functools import partial

import structlog

from chatkeep.errors import HeldError, LeaseLostError, NotFoundError, StoreUnavailableError
from chatkeep.ports import Store, TurnEnd, TurnKeeping
from chatkeep.turns.patience import patient
from chatkeep.turns.running import RunningTurn

_TRY_SECONDS = 600.0
"""For how long the end of a turn is kept for a database that is gone."""

_READERS_WAIT_SECONDS = 20.0
"""How long readers of such a turn are kept; then they are told to come back."""

_log = structlog.get_logger(__name__)


async def end(running: RunningTurn, store: Store, *, replaces: bool) -> None:
    """Store the end of a turn, and show what was held back until then.

    The other side being gone: it is tried again for ten minutes, as long as nobody else takes the
    turn over; what is in memory for that is what the turn had not stored.

    Args:
        running: The turn, whose code has ended.
        store: Where it is stored.
        replaces: The answer takes the place of the items that it replaces.
    """
    running.ending = True
    items = running.draft.items
    running.log.seen = running.log.readers > 0
    last = TurnEnd(
        state=running.state,
        reason=running.reason,
        usage=running.usage.text(),
        items=items,
        removed=tuple(running.draft.replaced) if replaces else (),
        events=running.log.rows(hidden=True),
        read=running.log.seen,
        spent=running.usage.spent(),
    )
    try:
        await _store_end(running, store, last)
    except (LeaseLostError, NotFoundError) as error:
        # Somebody else works on it, or the user has deleted it: nothing of it is ours.
        _log.info("a turn was taken over", turn=running.id, error=type(error).__name__)
        running.log.end(lost=True)
        return
    running.draft.stored(items)
    running.log.saved(running.log.last)
    running.log.show()
    running.log.end()


async def hand_back(running: RunningTurn, store: Store) -> None:
    """Give a turn that can begin again to whoever takes it."""
    turn = running.turn
    try:
        if running.usage.version != running.kept_usage:
            kept = TurnKeeping(turn.principal, turn.id, turn.fence, usage=running.usage.text())
            await store.keep_turns([kept])
        await store.release_turn(turn.id, turn.fence, running.context)
    except (LeaseLostError, NotFoundError, StoreUnavailableError) as error:
        # Then its lease runs out, which comes to the same.
        _log.info("a turn was not handed over", turn=turn.id, error=type(error).__name__)
    running.log.end(lost=True)


async def _store_end(running: RunningTurn, store: Store, last: TurnEnd) -> None:
    turn = running.turn

    def release(waited: float) -> None:
        if waited > _READERS_WAIT_SECONDS and not running.log.ended:
            running.log.end(lost=True)

    async def store_it(last: TurnEnd) -> None:
        call = partial(store.end_turn, turn.id, turn.fence, last, running.context)
        await patient(call, _TRY_SECONDS, release)

    try:
        await store_it(last)
    except HeldError:
        await store_it(replace(last, removed=()))  # a legal hold keeps the old answer as well
