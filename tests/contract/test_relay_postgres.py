"""The relay's contract through a real PostgreSQL, and what poolers do to it."""

from collections.abc import Iterator

import pytest

from chatkeep.ports import Relay
from chatkeep.relay import open_relay
from chatkeep.testing import RelayContract
from chatkeep.testing.relay_contract import answers, comes_through, opened, pair
from support.pgbouncer import PgBouncer
from support.postgres import PostgresServer
from support.waiting import until


@pytest.fixture
def url(postgres: PostgresServer, empty_postgres: str) -> str:
    """The URL of a database of the test's own: notifications stay in one."""
    return postgres.url(empty_postgres)


@pytest.fixture
def relay(url: str) -> Relay:
    """An instance's relay."""
    return open_relay(None, url)


@pytest.fixture
def second_relay(url: str) -> Relay:
    """Another instance's."""
    return open_relay(None, url)


class TestPostgresRelay(RelayContract):
    """`postgresql://…`."""


@pytest.fixture(scope="module")
def bouncer(postgres: PostgresServer) -> Iterator[PgBouncer]:
    """A pooler that the URL does not mention."""
    pooler = PgBouncer(postgres)
    yield pooler
    pooler.stop()


async def test_a_pooler_is_noticed(bouncer: PgBouncer, empty_postgres: str) -> None:
    """Its session is not ours: the relay works as far as it does, and nobody relies on it."""
    relay = open_relay(None, bouncer.url(empty_postgres))
    async with opened(relay):
        await answers(relay)
        assert not relay.live


async def test_a_session_that_is_ended_is_replaced(
    postgres: PostgresServer, relay: Relay, second_relay: Relay
) -> None:
    """An administrator may end every session."""
    async with pair(relay, second_relay) as (here, there):
        await postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'chatkeep relay'"
        )
        await comes_through(relay, there)
        await comes_through(second_relay, here)
        await until(lambda: relay.live and second_relay.live)


async def test_all_that_may_wait_is_sent_at_once(relay: Relay, second_relay: Relay) -> None:
    """The longest ids, as many as are kept, fit into the notifications of one transaction."""
    ids = {f"{n:064}" for n in range(4000)}
    async with pair(relay, second_relay) as (_, there):
        while not ids <= there.heard:
            relay.publish(sorted(ids))
            await comes_through(relay, there)
