"""Calls of tools during turns."""

from collections.abc import Sequence

from chatkeep.context import RequestContext
from chatkeep.errors import ConflictError, LeaseLostError
from chatkeep.ports.records import ToolCall
from chatkeep.stores.encoding import moment_of
from chatkeep.stores.mongo.asking import Asking, found, key_of
from chatkeep.stores.mongo.commands import Commands
from chatkeep.stores.mongo.statements import Document, Key


class ToolCalls(Asking):
    """What tools were called."""

    async def begin_tool_call(
        self, turn_id: str, fence: int, call_id: str, name: str, context: RequestContext
    ) -> None:
        """Note that a tool is about to be called, which touches the turn."""
        key, say = key_of(context), self._statements

        async def work(commands: Commands, repeated: bool) -> None:
            newest = await self._newest_call(commands, key, turn_id, fence, call_id)
            if newest is not None and newest["fence"] != fence:
                raise ConflictError("An earlier try of this answer has called this tool.")
            if repeated and newest is not None and newest["ended_at"] is None:
                return
            last = await commands.one(say.last_tool_call(key, turn_id))
            seq = last["seq"] + 1 if last else 1
            await commands.update(say.put_tool_call(key, turn_id, seq, call_id, name, fence))

        await self._db.write_once((*key, turn_id), work)

    async def end_tool_call(
        self, turn_id: str, fence: int, call_id: str, context: RequestContext
    ) -> None:
        """Note that the newest call with this id has ended."""
        key, say = key_of(context), self._statements

        async def work(commands: Commands) -> None:
            newest = await self._newest_call(commands, key, turn_id, fence, call_id)
            mine = newest if newest is not None and newest["fence"] == fence else None
            await commands.update(say.end_tool_call(key, turn_id, found(mine)["seq"]))

        await self._db.write((*key, turn_id), work)

    async def load_tool_calls(self, turn_id: str, context: RequestContext) -> Sequence[ToolCall]:
        """Return the calls of a turn, in their order."""
        key, say = key_of(context), self._statements
        rows = await self._db.find(say.load_tool_calls(key, turn_id))
        if not rows:
            await self._one(say.load_turn(key, turn_id))
        return [_tool_call(row) for row in rows]

    async def _newest_call(
        self, commands: Commands, key: Key, turn_id: str, fence: int, call_id: str
    ) -> Document | None:
        """Touch a turn, and return its newest call with an id.

        Raises:
            LeaseLostError: Somebody else has taken the turn over, or it has ended.
        """
        say = self._statements
        if not await commands.update(say.touch_turn(key, turn_id, fence)):
            found(await commands.one(say.load_turn(key, turn_id)))
            raise LeaseLostError
        return await commands.one(say.newest_tool_call(key, turn_id, call_id))


def _tool_call(row: Document) -> ToolCall:
    ended = None if row["ended_at"] is None else moment_of(row["ended_at"])
    return ToolCall(row["call_id"], row["name"], moment_of(row["started_at"]), ended)
