"""Turns: begun and ended with what they store, held by a lease."""

from collections.abc import Sequence
from datetime import datetime

from chatkeep.context import RequestContext
from chatkeep.errors import ConflictError, KeyReusedError, LeaseLostError, TurnRunningError
from chatkeep.ports.records import EventRow, Turn, TurnEnd, TurnOrder, TurnState
from chatkeep.ports.spending import Scope
from chatkeep.stores.budgeting import scopes_of
from chatkeep.stores.encoding import attachments_of, milliseconds
from chatkeep.stores.mongo.asking import found, key_of
from chatkeep.stores.mongo.commands import Commands
from chatkeep.stores.mongo.spending import Spending
from chatkeep.stores.mongo.statements import Document, Key, NewItem
from chatkeep.stores.mongo.turn_documents import milliseconds_of, turn_of
from chatkeep.stores.mongo.writing import new_item, new_thread


class Turns(Spending):
    """Work on answers, as its users and its holder see it."""

    async def begin_turn(self, order: TurnOrder, context: RequestContext) -> Turn:
        """Store a turn with its thread and message: all, or nothing."""
        key, say = key_of(context), self._statements
        message = new_item(order.message) if order.message else None

        async def work(commands: Commands, repeated: bool) -> Document:
            if repeated and (row := await commands.one(say.load_turn(key, order.id))):
                return row
            # The owner's document first: whoever has the same key gives way, then finds it.
            place = await self._take_places(commands, key, 2 + len(order.items))
            if order.key and (row := await commands.one(say.turn_of_key(key, order.key))):
                if row["digest"] != order.digest:
                    raise KeyReusedError
                return row
            if await commands.one(say.load_turn(key, order.id)) is not None:
                raise ConflictError("There is a turn with this id.")
            waits = await self._enter(commands, key, order, message, place)
            row = await self._start_turn(commands, key, order, waits=waits)
            if order.reserves:
                turn = turn_of(row)
                await self._refuse_beyond(commands, key, turn, order.reserves, turn.created_at)
            return row

        # Those of one process who look at what their tenant has spent queue rather than give way.
        budgets = order.reserves.budgets if order.reserves else ()
        shared = Scope.TENANT in scopes_of(budgets)
        queue = (key.tenant, "budgets") if shared else key
        return turn_of(await self._db.write_once(queue, work))

    async def find_turn(self, key: str, context: RequestContext) -> Turn | None:
        """Return the user's turn with an idempotency key, if there is one."""
        rows = await self._db.find(self._statements.turn_of_key(key_of(context), key))
        return turn_of(rows[0]) if rows else None

    async def load_turn(self, turn_id: str, context: RequestContext) -> Turn:
        """Load a turn."""
        return turn_of(await self._one(self._statements.load_turn(key_of(context), turn_id)))

    async def load_thread_turn(self, thread_id: str, context: RequestContext) -> Turn | None:
        """Return the turn of a thread that runs, else the next to run, else the newest one."""
        key, say = key_of(context), self._statements
        for statement in (say.open_turn(key, thread_id), say.newest_turn(key, thread_id)):
            if rows := await self._db.find(statement):
                return turn_of(rows[0])
        await self._one(say.has_thread(key, thread_id))
        return None

    async def load_thread_turns(
        self, thread_id: str, after: datetime, limit: int, context: RequestContext
    ) -> Sequence[Turn]:
        """Return the turns of a thread that were asked for after a moment, oldest first."""
        key, say = key_of(context), self._statements
        rows = await self._db.find(say.thread_turns(key, thread_id, milliseconds(after), limit))
        if not rows:
            await self._one(say.has_thread(key, thread_id))
        return [turn_of(row) for row in rows]

    async def touch_turn(self, turn_id: str, fence: int, context: RequestContext) -> None:
        """Note that something happened that must not happen twice."""
        key = key_of(context)
        touch = self._statements.touch_turn(key, turn_id, fence)
        if not await self._db.command(lambda commands: commands.update(touch)):
            await self._raise_lost(key, turn_id)

    async def release_turn(self, turn_id: str, fence: int, context: RequestContext) -> None:
        """Give the lease up."""
        key = key_of(context)
        release = self._statements.release_turn(key, turn_id, fence)
        if not await self._db.command(lambda commands: commands.update(release)):
            await self._raise_lost(key, turn_id)

    async def load_turn_events(
        self, turn_id: str, after: int, limit: int, context: RequestContext
    ) -> Sequence[EventRow]:
        """Return the rows that hold events behind number `after`, in order."""
        key = key_of(context)
        rows = await self._db.find(self._statements.load_events(key, turn_id, after, limit))
        if not rows:
            await self._one(self._statements.load_turn(key, turn_id))
        return [EventRow(row["first"], row["last"], row["body"]) for row in rows]

    async def cancel_turn(self, turn_id: str, context: RequestContext) -> Turn:
        """Ask for a turn to be stopped."""
        key = key_of(context)
        cancel = self._statements.cancel_turn(key, turn_id)
        row = await self._db.command(lambda commands: commands.take(cancel))
        return turn_of(row or await self._one(self._statements.load_turn(key, turn_id)))

    async def end_turn(
        self, turn_id: str, fence: int, end: TurnEnd, context: RequestContext
    ) -> Turn:
        """End a turn and store its items: all, or nothing."""
        key, say = key_of(context), self._statements
        ending = say.end_turn(key, turn_id, fence, end)
        items = [new_item(item) for item in end.items]

        async def work(commands: Commands) -> Turn:
            doc = await self._reserve(commands, key, len(items)) if items else 0
            if row := await commands.take(ending):
                turn = turn_of(row)
                await self._store_end(commands, key, row, end, items, doc)
                await self._add_spending(commands, key, turn, end.spent)
                return turn
            turn = turn_of(found(await commands.one(say.load_turn(key, turn_id))))
            if (turn.fence, turn.state, turn.reason) != (fence, end.state, end.reason):
                raise LeaseLostError
            return turn

        # All of a tenant's ends change its sum: those of one process queue rather than give way.
        queue = (key.tenant, "spending") if end.spent else (*key, turn_id)
        return await self._db.write(queue, work)

    async def _enter(
        self,
        commands: Commands,
        key: Key,
        order: TurnOrder,
        message: NewItem | None,
        place: Document,
    ) -> bool:
        """Make the thread ready for a turn, and say whether it must wait for another one."""
        say = self._statements
        files = attachments_of([*order.items, order.message])
        if order.new_thread is not None and message is not None:
            earlier, count = [new_item(item) for item in order.items], len(order.items) + 1
            thread = new_thread(order.new_thread, place, docs=count + 1, last_seq=count)
            await self._create_thread(
                commands, key, thread, message, files, earlier=earlier, repeated=False
            )
            return False
        found(await commands.take(say.lock_thread(key, order.thread_id)))
        running = await commands.one(say.open_turn(key, order.thread_id))
        if running is not None and not order.queue:
            raise TurnRunningError(turn_id=running["id"])
        await self._remove(commands, key, order.thread_id, order.removed)
        if message is not None:
            await self._bind_attachments(commands, key, order.thread_id, files)
            await self._ask(commands, key, order.thread_id, message, place)
        return running is not None

    async def _start_turn(
        self, commands: Commands, key: Key, order: TurnOrder, *, waits: bool
    ) -> Document:
        say = self._statements
        last = await commands.one(say.newest_turn(key, order.thread_id))
        state = TurnState.QUEUED if waits else TurnState.RUNNING
        lease = None if waits else milliseconds_of(order.lease)
        after = last["created_at"] if last else 0
        await commands.update(say.put_turn(key, order.id, order, str(state), lease, after))
        await commands.update_each([say.put_event(key, order.id, row) for row in order.events])
        return found(await commands.one(say.load_turn(key, order.id)))

    async def _store_end(
        self,
        commands: Commands,
        key: Key,
        turn: Document,
        end: TurnEnd,
        items: Sequence[NewItem],
        doc: int,
    ) -> None:
        say, thread_id = self._statements, turn["thread_id"]
        await self._remove(commands, key, thread_id, end.removed)
        for n, item in enumerate(items):
            if not await commands.update(say.update_item(key, thread_id, item)):
                await self._put_item(commands, key, thread_id, item, doc + n)
        await commands.update_each([say.put_event(key, turn["id"], row) for row in end.events])
        if end.read:
            await commands.update(say.mark_read(key, thread_id))

    async def _remove(
        self, commands: Commands, key: Key, thread_id: str, item_ids: Sequence[str]
    ) -> None:
        """Delete items of a thread.

        Raises:
            HeldError: A legal hold forbids it.
        """
        if item_ids:
            await self._refuse_if_held(commands, key)
            await commands.delete(self._statements.delete_items(key, thread_id, item_ids))
