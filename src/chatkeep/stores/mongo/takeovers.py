"""Turns across users: who needs somebody, who is open, whose log is old."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from chatkeep.ports.records import Turn, TurnKeeping, TurnState
from chatkeep.stores.encoding import milliseconds
from chatkeep.stores.mongo.asking import Asking
from chatkeep.stores.mongo.commands import Commands
from chatkeep.stores.mongo.statements import Document, Find, Key
from chatkeep.stores.mongo.turn_documents import milliseconds_of, turn_of

_PAGE = 100

type _Kept = tuple[Key, str, int]
type _Take = Callable[[Commands], Awaitable[Document | None]]
type _FindAll = Callable[[Find], Awaitable[list[Document]]]


class Takeovers(Asking):
    """What the server itself does with turns."""

    async def claim_turn(self, holder: str, lease: float) -> Turn | None:
        """Take over a turn that needs somebody, with a new fence; None if there is none."""
        # Nearly always there is none: no transaction to see that.
        if await self._db.find(self._across.expired_turns()):
            expired = self._across.take_expired(holder, milliseconds_of(lease))
            if turn := await self._claim("expired turns", lambda commands: commands.take(expired)):
                return turn
        if await self._next_queued(self._db.find) is None:
            return None

        async def take(commands: Commands) -> Document | None:
            if (turn := await self._next_queued(commands.find)) is None:
                return None
            until = milliseconds_of(lease)
            this = _key(turn), turn["id"], turn["fence"]
            return await commands.take(self._across.take_queued(*this, holder, until))

        return await self._claim("queued turns", take)

    async def keep_turns(self, kept: Sequence[TurnKeeping]) -> Sequence[str]:
        """Store signs of life of running turns; return the ids of those held."""
        if not kept:
            return []
        say, ordered = self._statements, sorted(kept, key=_kept)
        signs, rows = [], []
        for each in ordered:
            key, turn_id, fence = this = _kept(each)
            lease = None if each.lease is None else milliseconds_of(each.lease)
            signs.append(
                say.keep_turn(key, turn_id, fence, lease, each.rows, each.doing, each.usage)
            )
            rows += [(this, say.put_event(key, turn_id, row)) for row in each.rows]
        asked = self._across.held_turns([_kept(each) for each in ordered])

        async def work(commands: Commands) -> set[_Kept]:
            await commands.update_each(signs)
            held = {(_key(turn), turn["id"], turn["fence"]) for turn in await commands.find(asked)}
            await commands.update_each([event for this, event in rows if this in held])
            return held

        # Without rows, each turn is changed by itself, and no transaction can meet another one.
        held = await (self._db.write(("signs of life",), work) if rows else self._db.command(work))
        return [each.turn_id for each in kept if _kept(each) in held]

    async def stopped_turns(self, holder: str) -> Sequence[str]:
        """Return the ids of a holder's running turns that are to be stopped."""
        return [turn["id"] for turn in await self._db.find(self._across.stopped_turns(holder))]

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

    async def _claim(self, queue: str, take: _Take) -> Turn | None:
        """Take a turn in a transaction; if an earlier try has taken one, that one."""
        last_try: Turn | None = None

        async def work(commands: Commands, repeated: bool) -> Turn | None:
            nonlocal last_try
            if repeated and last_try:
                whose = last_try.principal
                find = self._statements.load_turn(Key(whose.tenant, whose.user), last_try.id)
                row = await commands.one(find)
                if row is not None and row["fence"] == last_try.fence:
                    return turn_of(row)
            row = await take(commands)
            last_try = turn_of(row) if row else None
            return last_try

        return await self._db.write_once((queue,), work)

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


def _kept(sign: TurnKeeping) -> _Kept:
    return Key(sign.principal.tenant, sign.principal.user), sign.turn_id, sign.fence


def _place(turn: Document) -> tuple[Key, str]:
    return _key(turn), turn["thread_id"]
