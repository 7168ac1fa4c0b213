"""Calls of tools during turns."""

from collections.abc import Sequence

from chatkeep.stores.mongo.schema import TOOL_CALLS
from chatkeep.stores.mongo.statements.common import (
    NOW,
    Delete,
    Find,
    Key,
    Update,
    any_of,
    literal,
    mine,
)

TOOL_CALL = (
    "tenant",
    "owner",
    "turn_id",
    "seq",
    "call_id",
    "name",
    "fence",
    "started_at",
    "ended_at",
)


class ToolCalls:
    """What tools were called."""

    def newest_tool_call(self, key: Key, turn_id: str, call_id: str) -> Find:
        """The last call of a turn with an id."""
        whose = mine(key, turn_id=turn_id, call_id=call_id)
        return Find(TOOL_CALLS, whose, ("seq", "fence", "ended_at"), 1, sort=(("seq", -1),))

    def last_tool_call(self, key: Key, turn_id: str) -> Find:
        """The last call of a turn."""
        return Find(TOOL_CALLS, mine(key, turn_id=turn_id), ("seq",), 1, sort=(("seq", -1),))

    def put_tool_call(
        self, key: Key, turn_id: str, seq: int, call_id: str, name: str, fence: int
    ) -> Update:
        """A new call."""
        fields = {
            "call_id": literal(call_id),
            "name": literal(name),
            "fence": literal(fence),
            "started_at": NOW,
            "ended_at": literal(None),
        }
        whose = mine(key, turn_id=turn_id, seq=seq)
        return Update(TOOL_CALLS, whose, [{"$set": fields}], upsert=True)

    def end_tool_call(self, key: Key, turn_id: str, seq: int) -> Update:
        """A call that has ended, now or before."""
        ended = {"$ifNull": ["$ended_at", NOW]}
        whose = mine(key, turn_id=turn_id, seq=seq)
        return Update(TOOL_CALLS, whose, [{"$set": {"ended_at": ended}}])

    def load_tool_calls(self, key: Key, turn_id: str) -> Find:
        """The calls of a turn, in their order."""
        whose = mine(key, turn_id=turn_id)
        fields = ("call_id", "name", "started_at", "ended_at")
        return Find(TOOL_CALLS, whose, fields, sort=(("seq", 1),))

    def delete_tool_calls(self, key: Key, turn_ids: Sequence[str]) -> Delete:
        """The calls of turns."""
        return Delete(TOOL_CALLS, mine(key, turn_id=any_of(turn_ids)), many=True)
