"""Turns across users: who needs somebody, who is open, whose log is old."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from chatkeep.ports.records import Turn, TurnState
from chatkeep.stores.encoding import milliseconds
from chatkeep.stores.mongo.asking import Asking
from chatkeep.stores.mongo.commands import Commands
from chatkeep.stores.mongo.statements import Document, Find, Key
from chatkeep.stores.mongo.turns import milliseconds_of, turn_of

_PAGE = 100

type _FindAll = Callable[[Find], Awaitable[list[Document]]]


class Takeovers(Asking):
    """What the server itself does with turns."""

    async def claim_turn(self, holder: str, lease: float) -> Turn | None:
        """Take over a turn that needs somebody, with a new fence; None if there is none."""
        across, until = self._across, milliseconds_of(lease)
        expired = across.take_expired(holder, until)
        if row := await self._db.command(lambda commands: commands.take(expired)):
            return turn_of(row)
        # Nearly always there is none: no transaction to see that.
        if await self._next_queued(self._db.find) is None:
            return None

        async def work(commands: Commands) -> Turn | None:
            if (turn := await self._next_queued(commands.find)) is None:
                return None
            take = across.take_queued(_key(turn), turn["id"], turn["fence"], holder, until)
            row = await commands.take(take)
            return turn_of(row) if row else None

        return await self._db.write(("queued turns",), work)

    async def load_turns(self, states: Sequence[TurnState], limit: int) -> Sequence[Turn]:
        """Return turns in these states, oldest first."""
        found = self._across.load_turns([str(state) for state in states], limit)
        return [turn_of(row) for row in await self._db.find(found)]

    async def prune_turn_events(self, before: datetime, limit: int) -> int:
        """Delete the events of turns that ended before a moment; say of how many."""
        turns = await self._db.find(self._across.logs_of_ended(milliseconds(before), limit))
        for turn in turns:
            await self._prune(_key(turn), turn["id"])
        return len(turns)

    async def _prune(self, key: Key, turn_id: str) -> None:
        delete = self._statements.delete_events(key, [turn_id])
        await self._db.command(lambda commands: commands.delete(delete))
        # The mark last: what is interrupted between the two is done again.
        unmark = self._across.without_log(key, turn_id)
        await self._db.command(lambda commands: commands.update(unmark))

    async def _next_queued(self, find: _FindAll) -> Document | None:
        """Return the oldest turn that is the first to wait in its thread while none runs there."""
        after: Document | None = None
        seen: set[tuple[Key, str]] = set()
        while page := await find(self._across.queued_turns(after, _PAGE)):
            first = {}
            for turn in page:
                if (place := _place(turn)) not in seen:
                    first[place] = turn
                    seen.add(place)
            if first:
                running = await find(self._across.running_in(list(first)))
                busy = {_place(turn) for turn in running}
                for place, turn in first.items():
                    if place not in busy:
                        return turn
            after = page[-1]
        return None


def _key(turn: Document) -> Key:
    return Key(turn["tenant"], turn["owner"])


def _place(turn: Document) -> tuple[Key, str]:
    return _key(turn), turn["thread_id"]
