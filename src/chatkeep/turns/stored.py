"""A turn's stored events as one list, for who must know all that was shown."""

from typing import Any

from pydantic_core import from_json

from chatkeep.context import RequestContext
from chatkeep.ports import Store, Turn
from chatkeep.turns.log import read_row

_ROWS = 100


async def load_all_events(
    store: Store, turn: Turn, context: RequestContext
) -> list[dict[str, Any]]:
    """Return all stored events of a turn, in order, texts joined."""
    events: list[dict[str, Any]] = []
    after = 0
    while rows := await store.load_turn_events(turn.id, after, _ROWS, context):
        events += [from_json(event.json) for row in rows for event in read_row(row, after)]
        after = rows[-1].last
    return events
