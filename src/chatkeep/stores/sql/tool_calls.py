"""Calls of tools during turns, on SQL."""

from collections.abc import Sequence

from chatkeep.context import RequestContext
from chatkeep.errors import ConflictError, LeaseLostError, NotFoundError
from chatkeep.ports.records import ToolCall
from chatkeep.stores.sql.base import Parameters, SqlBase, found, key_of
from chatkeep.stores.sql.database import Connection
from chatkeep.stores.sql.turn_rows import tool_call_of


class SqlHolding(SqlBase):
    """What only the holder of a turn may do."""

    async def _touch(self, connection: Connection, key: Parameters) -> None:
        """Note that something happened, and keep others from taking the turn over meanwhile.

        Raises:
            LeaseLostError: Somebody else has taken the turn over, or it has ended.
        """
        if not (await connection.execute(self._sql.touch_turn, key)).rowcount:
            await self._raise_lost(connection, key)

    async def _raise_lost(self, connection: Connection, key: Parameters) -> None:
        found(await self._first(connection, self._sql.load_turn, key))
        raise LeaseLostError


class SqlToolCalls(SqlHolding):
    """What tools were called."""

    async def begin_tool_call(
        self, turn_id: str, fence: int, call_id: str, name: str, context: RequestContext
    ) -> None:
        """Note that a tool is about to be called, which touches the turn."""
        key = key_of(context, turn=turn_id, fence=fence, call=call_id, name=name)

        async def work(connection: Connection, repeated: bool) -> None:
            await self._touch(connection, key)
            newest = await self._first(connection, self._sql.newest_tool_call, key)
            if newest is not None and newest.fence != fence:
                raise ConflictError("An earlier try of this answer has called this tool.")
            if not (repeated and newest is not None and newest.ended_at is None):
                await connection.execute(self._sql.insert_tool_call, key)

        await self._db.write_once(work)

    async def end_tool_call(
        self, turn_id: str, fence: int, call_id: str, context: RequestContext
    ) -> None:
        """Note that the newest call with this id has ended."""
        key = key_of(context, turn=turn_id, fence=fence, call=call_id)

        async def work(connection: Connection) -> None:
            await self._touch(connection, key)
            if not (await connection.execute(self._sql.end_tool_call, key)).rowcount:
                raise NotFoundError

        await self._db.write(work)

    async def load_tool_calls(self, turn_id: str, context: RequestContext) -> Sequence[ToolCall]:
        """Return the calls of a turn, in their order."""
        key = key_of(context, turn=turn_id)
        rows = await self._db.fetch(self._sql.load_tool_calls, key)
        if not rows:
            await self._one(self._sql.load_turn, key)
        return [tool_call_of(row) for row in rows]
