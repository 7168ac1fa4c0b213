"""Relays whose server crashes, comes back, hangs, or was never there."""

import asyncio
import signal
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from chatkeep.errors import RelayUnavailableError
from chatkeep.ports import Relay
from chatkeep.relay import open_relay
from chatkeep.relay.linked import LinkedRelay
from chatkeep.testing.relay_contract import Ear, answers, comes_through, opened, pair
from support.postgres import PostgresServer, postgres_binaries
from support.relays import LONGEST_PAUSE, impatient
from support.valkey import ValkeyServer
from support.waiting import until

type Server = PostgresServer | ValkeyServer


@pytest.fixture(scope="module", params=["postgres", "valkey"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that the tests may lose."""
    valkey = request.param == "valkey"
    running = ValkeyServer() if valkey else PostgresServer(postgres_binaries())
    try:
        if isinstance(running, PostgresServer):
            running.create()
        else:
            running.start()
        yield running
    finally:
        running.remove()


@pytest.fixture(autouse=True)
def soon() -> Iterator[None]:
    """What is lost is noticed soon."""
    with impatient():
        yield


def make(server: Server) -> LinkedRelay:
    """Return a relay through the server."""
    url = server.url("postgres") if isinstance(server, PostgresServer) else server.url()
    relay = open_relay(url, "memory://")
    assert isinstance(relay, LinkedRelay)
    return relay


def stop(server: Server, number: int) -> None:
    """Send a signal to all of a server."""
    if isinstance(server, PostgresServer):
        server.kill(number)
    else:
        server.signal(number)


async def is_down(relay: Relay) -> None:
    """Wait until a relay knows that its server is lost, and says so."""
    await until(lambda: not relay.live)

    async def fails() -> bool:
        try:
            await relay.ping()
        except RelayUnavailableError as error:
            return bool(error.hint)
        return False

    await until(fails)


async def test_a_crash_is_survived(server: Server) -> None:
    """Publishing goes on without waiting; when the server is back, so are the wake-ups."""
    relay, other = make(server), make(server)
    async with pair(relay, other) as (here, there):
        server.kill()
        await is_down(relay)
        await is_down(other)
        before = relay.dropped
        relay.publish([f"trn_{n}" for n in range(10_000)])
        await until(lambda: len(here.heard) > 1000)  # who waits here is woken all the same
        assert relay.dropped == before + 10_000
        await asyncio.to_thread(server.start)
        await comes_through(relay, there)
        await comes_through(other, here)
        await until(lambda: relay.live and other.live)
        await answers(relay)
        assert "trn_1" not in there.heard  # late wake-ups are worth nothing


async def test_a_server_that_comes_later_is_found(server: Server) -> None:
    """Opening does not fail, and an outage is one line in the log, its end another."""
    server.kill()
    relay, ear = make(server), Ear()
    with capture_logs() as logs:
        await relay.open(ear)
        try:
            relay.publish(["trn_1"])
            await until(lambda: "trn_1" in ear.heard)
            await is_down(relay)
            await until(lambda: relay._pause == LONGEST_PAUSE)  # after several tries
            await asyncio.to_thread(server.start)
            await until(lambda: relay.live)
        finally:
            await relay.aclose()
    ours = [(line["log_level"], line["event"]) for line in logs if "relay" in line["event"]]
    assert ours[0] == ("warning", "the relay is gone, instances look by themselves")
    assert ours[1] == ("info", "the relay is back")


async def test_silence_is_noticed(server: Server) -> None:
    """A server that hangs, as behind a network that swallows, is as good as gone."""
    relay, other = make(server), make(server)
    async with pair(relay, other) as (here, there):
        stop(server, signal.SIGSTOP)
        try:
            await is_down(relay)
            relay.publish(["trn_1"])
            await until(lambda: "trn_1" in here.heard)
        finally:
            stop(server, signal.SIGCONT)
        await comes_through(relay, there)
        await comes_through(other, here)


async def test_closing_does_not_wait_for_a_silent_server(server: Server) -> None:
    """The end comes, and leaves no task."""
    before = asyncio.all_tasks()
    relay = make(server)
    async with opened(relay) as ear:
        await until(lambda: relay.live)
        stop(server, signal.SIGSTOP)
        try:
            relay.publish(["trn_1"])
            await relay.aclose()
        finally:
            stop(server, signal.SIGCONT)
    assert "trn_1" in ear.heard
    await until(lambda: asyncio.all_tasks() == before)
