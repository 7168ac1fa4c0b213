"""Readers that come back, leave, stop and race, at two instances."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count
from time import monotonic

import pytest

from support.cluster import Cluster
from support.invariants import check
from support.paced import question, reply
from support.sizes import note, size, spread
from support.visitor import Sent, Visitor
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_ONCE = 8
_numbers = count()


async def many(number: int, one: Callable[[], Awaitable[None]]) -> None:
    """Do something so many times, some at once."""
    left = iter(range(number))

    async def some() -> None:
        for _ in left:
            await one()

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())


def name() -> str:
    """Return a name of one use."""
    return f"r{next(_numbers)}"


async def test_a_reload_continues_where_it_was(pair: Cluster, chance: random.Random) -> None:
    """Readers who are cut off up to five times, and go on at either instance, miss nothing."""
    visitor = await pair.visitor()

    async def one() -> None:
        cuts = [chance.randint(1, 8) for _ in range(chance.randint(1, 5))]
        sent = await visitor.say(question(name(), 40, 15), cuts=cuts)
        assert sent.streamed == reply(sent.text)
        assert sent.bodies[-1] == "end"
        assert set(sent.bodies[:-1]) <= {"left"}

    await many(size("reloads"), one)
    findings = await check(pair, [visitor])
    assert findings.states == {"completed": size("reloads")}
    for where, there in (("where it runs", True), ("elsewhere", False)):
        took = [
            seconds
            for sent in visitor.sent
            for seconds, at_home in sent.first_bytes
            if at_home is there
        ]
        note(f"reloads, {where}", turns=size("reloads"), resumes=len(took), **spread(took))


async def test_an_answer_does_not_need_its_reader(pair: Cluster, chance: random.Random) -> None:
    """Clients that leave find the whole answer, which was asked for once."""
    visitor = await pair.visitor()

    async def one() -> None:
        sent = visitor.draft(question(name(), 30, 15))
        await visitor.follow(sent, leave=chance.randint(1, 20))

    await many(size("leaves"), one)
    findings = await check(pair, [visitor])
    assert findings.states == {"completed": size("leaves")}
    assert {len(pair.provider.calls[sent.name]) for sent in visitor.sent} == {1}
    note("clients that leave", turns=size("leaves"), **findings.states)


async def test_a_stop_reaches_the_provider(pair: Cluster, chance: random.Random) -> None:
    """From either instance; the turn is then cancelled or was complete, and nothing goes on."""
    visitor = await pair.visitor()
    took: list[float] = []

    async def one() -> None:
        sent = visitor.draft(question(name(), 40, 20, chance.choice([0, 200])))
        reading = asyncio.create_task(visitor.follow(sent))
        await until(lambda: sent.turn_id)
        await asyncio.sleep(chance.uniform(0, 1))
        asked = monotonic()
        await visitor.cancel(sent, chance.randrange(2))
        await reading
        again = await visitor.cancel(sent, chance.randrange(2))
        assert again["state"] in ("cancelled", "completed")
        for call in pair.provider.calls[sent.name]:
            await call.over.wait()
            if call.closed is not None:
                took.append(call.closed - asked)
            assert call.complete or again["state"] == "cancelled"

    await many(size("cancels"), one)
    findings = await check(pair, [visitor])
    assert set(findings.states) <= {"cancelled", "completed"}
    note("stops", turns=size("cancels"), **findings.states, closed=len(took), **spread(took))


async def test_one_key_is_one_turn(pair: Cluster) -> None:
    """Many sends at once, at both instances: one message, one turn, and the same events for all."""
    visitor = await pair.visitor()
    first = visitor.draft(question(name(), 30, 20))
    copies = [Sent(first.text, first.key, first.body) for _ in range(size("sends") - 1)]
    sends = [first, *copies]
    statuses = await asyncio.gather(
        *[visitor.try_once(sent, n % 2) for n, sent in enumerate(sends)]
    )
    assert set(statuses) == {200}
    assert len({sent.turn_id for sent in sends}) == 1
    assert {sent.streamed for sent in sends} == {reply(first.text)}
    assert {tuple(sent.done) for sent in sends} == {tuple(first.done)}
    await check(pair, [visitor])
    assert len(pair.provider.calls[first.name]) == 1
    other = Sent(name(), first.key, {**first.body, "metadata": {"other": 1}})
    response = await visitor.ask(
        "POST", "chatkit", json=other.body, headers={"Idempotency-Key": other.key}
    )
    assert response.status_code == 422
    note("sends with one key", sends=len(sends), turns=1)


async def test_two_messages_never_have_answers_at_once(pair: Cluster) -> None:
    """Two instances get a message for one thread at the same moment: one of them is refused."""
    visitor = await pair.visitor()
    statuses: Counter[str] = Counter()
    threads = [(await visitor.say(question(name(), 2, 0))).thread_id for _ in range(AT_ONCE)]

    async def one() -> None:
        thread_id = threads.pop()
        racers = [visitor.draft(question(name(), 4, 20), thread_id) for _ in range(2)]
        got = await asyncio.gather(*[race(visitor, sent, n) for n, sent in enumerate(racers)])
        statuses[" and ".join(str(status) for status in sorted(got))] += 1
        calls = [call for sent in racers for call in pair.provider.calls[sent.name]]
        assert len(calls) == got.count(200) >= 1
        if len(calls) == 2:
            # The one began when the other had ended.
            early, late = sorted(calls, key=lambda call: call.began)
            assert early.complete
            assert early.ended <= late.began
        threads.append(thread_id)

    await many(size("races"), one)
    await check(pair, [visitor])
    note("races", races=size("races"), **statuses)


async def race(visitor: Visitor, sent: Sent, at: int) -> int:
    """Send once; a message that was refused is none that was sent."""
    status = await visitor.try_once(sent, at)
    if status != 200:
        assert status == 409
        visitor.sent.remove(sent)
    else:
        assert sent.ended
    return status
