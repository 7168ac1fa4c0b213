"""Instances die while they answer, and come back: every turn goes on, or is marked."""

import asyncio
import random
from itertools import count
from time import monotonic

import pytest

from support.cluster import Cluster
from support.invariants import Findings, check
from support.paced import question
from support.sizes import note, size
from support.visitor import Visitor
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

VISITORS, CONVERSATIONS = 4, 3


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
                for _ in range(CONVERSATIONS):
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
