"""The relay's contract through a real Valkey, and what is special about Redis."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
from redis.asyncio import Redis

from chatkeep.errors import RelayUnavailableError
from chatkeep.ports import Relay
from chatkeep.relay import open_relay
from chatkeep.testing import RelayContract
from chatkeep.testing.relay_contract import answers, comes_through, opened, pair
from support.certificates import Authority
from support.valkey import ValkeyServer
from support.waiting import until

_numbers = count()


@pytest.fixture
def prefix() -> str:
    """A channel of the test's own."""
    return f"test-{next(_numbers)}"


@pytest.fixture
def relay(valkey: ValkeyServer, prefix: str) -> Relay:
    """An instance's relay."""
    return open_relay(valkey.url(prefix=prefix), "memory://")


@pytest.fixture
def second_relay(valkey: ValkeyServer, prefix: str) -> Relay:
    """Another instance's."""
    return open_relay(valkey.url(prefix=prefix), "memory://")


class TestRedisRelay(RelayContract):
    """`redis://…`."""


@pytest.fixture(scope="module")
def guarded() -> Iterator[ValkeyServer]:
    """A server with a password, and a user who may do nothing but what a relay does."""
    rights = "on >right resetchannels &mine:* -@all +subscribe +publish"
    server = ValkeyServer("--requirepass", "secret-of-all", "--user", "relay", *rights.split())
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Who signed the server's certificate."""
    return Authority("the right one")


@asynccontextmanager
async def in_tls(port: int, authority: Authority, directory: Path) -> AsyncIterator[int]:
    """Speak TLS in front of a server that does not, as `localhost`; yield the port."""
    certificate, key = authority.issue("localhost")
    (directory / "chain.pem").write_bytes(certificate + key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "chain.pem")

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass  # the other side is gone, too
        finally:
            sink.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, before = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, before), pump(behind, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def hint(url: str) -> str:
    """Return what a ping says is wrong, once it is known."""
    relay = open_relay(url, "memory://")

    async def said() -> str:
        with pytest.raises(RelayUnavailableError) as caught:
            await relay.ping()
        return str(caught.value.hint).replace("it does not answer", "")  # not yet

    async with opened(relay):
        return await until(said)


async def test_who_may_only_do_this_can_do_this(guarded: ValkeyServer) -> None:
    """Two commands and the channels of a prefix are all the rights that are needed."""
    url = guarded.url(login="relay:right@", prefix="mine")
    async with pair(open_relay(url, "memory://"), open_relay(url, "memory://")):
        pass


async def test_refusals_are_told_without_secrets(guarded: ValkeyServer) -> None:
    """A wrong password, none at all, and somebody else's channel."""
    assert await hint(guarded.url(login="relay:wr0ng@")) == "it refused the user or the password"
    assert await hint(guarded.url()) == "it refused the user or the password"
    foreign = guarded.url(login="relay:right@", prefix="foreign")
    assert await hint(foreign) == "the user lacks a right to the channel"


async def test_certificates_are_checked(
    valkey: ValkeyServer, authority: Authority, tmp_path: Path, prefix: str
) -> None:
    """TLS works with the right authority and name, or when told not to look."""
    (tmp_path / "right.pem").write_bytes(authority.certificate)
    (tmp_path / "wrong.pem").write_bytes(Authority("the right one").certificate)
    async with in_tls(valkey.port, authority, tmp_path) as port:
        url = f"rediss://localhost:{port}/0?prefix={prefix}&"
        for good in (f"{url}ssl_ca_certs={tmp_path}/right.pem", f"{url}ssl_cert_reqs=none"):
            async with pair(open_relay(good, "memory://"), open_relay(good, "memory://")):
                pass
        wrong = f"{url}ssl_ca_certs={tmp_path}/wrong.pem"
        assert "certificate" in await hint(wrong)
        other_name = wrong.replace("localhost", "127.0.0.1").replace("wrong.pem", "right.pem")
        assert "certificate" in await hint(other_name)


async def test_strangers_on_the_channel_do_not_matter(
    valkey: ValkeyServer, relay: Relay, prefix: str
) -> None:
    """What is not a message of ours is not understood, and nothing ends."""
    junk = [b"", b"\xff\x00", b"1", b"2 me\ntrn_1", b"1 me\n" + b"x" * 65, b"1 me\ntrn_2" * 10_000]
    async with opened(relay) as ear, Redis(port=valkey.port) as client:
        await comes_through(relay, ear)
        await until(lambda: relay.live)
        for each in junk:
            await client.publish(f"{prefix}:0:wake", each)
        await client.publish(f"{prefix}:0:wake", b"1 somebody\ntrn_good")
        await until(lambda: "trn_good" in ear.heard)
        assert all(each.startswith(("trn_probe", "trn_good")) for each in ear.heard)


async def test_databases_and_prefixes_keep_apart(valkey: ValkeyServer, prefix: str) -> None:
    """Several services may share a server, though messages know no databases."""
    places = [(0, prefix), (1, prefix), (0, f"{prefix}x")]
    urls = [valkey.url(number, prefix=name) for number, name in places]
    relays = [open_relay(url, "memory://") for url in urls]
    async with opened(relays[0]) as one, opened(relays[1]) as two, opened(relays[2]) as three:
        for each in relays:
            await answers(each)
        for each, ear in zip(relays, (one, two, three), strict=True):
            await comes_through(each, ear)
        for each in [*relays, *relays]:  # what was sent before has come by then
            await answers(each)
        assert not one.heard & two.heard
        assert not one.heard & three.heard


async def test_connections_that_are_cut_are_replaced(
    valkey: ValkeyServer, relay: Relay, second_relay: Relay
) -> None:
    """An administrator, or a full buffer, may end any of them."""
    async with pair(relay, second_relay) as (here, there), Redis(port=valkey.port) as client:
        for kind in ("pubsub", "normal"):
            await client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
            await comes_through(relay, there)
            await comes_through(second_relay, here)
        await until(lambda: relay.live and second_relay.live)
