"""Which addresses only this machine reaches."""

import pytest

from chatkeep.loopback import is_loopback, is_other_machine


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.0.0.2", "127.255.255.255", "::1", "[::1]"]
)
def test_this_machine_only(host: str) -> None:
    """The whole of 127/8, ::1 and localhost."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "0.0.0.0",
        "::",
        "[::]",
        "128.0.0.1",
        "126.255.255.255",
        "192.168.0.1",
        "fe80::1",
        "localhost.evil.com",
        "evil.localhost.com",
        "127.0.0.1.evil.com",
        "127.1",
        "0x7f.1",
        "0",
        "2130706433",
        "127.0.0.1:80",
        "localhost:80",
        "[::1]:80",
        "127.0.0.1\n",
        "*",
        "::ffff:192.168.0.1",
        "127.00.0.1",
        "\uff11\uff12\uff17.0.0.1",
    ],
)
def test_everything_else(host: str) -> None:
    """Names that only look like it, other spellings and addresses with a port are not loopback."""
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["192.168.0.1", "8.8.8.8", "fe80::1", "0.0.0.0", "::"])
def test_addresses_of_others(host: str) -> None:
    """Every address but this machine's own."""
    assert is_other_machine(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "", "testclient", "@socket"])
def test_what_is_not_the_address_of_another(host: str) -> None:
    """This machine, and what is no address: a Unix socket, the client of a test."""
    assert not is_other_machine(host)
