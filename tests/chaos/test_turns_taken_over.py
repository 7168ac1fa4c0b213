"""Instances die, or stand still, while they answer: every turn goes on, or is marked."""

import asyncio
import random
import signal
from itertools import count
from time import monotonic
from typing import Any

import pytest

from support.cluster import Cluster
from support.invariants import Findings, check
from support.paced import question
from support.sizes import note, seconds, size
from support.visitor import Sent, Visitor
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

VISITORS = 4
SHOWN, SILENT = 5, 2


class Crowd:
    """Users who each have some conversations, until all kills are done and enough was said."""

    def __init__(self, visitors: list[Visitor], turns: int, chance: random.Random) -> None:
        self.visitors = visitors
        self.killing = True
        self._turns = turns
        self._chance = chance
        self._numbers = count()
        self.begun = 0

    async def talk(self) -> None:
        """Say everything."""
        async with asyncio.TaskGroup() as group:
            for visitor in self.visitors:
                for _ in range(size("conversations")):
                    group.create_task(self._converse(visitor))

    async def _converse(self, visitor: Visitor) -> None:
        thread_id = None
        while self.begun < self._turns or self.killing:
            self.begun += 1
            chance = self._chance
            first = chance.choice([0, 0, 300])
            text = question(
                f"m{next(self._numbers)}", chance.randint(2, 60), chance.randint(5, 30), first
            )
            sent = await visitor.say(text, thread_id)
            # Sometimes another conversation begins.
            thread_id = sent.thread_id if chance.random() < 0.8 else None


async def kill_while_talking(
    cluster: Cluster, chance: random.Random, kills: int, turns: int
) -> Findings:
    """Kill instances at random moments, counted in turns and so the same on any machine."""
    visitors = [await cluster.visitor(n) for n in range(VISITORS)]
    crowd = Crowd(visitors, turns, chance)
    async with asyncio.TaskGroup() as group:
        group.create_task(crowd.talk())
        watching = group.create_task(cluster.watch())
        for _ in range(kills):
            wanted = crowd.begun + chance.randint(1, max(2, 2 * turns // kills))
            await until(lambda wanted=wanted: crowd.begun >= wanted)
            await asyncio.sleep(chance.uniform(0, 0.5))
            await cluster.kill(chance)
        crowd.killing = False
        watching.cancel()
    return await check(cluster, visitors)


async def test_turns_outlive_the_instances_that_work_on_them(
    pair: Cluster, chance: random.Random
) -> None:
    """Two instances on PostgreSQL, of which the one or the other is killed again and again."""
    kills, turns, began = size("kills"), size("killed_turns"), monotonic()
    findings = await kill_while_talking(pair, chance, kills, turns)
    note(
        "kills, two instances on PostgreSQL",
        kills=kills,
        turns=findings.states.total(),
        **findings.states,
        longest_without_lease_s=pair.overdue,
        most_lost_characters=max(findings.lost, default=0),
        seconds=round(monotonic() - began),
    )


async def test_turns_outlive_the_only_instance(single: Cluster, chance: random.Random) -> None:
    """One instance on SQLite takes its own turns over when it is back."""
    kills, turns, began = size("sqlite_kills"), size("sqlite_turns"), monotonic()
    findings = await kill_while_talking(single, chance, kills, turns)
    assert await single.rows("PRAGMA integrity_check") == [("ok",)]
    assert await single.rows("PRAGMA foreign_key_check") == []
    note(
        "kills, one instance on SQLite",
        kills=kills,
        turns=findings.states.total(),
        **findings.states,
        longest_without_lease_s=single.overdue,
        most_lost_characters=max(findings.lost, default=0),
        seconds=round(monotonic() - began),
    )


async def test_what_wakes_up_writes_nothing(pair: Cluster) -> None:
    """An instance stands still for longer than its lease: its turns are taken over.

    Not one row of theirs changes when it goes on.
    """
    visitor = await pair.visitor()
    frozen = pair.servers[0]
    away = seconds("lease") + seconds("frozen")
    words, first = int(away + 6) * 30, int(away + 1) * 1000
    for each in range(size("freezes")):
        sends = [visitor.draft(question(f"f{each}-{n}", words, 33)) for n in range(SHOWN)]
        # Of these nothing is shown before it freezes: they begin again.
        silent = [visitor.draft(question(f"s{each}-{n}", 9, 9, first)) for n in range(SILENT)]
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
