"""Encrypted connections to PostgreSQL, against a server with a certificate of an own authority."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatkeep.errors import SettingsError
from chatkeep.stores import apply_migrations, open_store
from chatkeep.stores.sql.store import SqlStore
from support.certificates import Authority
from support.postgres import PostgresServer, tls_binaries


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Who signed the server's certificate."""
    return Authority("the right one")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[PostgresServer]:
    """A server that is called localhost, and nothing else."""
    running = PostgresServer(tls_binaries())
    certificate, key = authority.issue("localhost")
    names = {"ssl": "on", "ssl_cert_file": "tls_crt", "ssl_key_file": "tls_key"}
    try:
        running.create(names, tls_crt=certificate, tls_key=key)
        asyncio.run(apply_migrations(running.url("postgres"), data_dir=Path()))
        yield running
    finally:
        running.remove()


@pytest.fixture
def right(authority: Authority, tmp_path: Path) -> Path:
    """The authority's certificate in a file."""
    path = tmp_path / "right.pem"
    path.write_bytes(authority.certificate)
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """The certificate of another authority, of the same name."""
    path = tmp_path / "wrong.pem"
    path.write_bytes(Authority("the right one").certificate)
    return path


def url(server: PostgresServer, host: str, **parameters: object) -> str:
    """Return the URL of a server by one of its host's names."""
    return server.url("postgres", **parameters).replace("127.0.0.1", host)


async def encrypted(store_url: str) -> bool:
    """Open a store and ask the server whether its connection is encrypted."""
    store = open_store(store_url, data_dir=Path())
    assert isinstance(store, SqlStore)
    await store.open()
    try:

        async def ask(connection: Any) -> bool:
            query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            return bool(await connection.raw.fetchval(query))

        return await store._db.write(ask)
    finally:
        await store.aclose()


async def test_a_verified_server_is_used(server: PostgresServer, right: Path) -> None:
    """`verify-full` checks authority and name, `verify-ca` the authority only."""
    full = {"sslmode": "verify-full", "sslrootcert": right}
    assert await encrypted(url(server, "localhost", **full))
    assert await encrypted(url(server, "127.0.0.1", **{**full, "sslmode": "verify-ca"}))


async def test_encryption_without_verification_is_encryption(server: PostgresServer) -> None:
    """`require` insists on it, nothing prefers it, `disable` does without."""
    assert await encrypted(url(server, "127.0.0.1", sslmode="require"))
    assert await encrypted(url(server, "127.0.0.1"))
    assert not await encrypted(url(server, "127.0.0.1", sslmode="disable"))


async def test_a_server_of_another_authority_is_refused(
    server: PostgresServer, wrong: Path
) -> None:
    """In one line, which names the place and the reason."""
    for mode in ("verify-full", "verify-ca"):
        with pytest.raises(SettingsError, match="No encrypted connection to localhost") as caught:
            await encrypted(url(server, "localhost", sslmode=mode, sslrootcert=wrong))
        assert "certificate verify failed" in str(caught.value)
        assert "\n" not in str(caught.value)


async def test_a_server_of_another_name_is_refused(server: PostgresServer, right: Path) -> None:
    """A right certificate is of no use for the wrong host."""
    with pytest.raises(SettingsError, match="No encrypted connection to 127") as caught:
        await encrypted(url(server, "127.0.0.1", sslmode="verify-full", sslrootcert=right))
    assert "IP address mismatch" in str(caught.value)
