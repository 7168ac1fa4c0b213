"""Which new turns are taken, without a clock that matters: time passes at once, or not at all."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from chatkeep.errors import OverloadedError
from chatkeep.turns import admission as admitting
from chatkeep.turns.admission import Admission, Bounds, affordable_turns
from chatkeep.turns.lag import PERIOD, Lag

LIMIT = 0.025


class Server:
    """An admission, and the turns that run."""

    def __init__(self, turns: int = 100, starting: int = 2) -> None:
        self.running = 0
        self.admission = Admission(Bounds(turns, LIMIT, starting), lambda: self.running)
        self.begun: list[int] = []
        self.places = AsyncExitStack()

    async def take(self) -> None:
        """Take a place, and keep it."""
        await self.places.enter_async_context(self.admission.starting())

    async def refuses(self) -> None:
        """Be refused."""
        with pytest.raises(OverloadedError):
            await self.take()

    async def begin(self, number: int, gate: asyncio.Event) -> None:
        """Begin a turn that takes until the gate opens."""
        async with self.admission.starting():
            self.begun.append(number)
            await gate.wait()

    def late(self, times: int, seconds: float) -> None:
        """Let the loop be late some times in a row."""
        for _ in range(times):
            self.admission.lag.note(seconds)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    """A server with room for two turns that are being begun."""
    server = Server()
    async with server.places:
        yield server


@pytest.mark.parametrize("hiccup", [LIMIT * 2, LIMIT * 1000, 60.0])
def test_one_hiccup_does_not_count(hiccup: float) -> None:
    """However long it is."""
    lag = Lag(LIMIT)
    for _ in range(5):
        lag.note(hiccup)
        assert not lag.high
        for _ in range(30):
            lag.note(0.0)


def test_lateness_that_lasts_counts_until_it_is_over() -> None:
    """Not until it is below the limit, but until it is half of it, so that it does not flicker."""
    lag = Lag(LIMIT)
    for _ in range(20):
        lag.note(LIMIT * 1.2)
    assert lag.high
    for _ in range(100):
        lag.note(LIMIT * 0.8)
    assert lag.high
    for _ in range(100):
        lag.note(LIMIT * 0.4)
    assert not lag.high


def test_a_limit_of_zero_is_none() -> None:
    """The loop may be as late as it likes."""
    lag = Lag(0)
    for _ in range(100):
        lag.note(10.0)
    assert not lag.high


async def test_a_loop_that_is_blocked_is_late() -> None:
    """What holds the loop for longer than the limit, look after look, is seen."""
    lag = Lag(LIMIT)
    while not lag.high:
        looking = asyncio.create_task(lag.look())
        await asyncio.sleep(0)
        time.sleep(PERIOD + 2 * LIMIT)  # noqa: ASYNC251 - what is tested
        await looking
    assert lag.seconds > LIMIT


async def test_as_many_turns_run_as_there_may(server: Server) -> None:
    """Those that are being begun count like those that run; one that ends makes room."""
    server.running = 99
    await server.take()
    await server.refuses()
    server.running = 98
    await server.take()


async def test_a_late_loop_refuses_turns_while_many_run(server: Server) -> None:
    """With a few of them something else makes it late, and to refuse more would not help."""
    server.late(20, 1.0)
    server.running = 3
    await server.take()
    server.running = 50
    await server.refuses()
    server.late(40, 0.0)
    await server.take()


async def test_turns_are_begun_in_their_order(server: Server) -> None:
    """So many at once; the others wait in a line."""
    gates = [asyncio.Event() for _ in range(6)]
    tasks = [asyncio.create_task(server.begin(n, gate)) for n, gate in enumerate(gates)]
    await asyncio.sleep(0)
    assert server.begun == [0, 1]
    for gate in gates:
        gate.set()
    await asyncio.gather(*tasks)
    assert server.begun == list(range(6))


async def test_a_line_that_does_not_end_is_kept_short(
    server: Server, instant_time: asyncio.AbstractEventLoop
) -> None:
    """A rush waits for a second; behind one that goes on for longer nobody waits for long."""
    for _ in range(2):
        await server.take()
    started = instant_time.time()
    first = asyncio.create_task(server.refuses())
    await asyncio.sleep(0.5)
    second = asyncio.create_task(server.refuses())
    await first
    assert instant_time.time() - started == pytest.approx(admitting._RUSH_PATIENCE)
    third = instant_time.time()
    await asyncio.sleep(0.2)
    await server.refuses()
    assert instant_time.time() - third == pytest.approx(0.2 + admitting._PATIENCE)
    await second


async def test_a_line_has_an_end(server: Server, instant_time: asyncio.AbstractEventLoop) -> None:
    """Those behind it are refused at once."""
    for _ in range(2):
        await server.take()
    waiting = [asyncio.create_task(server.refuses()) for _ in range(admitting._LINE)]
    await asyncio.sleep(0)
    started = instant_time.time()
    await server.refuses()
    assert instant_time.time() == started
    await asyncio.gather(*waiting)


async def test_who_leaves_the_line_leaves_no_gap(
    server: Server, instant_time: asyncio.AbstractEventLoop
) -> None:
    """A cancelled wait takes no place with it."""
    del instant_time
    gate = asyncio.Event()
    tasks = [asyncio.create_task(server.begin(n, gate)) for n in range(4)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[2].cancel()
    await asyncio.wait([tasks[0], tasks[2]])
    await asyncio.sleep(0)
    assert server.begun == [0, 1, 3]
    gate.set()
    await asyncio.gather(tasks[1], tasks[3])
    for _ in range(2):
        await server.take()


@pytest.mark.usefixtures("instant_time")
async def test_a_spell_of_refusals_is_logged_twice(server: Server) -> None:
    """When it begins and when it is over, however many were refused."""
    watching = asyncio.create_task(server.admission.run())
    with capture_logs() as logs:
        server.running = 100
        for _ in range(50):
            await server.refuses()
        assert server.admission.overloaded
        server.running = 0
        await server.take()
        assert server.admission.overloaded
        await asyncio.sleep(2 * admitting._CALM_SECONDS)
    watching.cancel()
    assert not server.admission.overloaded
    begun, ended = logs
    assert (begun["event"], begun["because"]) == ("new turns are refused", "turns")
    assert (ended["event"], ended["refused"]) == ("new turns are taken again", 50)


def test_as_many_turns_as_files() -> None:
    """The number that nobody has set is one that the process can serve."""
    assert admitting._FEW <= affordable_turns() <= admitting._MOST
