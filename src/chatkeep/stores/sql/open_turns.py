"""What is asked of turns across users, on SQL: taking over, keeping, stopping, pruning."""

from collections.abc import Sequence
from datetime import datetime
from itertools import batched

from chatkeep.ports.records import Turn, TurnKeeping, TurnState
from chatkeep.stores.encoding import milliseconds
from chatkeep.stores.sql.base import Parameters, SqlBase, key_of_principal, params
from chatkeep.stores.sql.database import Connection, Database
from chatkeep.stores.sql.statements.open_turns import HELD_SIZES, OpenTurns
from chatkeep.stores.sql.turn_rows import event_values, last_of, turn_of, whole_ms

type _Key = tuple[str, str, str, int]


class SqlOpenTurns(SqlBase):
    """Turns of all users."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._open = OpenTurns(database.dialect)

    async def claim_turn(self, holder: str, lease: float) -> Turn | None:
        """Take over a turn that needs somebody, with a new fence; None if there is none."""
        taking = params({"holder": holder, "lease": whole_ms(lease)})
        last_try: Turn | None = None

        async def work(connection: Connection, repeated: bool) -> Turn | None:
            nonlocal last_try
            if repeated and last_try and (turn := await self._still_held(connection, last_try)):
                return turn
            last_try = await self._take_over(connection, taking)
            return last_try

        return await self._db.write_once(work)

    async def keep_turns(self, kept: Sequence[TurnKeeping]) -> Sequence[str]:
        """Store signs of life of running turns; return the ids of those held."""
        if not kept:
            return []
        # In the one order in which rows are locked: two calls then cannot deadlock.
        ordered = sorted(kept, key=_key)
        signs = [_sign(each) for each in ordered]
        rows = [(_key(each), row) for each in ordered for row in _rows(each)]

        async def work(connection: Connection) -> set[_Key]:
            # Whoever is held now is locked by this, and is held until the events are stored.
            await connection.execute(self._open.keep_turn, signs)
            held = await self._held(connection, [_key(each) for each in ordered])
            if events := [row for key, row in rows if key in held]:
                await connection.execute(self._open.put_event, events)
            return held

        held = await self._db.write(work)
        return [each.turn_id for each in kept if _key(each) in held]

    async def stopped_turns(self, holder: str) -> Sequence[str]:
        """Return the ids of a holder's running turns that are to be stopped."""
        rows = await self._db.fetch(self._open.stopped_turns, params({"holder": holder}))
        return [row.id for row in rows]

    async def load_turns(self, states: Sequence[TurnState], limit: int) -> Sequence[Turn]:
        """Return turns in these states, oldest first."""
        asked = [str(state) for state in TurnState if state in states]
        asked += [""] * (len(TurnState) - len(asked))
        values = {f"state_{n}": state for n, state in enumerate(asked)}
        rows = await self._db.fetch(self._open.load_turns, params({**values, "limit": limit}))
        return [turn_of(row) for row in rows]

    async def prune_turn_events(self, before: datetime, limit: int) -> int:
        """Delete the events of turns that ended before a moment; say of how many."""
        values = params({"before": milliseconds(before), "limit": limit})

        async def work(connection: Connection) -> int:
            ended = (await connection.execute(self._open.logged_turns, values)).all()
            keys = [params({"tenant": t, "owner": o, "turn": turn}) for t, o, turn in ended]
            if keys:
                await connection.execute(self._open.delete_events, keys)
                await connection.execute(self._open.mark_pruned, keys)
            return len(keys)

        return await self._db.write(work)

    async def _take_over(self, connection: Connection, taking: Parameters) -> Turn | None:
        for statement in (self._open.expired_turn, self._open.queued_turn):
            if (row := await self._first(connection, statement, {})) is None:
                continue
            key = {"tenant": row.tenant, "owner": row.owner, "turn": row.id, "fence": row.fence}
            taken = await self._first(connection, self._open.take_turn, taking | params(key))
            if taken is not None:
                return turn_of(taken)
        return None

    async def _still_held(self, connection: Connection, turn: Turn) -> Turn | None:
        """Return a turn that an earlier try may have taken, if it has."""
        key = key_of_principal(turn.principal, turn=turn.id)
        row = await self._first(connection, self._sql.load_turn, key)
        return turn_of(row) if row is not None and row.fence == turn.fence else None

    async def _held(self, connection: Connection, keys: Sequence[_Key]) -> set[_Key]:
        """Return those of the keys, and perhaps other ones of their turns, that are held."""
        held: set[_Key] = set()
        for some in batched(keys, HELD_SIZES[-1]):
            size = next(size for size in HELD_SIZES if size >= len(some))
            values: dict[str, object] = {}
            for n, (tenant, owner, turn, _) in enumerate([*some, *[some[-1]] * (size - len(some))]):
                values |= {f"tenant_{n}": tenant, f"owner_{n}": owner, f"turn_{n}": turn}
            found = await connection.execute(self._open.held_turns[size], params(values))
            held |= {(row.tenant, row.owner, row.id, row.fence) for row in found.all()}
        return held


def _key(kept: TurnKeeping) -> _Key:
    return kept.principal.tenant, kept.principal.user, kept.turn_id, kept.fence


def _sign(kept: TurnKeeping) -> Parameters:
    lease = None if kept.lease is None else whole_ms(kept.lease)
    sign = {
        "fence": kept.fence,
        "lease": lease,
        "last": last_of(kept.rows),
        "doing": kept.doing,
        "usage": kept.usage,
    }
    return key_of_principal(kept.principal, turn=kept.turn_id, **sign)


def _rows(kept: TurnKeeping) -> list[Parameters]:
    return event_values(key_of_principal(kept.principal, turn=kept.turn_id), kept.rows)
