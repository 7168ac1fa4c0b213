"""The database or the relay goes away in the middle of answers; instances are told to stop."""

import asyncio
import random
import signal
from collections import Counter
from itertools import count
from time import monotonic

import pytest

from chatkeep.cli.serve import _LAST_BYTES_SECONDS
from support.cluster import GRACE, Cluster
from support.invariants import check
from support.paced import question
from support.postgres import PostgresServer
from support.sizes import note, outages, size
from support.valkey import ValkeyServer
from support.visitor import Sent, Visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = count()


class Answers:
    """Answers that are being written, each read at one of the instances."""

    def __init__(self, visitor: Visitor, number: int, words: int = 80) -> None:
        self.sends = [
            visitor.draft(question(f"o{next(_numbers)}", words, 30)) for _ in range(number)
        ]
        self._visitor = visitor
        self._reading = asyncio.gather(
            *[visitor.follow(sent, at=n % 2) for n, sent in enumerate(self.sends)]
        )

    async def begun(self) -> None:
        """Return when each has been shown in part."""
        for sent in self.sends:
            await sent.until_shown(10)

    async def ended(self) -> list[Sent]:
        """Return when each was read to its end."""
        await self._reading
        return self.sends


@pytest.mark.parametrize("seconds", outages())
async def test_a_database_that_is_silent_for_a_while(
    relayed: Cluster, postgres: PostgresServer, seconds: float
) -> None:
    """Answers wait for it, as long as that makes sense."""
    visitor = await relayed.visitor()
    answers = Answers(visitor, 6)
    await answers.begun()
    began = monotonic()
    await asyncio.to_thread(postgres.kill, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(postgres.kill, signal.SIGCONT)
    await answers.ended()
    took = monotonic() - began
    findings = await check(relayed, [visitor])
    if seconds == 1:
        assert findings.states == {"completed": 6}
    note("database silent", outage_s=seconds, **findings.states, all_ended_s=round(took, 1))


async def test_a_database_that_starts_anew(
    relayed: Cluster, postgres: PostgresServer, chance: random.Random
) -> None:
    """Connections break in the middle of anything; the answers come to their ends."""
    visitor = await relayed.visitor()
    for n in range(size("restarts")):
        answers = Answers(visitor, 6)
        await answers.begun()
        await asyncio.sleep(chance.uniform(0, 1))
        await asyncio.to_thread(postgres.restart, ("immediate", "fast")[n % 2])
        await answers.ended()
    findings = await check(relayed, [visitor])
    assert findings.states == {"completed": 6 * size("restarts")}
    note("database restarted", restarts=size("restarts"), **findings.states)


async def test_a_relay_that_is_gone(relayed: Cluster, valkey: ValkeyServer) -> None:
    """Readers at the other instance look by themselves."""
    visitor = await relayed.visitor()
    answers = Answers(visitor, size("redis_turns"))
    others = [Sent(sent.text, sent.key, sent.body) for sent in answers.sends]
    await answers.begun()
    reading = asyncio.gather(
        *[visitor.follow(sent, at=(n + 1) % 2) for n, sent in enumerate(others)]
    )
    await asyncio.gather(*[sent.until_shown(10) for sent in others])
    await asyncio.to_thread(valkey.kill)
    ended: list[float] = []
    await answers.ended()
    ended.append(monotonic())
    await reading
    ended.append(monotonic())
    await asyncio.to_thread(valkey.start)
    for sent, other in zip(answers.sends, others, strict=True):
        assert other.streamed == sent.streamed
        assert other.turn_id == sent.turn_id
    findings = await check(relayed, [visitor])
    assert findings.states == {"completed": size("redis_turns")}
    late = round(max(0.0, ended[1] - ended[0]), 2)
    note("relay killed", turns=size("redis_turns"), **findings.states, others_late_s=late)


async def test_an_instance_that_is_told_to_stop(relayed: Cluster, chance: random.Random) -> None:
    """Its streams come to an end that says what to do; it exits with 0; nothing is lost."""
    visitor = await relayed.visitor()
    bodies: Counter[str] = Counter()
    took: list[float] = []
    for each in range(size("stops")):
        # Some end within the grace, some do not.
        long = Answers(visitor, size("streams") // 2, 150)
        short = Answers(visitor, size("streams") // 2, 10)
        await long.begun()
        await asyncio.sleep(chance.uniform(0, 0.3))
        server = relayed.servers[each % 2]
        began = monotonic()
        assert await server.end(signal.SIGTERM) == 0
        took.append(monotonic() - began)
        await server.start()
        for sent in [*await long.ended(), *await short.ended()]:
            bodies.update(sent.bodies)
            # On a machine that is so slow, what is left of the connections is cut.
            assert "cut" not in sent.bodies or took[-1] > GRACE + _LAST_BYTES_SECONDS, sent
    findings = await check(relayed, [visitor])
    assert set(findings.states) <= {"completed", "interrupted"}
    assert max(findings.lost, default=0) == 0
    note(
        "told to stop",
        rounds=size("stops"),
        streams=size("streams"),
        **findings.states,
        **{f"bodies_{kind}": number for kind, number in bodies.items()},
        longest_exit_s=round(max(took), 1),
    )
