"""Copies all records of one store into another one, whatever their kinds, and compares the two.

Comparing does not depend on an order, which is each database's own: the SHA-256 of all records of
a table are added up, modulo 2^256. Memory is that of a batch, however large the stores are.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chatkeep.errors import ChatkeepError, CopyError
from chatkeep.ports import Record, Upkeep
from chatkeep.ports.upkeep import TABLES
from chatkeep.upkeep.copy_state import CopyState

_BATCH = 200

_CHANGED = (
    "Something wrote to one of the two meanwhile. Stop every server that uses them and run the "
    "same command again."
)

type Report = Callable[[str, int], None]
"""Is told of what (a table) and how many more have been done."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many there are, and the sum of their SHA-256."""

    count: int = 0
    total: int = 0

    def add(self, *texts: str) -> "Tally":
        """Return the tally with one more, which these texts tell from others."""
        text = json.dumps(texts, ensure_ascii=False)
        number = int.from_bytes(hashlib.sha256(text.encode()).digest())
        return Tally(self.count + 1, (self.total + number) % 2**256)


async def is_empty(store: Upkeep) -> bool:
    """Say whether a store has no record at all."""
    for table in TABLES:
        if await store.read_records(table, None, 1):
            return False
    return True


async def copy_records(source: Upkeep, target: Upkeep, state: CopyState, report: Report) -> None:
    """Copy what `state` does not know to be copied. The source is only read.

    Raises:
        CopyError: A record refers to one that was not there when its table was copied.
        ChatkeepError: One of the stores is not there; the next call goes on.
    """
    for table in TABLES:
        done = state.table(table)
        while not done.done:
            records = await source.read_records(table, done.after, _BATCH)
            if not records:
                state.finish(table)
                break
            await _write(target, table, records, state)
            state.advance(table, records[-1], len(records))
            report(table, len(records))


async def compare(source: Upkeep, target: Upkeep, report: Report) -> tuple[int, str]:
    """Return how many records there are in both, and one SHA-256 of them all.

    Raises:
        CopyError: They are not equal.
    """
    differing = []
    tallies = {}
    for table in TABLES:
        ours, theirs = await asyncio.gather(
            tally_of(source, table, report), tally_of(target, table, report)
        )
        tallies[table] = ours
        if ours.count != theirs.count:
            differing.append(f"{table} ({ours.count} in the source, {theirs.count} in the target)")
        elif ours != theirs:
            differing.append(f"{table} ({ours.count} in both, but not the same)")
    if differing:
        raise CopyError(f"The copy differs from its source: {', '.join(differing)}. {_CHANGED}")
    sums = {table: [tally.count, f"{tally.total:064x}"] for table, tally in tallies.items()}
    digest = hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()
    return sum(tally.count for tally in tallies.values()), digest


async def tally_of(store: Upkeep, table: str, report: Report) -> Tally:
    """Return how many records a table has, and the sum of their SHA-256."""
    tally, after = Tally(), None
    while records := await store.read_records(table, after, _BATCH):
        for record in records:
            tally = tally.add(json.dumps(record, sort_keys=True, ensure_ascii=False))
        after = records[-1]
        report(table, len(records))
    return tally


async def _write(target: Upkeep, table: str, records: Sequence[Record], state: CopyState) -> None:
    try:
        await target.write_records(table, records)
    except ChatkeepError:
        raise
    except Exception as error:  # each backend has its own for what refers to nothing
        state.restart()
        raise CopyError(
            f"Records of {table} do not fit what was copied before. {_CHANGED}"
        ) from error
