"""The relay's contract within one process, and which relay a URL means."""

import pytest

from chatkeep.errors import SettingsError
from chatkeep.ports import Relay
from chatkeep.relay import open_relay
from chatkeep.relay.linked import LinkedRelay
from chatkeep.relay.local import LocalRelay
from chatkeep.testing import RelayContract


class TestLocalRelay(RelayContract):
    """`sqlite:///…` and `memory://`."""

    @pytest.fixture
    def relay(self) -> Relay:
        """A relay for one process."""
        return open_relay(None, "sqlite:///chatkeep.db")

    @pytest.fixture
    def second_relay(self) -> None:
        """There is none."""


async def live(relay: Relay) -> bool:
    """Open a relay and say whether it is live at once."""
    await relay.open(lambda _: None)
    try:
        return relay.live
    finally:
        await relay.aclose()


@pytest.mark.parametrize("url", ["redis://h", "rediss://h/1", "valkey://h", "valkeys://u:p@h"])
def test_redis_goes_before_the_database(url: str) -> None:
    """What is configured is used, whatever the database is."""
    assert isinstance(open_relay(url, "postgresql://h/d"), LinkedRelay)
    assert isinstance(open_relay(url, "memory://"), LinkedRelay)


@pytest.mark.parametrize("url", ["postgresql://h/d", "postgres://h/d", "postgresql+asyncpg://h/d"])
def test_postgres_needs_no_setting(url: str) -> None:
    """A database that can wake does; as a relay of its own it can be named, too."""
    assert isinstance(open_relay(None, url), LinkedRelay)
    assert isinstance(open_relay(url, "postgresql://pooler/d?statement_cache_size=0"), LinkedRelay)


async def test_a_pooler_is_not_relied_on() -> None:
    """In transaction mode nobody hears: as the database it means to look, as the relay nothing."""
    pooled = "postgresql://pooler/d?statement_cache_size=0"
    relay = open_relay(None, pooled)
    assert isinstance(relay, LocalRelay)
    assert not await live(relay)
    with pytest.raises(SettingsError, match=r"relay\.url: behind a pooler in transaction mode"):
        open_relay(pooled, pooled)


async def test_one_process_misses_nothing() -> None:
    """Only a database that several processes may use has others that are not heard."""
    assert await live(open_relay(None, "sqlite:///chatkeep.db"))
    assert await live(open_relay("", "memory://"))
    assert not await live(open_relay(None, "mongodb://h/d"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3cret", "no relay is known by the scheme"),
        ("amqp://u:s3cret@h", "no relay is known by the scheme 'amqp'"),
        ("redis://u:s3c@ret@h", "cannot be read"),
        ("redis://u:s3cret@h:port", "cannot be read"),
        ("redis://u:s3cret@h/name", "stands a number"),
        ("redis://h/0?s3cret", "cannot be read"),
        ("redis://h/0?timeout=s3cret", "the parameter timeout is not known"),
        ("redis://h/0?s3-cret=1", "the parameter with a strange name is not known"),
        ("redis://h/0?ssl_cert_reqs=none", "needs TLS"),
        ("rediss://h/0?ssl_cert_reqs=s3cret", "required or none"),
        ("rediss://h/0?ssl_ca_certs=s3cret", "a file that is not there"),
        ("redis://h/0?prefix=%C3%BC", "printable and ASCII"),
        ("postgresql://u:s3cret@h", "names one database"),
    ],
)
def test_a_wrong_url_is_one_line_without_secrets(url: str, said: str) -> None:
    """The line says what to do, and shows nothing that may be a password."""
    with pytest.raises(SettingsError, match=said) as caught:
        open_relay(url, "memory://")
    assert "s3c" not in str(caught.value).replace("s3cret'", "" if url == "s3cret" else "s3cret'")
