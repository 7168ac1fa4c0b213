"""Turns on SQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from chatkeep.context import Principal, RequestContext
from chatkeep.errors import ConflictError, KeyReusedError, LeaseLostError, TurnRunningError
from chatkeep.ports.records import EventRow, Turn, TurnEnd, TurnOrder, TurnState
from chatkeep.stores.encoding import milliseconds, moment_of
from chatkeep.stores.sql.base import Parameters, found, in_order, key_of, params
from chatkeep.stores.sql.database import Database
from chatkeep.stores.sql.statements.turns import OpenTurns
from chatkeep.stores.sql.writing import SqlWriting, item_values, thread_values

_SCHEME = "turn"


class SqlTurns(SqlWriting):
    """Work on answers."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._open = OpenTurns(database.dialect)

    async def begin_turn(self, order: TurnOrder, context: RequestContext) -> Turn:
        """Store a turn with its thread and message: all, or nothing."""
        key = key_of(context, thread=order.thread_id, turn=order.id)
        order_values = params(
            {
                "request": order.request,
                "key": order.key,
                "digest": order.digest,
                "holder": order.holder,
            }
        )
        values = key | order_values
        thread = thread_values(key, order.new_thread) if order.new_thread else None
        message = item_values(key, order.message) if order.message else None
        attachment_ids = [each.id for each in order.message.attachments] if order.message else []

        async def work(connection: AsyncConnection, repeated: bool) -> Turn:
            if repeated and (row := await self._first(connection, self._sql.load_turn, key)):
                return _turn(row)
            # The owner's row is locked first: whoever has the same key waits here, then finds it.
            seq = await self._take_thread_seq(connection, key)
            if order.key and (row := await self._first(connection, self._sql.turn_of_key, values)):
                if row.digest != order.digest:
                    raise KeyReusedError
                return _turn(row)
            queued = False
            if thread is not None and message is not None:
                new = {**thread, "p_seq": seq}
                await self._create_thread(connection, new, message, attachment_ids, repeated=False)
            else:
                said = message and {**message, "p_active_seq": seq}
                queued = await self._join_thread(connection, order, key, said, attachment_ids)
            state = TurnState.QUEUED if queued else TurnState.RUNNING
            lease = None if queued else _ms(order.lease)
            await connection.execute(
                self._sql.insert_turn, {**values, "p_state": str(state), "p_lease": lease}
            )
            return _turn(found(await self._first(connection, self._sql.load_turn, key)))

        try:
            return await self._db.write_once(work)
        except IntegrityError as error:
            raise ConflictError("There is a turn with this id.") from error

    async def load_turn(self, turn_id: str, context: RequestContext) -> Turn:
        """Load a turn."""
        return _turn(await self._one(self._sql.load_turn, key_of(context, turn=turn_id)))

    async def load_thread_turn(self, thread_id: str, context: RequestContext) -> Turn | None:
        """Return the turn of a thread that is running, else the newest one."""
        key = key_of(context, thread=thread_id)
        for statement in (self._sql.open_turn, self._sql.newest_turn):
            if rows := await self._db.fetch(statement, key):
                return _turn(rows[0])
        await self._one(self._sql.has_thread, key)
        return None

    async def renew_turn(
        self, turn_id: str, fence: int, lease: float, context: RequestContext
    ) -> Turn:
        """Extend the lease, and return the turn."""
        values = key_of(context, turn=turn_id, fence=fence, lease=_ms(lease))

        async def work(connection: AsyncConnection) -> Turn:
            row = await self._first(connection, self._sql.renew_turn, values)
            if row is None:
                await self._raise_lost(connection, values)
            return _turn(row)

        return await self._db.write(work)

    async def touch_turn(self, turn_id: str, fence: int, context: RequestContext) -> None:
        """Note that something happened that must not happen twice."""
        values = key_of(context, turn=turn_id, fence=fence)

        async def work(connection: AsyncConnection) -> None:
            if not (await connection.execute(self._sql.touch_turn, values)).rowcount:
                await self._raise_lost(connection, values)

        await self._db.write(work)

    async def append_turn_events(
        self, turn_id: str, fence: int, rows: Sequence[EventRow], context: RequestContext
    ) -> None:
        """Append to a turn's log."""
        if not rows:
            return
        key = key_of(context, turn=turn_id, fence=fence)
        events = [
            {**key, **params({"first": row.first, "last": row.last, "body": row.body})}
            for row in rows
        ]

        async def work(connection: AsyncConnection) -> None:
            if not (await connection.execute(self._sql.advance_turn, events[-1])).rowcount:
                await self._raise_lost(connection, key)
            await connection.execute(self._sql.put_event, events)

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

        async def work(connection: AsyncConnection) -> Turn:
            await connection.execute(self._sql.cancel_turn, key)
            return _turn(found(await self._first(connection, self._sql.load_turn, key)))

        return await self._db.write(work)

    async def end_turn(
        self, turn_id: str, fence: int, end: TurnEnd, context: RequestContext
    ) -> Turn:
        """End a turn and store its items: all, or nothing."""
        key = key_of(context, turn=turn_id, fence=fence)
        how = {"state": str(end.state), "reason": end.reason, "usage": end.usage}
        values = key | params(how)

        async def work(connection: AsyncConnection) -> Turn:
            ended = (await connection.execute(self._sql.end_turn, values)).rowcount
            turn = _turn(found(await self._first(connection, self._sql.load_turn, key)))
            if ended:
                await self._store_end(connection, {**key, "p_thread": turn.thread_id}, end)
            elif (turn.fence, turn.state, turn.reason) != (fence, end.state, end.reason):
                raise LeaseLostError
            return turn

        return await self._db.write(work)

    async def claim_turn(self, holder: str, lease: float) -> Turn | None:
        """Take over a turn that needs somebody, with a new fence; None if there is none."""
        taking = params({"holder": holder, "lease": _ms(lease)})

        async def work(connection: AsyncConnection) -> Turn | None:
            for statement in (self._open.expired_turn, self._open.queued_turn):
                if (row := await self._first(connection, statement, {})) is None:
                    continue
                key = {"tenant": row.tenant, "owner": row.owner, "turn": row.id, "fence": row.fence}
                taken = await self._first(connection, self._open.take_turn, taking | params(key))
                if taken is not None:
                    return _turn(taken)
            return None

        return await self._db.write(work)

    async def load_turns(self, states: Sequence[TurnState], limit: int) -> Sequence[Turn]:
        """Return turns in these states, oldest first."""
        values = {"p_states": [str(state) for state in states], "p_limit": limit}
        return [_turn(row) for row in await self._db.fetch(self._open.load_turns, values)]

    async def prune_turn_events(self, before: datetime, limit: int) -> int:
        """Delete the events of turns that ended before a moment; say of how many."""
        values = params({"before": milliseconds(before), "limit": limit})

        async def work(connection: AsyncConnection) -> int:
            ended = (await connection.execute(self._open.ended_events, values)).all()
            for row in ended:
                await connection.execute(self._open.delete_events, params(row._asdict()))
            return len(ended)

        return await self._db.write(work)

    async def _join_thread(
        self,
        connection: AsyncConnection,
        order: TurnOrder,
        key: Parameters,
        message: Parameters | None,
        attachment_ids: Sequence[str],
    ) -> bool:
        """Take the turn's place in its thread, and say whether it must wait for another one."""
        found(await self._first(connection, self._sql.load_thread_locked, key))
        running = await self._first(connection, self._sql.open_turn, key)
        if running is not None and not order.queue:
            raise TurnRunningError(running.id)
        if message is not None:
            await self._bind_attachments(connection, message, attachment_ids)
            await self._put_item(connection, message)
        return running is not None

    async def _store_end(self, connection: AsyncConnection, key: Parameters, end: TurnEnd) -> None:
        if end.removed:
            await self._refuse_if_held(connection, key)
            gone = [{**key, **params({"item": each})} for each in in_order(end.removed)]
            await connection.execute(self._sql.delete_item, gone)
        for item in end.items:
            await self._save_item(connection, item_values(key, item))

    async def _raise_lost(self, connection: AsyncConnection, key: Parameters) -> None:
        found(await self._first(connection, self._sql.load_turn, key))
        raise LeaseLostError

    async def _first(self, connection: AsyncConnection, statement: Any, values: Parameters) -> Any:
        return (await connection.execute(statement, values)).first()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _turn(row: Row[Any]) -> Turn:
    return Turn(
        id=row.id,
        principal=Principal(row.tenant, row.owner, _SCHEME),
        thread_id=row.thread_id,
        state=TurnState(row.state),
        reason=row.reason,
        request=row.request,
        key=row.key,
        digest=row.digest,
        holder=row.holder,
        fence=row.fence,
        lease_until=_moment(row.lease_until),
        cancel_requested=bool(row.cancel_requested),
        touched=bool(row.touched),
        last_event=row.last_event,
        usage=row.usage,
        created_at=moment_of(row.created_at),
        ended_at=_moment(row.ended_at),
    )


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else moment_of(milliseconds)
