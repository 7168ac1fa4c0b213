"""Turns on SQL, from their beginning to their end."""

from collections.abc import Sequence
from datetime import datetime

from chatkeep.context import RequestContext
from chatkeep.errors import ConflictError, KeyReusedError, LeaseLostError, TurnRunningError
from chatkeep.ports.records import EventRow, Turn, TurnEnd, TurnOrder, TurnState
from chatkeep.ports.spending import cost_of, tokens_of
from chatkeep.stores.encoding import attachments_of, milliseconds
from chatkeep.stores.sql.base import Parameters, found, in_order, key_of, params
from chatkeep.stores.sql.database import Connection, ConstraintError
from chatkeep.stores.sql.spending import SqlSpending
from chatkeep.stores.sql.turn_rows import event_values, last_of, turn_of, whole_ms
from chatkeep.stores.sql.writing import SqlWriting, item_values, thread_values


class SqlTurns(SqlWriting, SqlSpending):
    """Work on answers."""

    async def begin_turn(self, order: TurnOrder, context: RequestContext) -> Turn:
        """Store a turn with its thread and message: all, or nothing."""
        key = key_of(context, thread=order.thread_id, turn=order.id)
        aside = order.reserves
        order_values = params(
            {
                "request": order.request,
                "key": order.key,
                "digest": order.digest,
                "holder": order.holder,
                "last": last_of(order.events) or 0,
                "tokens": aside.tokens if aside else 0,
                "cost": aside.cost if aside else 0,
            }
        )
        values = key | order_values
        events = event_values(key, order.events)
        thread = thread_values(key, order.new_thread) if order.new_thread else None
        message = item_values(key, order.message) if order.message else None
        earlier = [item_values(key, item) for item in order.items]
        attachment_ids = attachments_of([*order.items, order.message])

        async def work(connection: Connection, repeated: bool) -> Turn:
            if repeated and (row := await self._first(connection, self._sql.load_turn, key)):
                return turn_of(row)
            # The owner's row is locked first: whoever has the same key waits here, then finds it.
            seq = await self._take_thread_seq(connection, key)
            if order.key and (row := await self._first(connection, self._sql.turn_of_key, values)):
                if row.digest != order.digest:
                    raise KeyReusedError
                return turn_of(row)
            queued = False
            if thread is not None and message is not None:
                new = {**thread, "p_seq": seq}
                await self._create_thread(
                    connection, new, message, attachment_ids, earlier=earlier, repeated=False
                )
            else:
                said = message and {**message, "p_active_seq": seq}
                queued = await self._join_thread(connection, order, key, said, attachment_ids)
            state = TurnState.QUEUED if queued else TurnState.RUNNING
            lease = None if queued else whole_ms(order.lease)
            await connection.execute(
                self._sql.insert_turn, {**values, "p_state": str(state), "p_lease": lease}
            )
            if events:
                await connection.execute(self._sql.put_event, events)
            turn = turn_of(found(await self._first(connection, self._sql.load_turn, key)))
            if aside:
                await self._refuse_beyond(connection, key, turn, aside, turn.created_at)
            return turn

        try:
            return await self._db.write_once(work)
        except ConstraintError as error:
            raise ConflictError("There is a turn with this id.") from error

    async def find_turn(self, key: str, context: RequestContext) -> Turn | None:
        """Return the user's turn with an idempotency key, if there is one."""
        rows = await self._db.fetch(self._sql.turn_of_key, key_of(context, key=key))
        return turn_of(rows[0]) if rows else None

    async def load_turn(self, turn_id: str, context: RequestContext) -> Turn:
        """Load a turn."""
        return turn_of(await self._one(self._sql.load_turn, key_of(context, turn=turn_id)))

    async def load_thread_turn(self, thread_id: str, context: RequestContext) -> Turn | None:
        """Return the turn of a thread that runs, else the next to run, else the newest one."""
        key = key_of(context, thread=thread_id)
        for statement in (self._sql.open_turn, self._sql.newest_turn):
            if rows := await self._db.fetch(statement, key):
                return turn_of(rows[0])
        await self._one(self._sql.has_thread, key)
        return None

    async def load_thread_turns(
        self, thread_id: str, after: datetime, limit: int, context: RequestContext
    ) -> Sequence[Turn]:
        """Return the turns of a thread that were asked for after a moment, oldest first."""
        key = key_of(context, thread=thread_id, after=milliseconds(after), limit=limit)
        rows = await self._db.fetch(self._sql.thread_turns, key)
        if not rows:
            await self._one(self._sql.has_thread, key)
        return [turn_of(row) for row in rows]

    async def touch_turn(self, turn_id: str, fence: int, context: RequestContext) -> None:
        """Note that something happened that must not happen twice."""
        key = key_of(context, turn=turn_id, fence=fence)
        await self._db.write(lambda connection: self._touch(connection, key))

    async def release_turn(self, turn_id: str, fence: int, context: RequestContext) -> None:
        """Give the lease up."""
        key = key_of(context, turn=turn_id, fence=fence)

        async def work(connection: Connection) -> None:
            if not (await connection.execute(self._sql.release_turn, key)).rowcount:
                await self._raise_lost(connection, key)

        await self._db.write(work)

    async def load_turn_events(
        self, turn_id: str, after: int, limit: int, context: RequestContext
    ) -> Sequence[EventRow]:
        """Return the rows that hold events behind number `after`, in order."""
        key = key_of(context, turn=turn_id, after=after, limit=limit)
        rows = await self._db.fetch(self._sql.load_events, key)
        if not rows:
            await self._one(self._sql.load_turn, key)
        return [EventRow(row.first, row.last, row.body) for row in rows]

    async def cancel_turn(self, turn_id: str, context: RequestContext) -> Turn:
        """Ask for a turn to be stopped."""
        key = key_of(context, turn=turn_id)

        async def work(connection: Connection) -> Turn:
            await connection.execute(self._sql.cancel_turn, key)
            return turn_of(found(await self._first(connection, self._sql.load_turn, key)))

        return await self._db.write(work)

    async def end_turn(
        self, turn_id: str, fence: int, end: TurnEnd, context: RequestContext
    ) -> Turn:
        """End a turn and store its items: all, or nothing."""
        key = key_of(context, turn=turn_id, fence=fence)
        last = last_of(end.events)
        how = {"state": str(end.state), "reason": end.reason, "usage": end.usage, "last": last}
        took = {"tokens": tokens_of(end.spent), "cost": cost_of(end.spent)}
        values = key | params(how) | params(took)

        async def work(connection: Connection) -> Turn:
            ended = (await connection.execute(self._sql.end_turn, values)).rowcount
            turn = turn_of(found(await self._first(connection, self._sql.load_turn, key)))
            if ended:
                await self._store_end(connection, {**key, "p_thread": turn.thread_id}, end)
                await self._add_spending(connection, key, turn, end.spent)
            elif (turn.fence, turn.state, turn.reason) != (fence, end.state, end.reason):
                raise LeaseLostError
            return turn

        return await self._db.write(work)

    async def _join_thread(
        self,
        connection: Connection,
        order: TurnOrder,
        key: Parameters,
        message: Parameters | None,
        attachment_ids: Sequence[str],
    ) -> bool:
        """Take the turn's place in its thread, and say whether it must wait for another one."""
        found(await self._first(connection, self._sql.load_thread_locked, key))
        running = await self._first(connection, self._sql.open_turn, key)
        if running is not None and not order.queue:
            raise TurnRunningError(turn_id=running.id)
        await self._remove(connection, key, order.removed)
        if message is not None:
            await self._bind_attachments(connection, message, attachment_ids)
            await self._put_item(connection, message)
        return running is not None

    async def _store_end(self, connection: Connection, key: Parameters, end: TurnEnd) -> None:
        await self._remove(connection, key, end.removed)
        for item in end.items:
            await self._save_item(connection, item_values(key, item))
        if end.events:
            await connection.execute(self._sql.put_event, event_values(key, end.events))
        if end.read:
            await connection.execute(self._sql.mark_read, key)

    async def _remove(
        self, connection: Connection, key: Parameters, item_ids: Sequence[str]
    ) -> None:
        """Delete items of a thread.

        Raises:
            HeldError: A legal hold forbids it.
        """
        if item_ids:
            await self._refuse_if_held(connection, key)
            gone = [{**key, **params({"item": each})} for each in in_order(item_ids)]
            await connection.execute(self._sql.delete_item, gone)
