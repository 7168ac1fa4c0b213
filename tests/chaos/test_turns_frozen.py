"""An instance stands still for longer than its lease, and goes on as if nothing had happened."""

import asyncio
import signal
from typing import Any

import pytest

from support.cluster import Cluster
from support.invariants import check
from support.paced import question
from support.sizes import note, seconds, size
from support.visitor import Sent, Visitor
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOWN, SILENT = 5, 2


async def test_what_wakes_up_writes_nothing(pair: Cluster) -> None:
    """Its turns were taken over: not one row of theirs changes when it goes on."""
    visitor = await pair.visitor()
    frozen = pair.servers[0]
    for each in range(size("freezes")):
        sends = [visitor.draft(question(f"f{each}-{n}", 300, 30)) for n in range(SHOWN)]
        # Of these nothing is shown before it freezes: they begin again.
        silent = [visitor.draft(question(f"s{each}-{n}", 9, 9, 4000)) for n in range(SILENT)]
        async with asyncio.TaskGroup() as group:
            for sent in sends + silent:
                group.create_task(visitor.follow(sent, at=0))
            for sent in sends:
                await sent.until_shown(20)
            await until(lambda silent=silent: all(sent.turn_id for sent in silent))
            frozen.signal(signal.SIGSTOP)
            await asyncio.sleep(seconds("frozen"))
            await asyncio.gather(*[_taken(visitor, sent) for sent in sends + silent])
            before = await _rows(pair, sends + silent)
            frozen.signal(signal.SIGCONT)
            # It has noticed when it has hung up on the provider.
            for sent in sends + silent:
                await pair.provider.calls[sent.name][0].over.wait()
        after = await visitor.say(question(f"a{each}", 3), at=0)
        assert after.ended
        assert await _rows(pair, sends + silent) == before
        for sent in silent:
            assert [call.complete for call in pair.provider.calls[sent.name]][1:] == [True]
    findings = await check(pair, [visitor])
    assert findings.states == {
        "interrupted": SHOWN * size("freezes"),
        "completed": (SILENT + 1) * size("freezes"),
    }
    note("freezes", freezes=size("freezes"), seconds=seconds("frozen"), **findings.states)


async def _taken(visitor: Visitor, sent: Sent) -> None:
    """Return when a turn has ended, at the other instance."""

    async def ended() -> bool:
        response = await visitor.ask("GET", f"chatkit/turns/{sent.turn_id}", 1)
        return response.json()["ended_at"] is not None

    await until(ended)


async def _rows(cluster: Cluster, sends: list[Sent]) -> list[Any]:
    """Return all that is stored of some turns."""
    ids = ", ".join(f"'{sent.turn_id}'" for sent in sends)
    threads = f"SELECT thread_id FROM turns WHERE id IN ({ids})"
    return [
        await cluster.rows(query)
        for query in (
            f"SELECT * FROM turns WHERE id IN ({ids}) ORDER BY id",
            f"SELECT * FROM turn_events WHERE turn_id IN ({ids}) ORDER BY turn_id, first",
            f"SELECT * FROM items WHERE thread_id IN ({threads}) ORDER BY thread_id, seq",
        )
    ]
