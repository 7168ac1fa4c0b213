"""`chatkeep erase`: not a byte of the user is left, and nobody else misses one."""

import asyncio
import json
import secrets
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chatkeep import __version__
from chatkeep.context import RequestContext
from chatkeep.files import open_storage
from chatkeep.files.keys import read_key
from chatkeep.ports import Hold
from chatkeep.ports.upkeep import TABLES
from chatkeep.stores import default_url, open_store
from chatkeep.testing.store_samples import asking
from chatkeep.upkeep.erasing import digest_of
from contract.test_file_storage_s3 import credentials, endpoint
from support.canary import files_with, plant
from support.command import command, said
from support.live import Connect, LiveServer
from support.postgres import PostgresServer

__all__ = ["credentials", "endpoint"]

ANN, BEA = asking("ann"), asking("bea")
GONE, KEPT = "gonecanary", "keptcanary"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with a conversation of each of two users, and one of another tenant."""
    monkeypatch.setenv("CHATKEEP_DATA_DIR", str(tmp_path / "data"))

    async def fill() -> None:
        directory = tmp_path / "data"
        store = open_store(default_url(directory), data_dir=directory)
        storage = open_storage(None, data_dir=directory)
        await store.open()
        for context, word in ((ANN, GONE), (BEA, KEPT), (asking("ann", "umbrella"), KEPT)):
            await plant(store, storage, context, word, threads=2)
        await store.aclose()

    asyncio.run(fill())
    return tmp_path / "data"


def counts(data: Path, tenant: str, user: str) -> dict[str, int]:
    """Return how many records a user has, by table."""
    with closing(sqlite3.connect(data / "chatkeep.db")) as database:
        return {
            table: database.execute(
                f"SELECT count(*) FROM {table} WHERE tenant = ? AND owner = ?", (tenant, user)
            ).fetchone()[0]
            for table in [*TABLES, "texts"]
        }


def test_no_byte_is_left(data: Path, tmp_path: Path) -> None:
    """Neither in the database and its log nor in the files; the others' are all there."""
    assert files_with(GONE, data) != []
    kept_files = files_with(KEPT, data / "files")
    before = counts(data, "acme", "bea"), counts(data, "umbrella", "ann")
    target = tmp_path / "receipt.json"

    result = command(
        "erase", "--tenant", "acme", "--user", "ann", "--yes", "--receipt", str(target)
    )

    assert result.exit_code == 0, result.output
    assert files_with(GONE, data) == []
    assert not any(counts(data, "acme", "ann").values())
    assert (counts(data, "acme", "bea"), counts(data, "umbrella", "ann")) == before
    assert files_with(KEPT, data / "files") == kept_files
    assert len(kept_files) == 4
    receipt = json.loads(target.read_text())
    assert receipt == json.loads(result.stdout)
    assert receipt["records"] == {
        "owners": 1,
        "threads": 2,
        "items": 4,
        "attachments": 2,
        "feedback": 2,
        "shares": 2,
        "turns": 2,
        "turn_events": 2,
        "tool_calls": 2,
        "spending": 1,
    }
    assert receipt["files"] == {"count": 2, "bytes": 2 * 1000 * len(f"bytes with {GONE}\n")}
    assert (receipt["chatkeep"], receipt["database"]) == (__version__, "sqlite")
    assert receipt["complete"] is receipt["scrubbed"] is True
    assert receipt["sha256"] == digest_of(receipt)
    assert receipt["sha256"] != digest_of(receipt | {"user": "bea"})
    assert GONE not in target.read_text()


def test_a_whole_tenant(data: Path) -> None:
    """All its users go, and no other tenant's, also where names are alike."""
    result = command("erase", "--tenant", "acme", "--yes")

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["records"]["owners"] == 2
    assert files_with(GONE, data) == []
    assert counts(data, "umbrella", "ann")["threads"] == 2
    assert len(files_with(KEPT, data / "files")) == 2


def test_it_asks_first(data: Path) -> None:
    """With the counts; whoever does not agree loses nothing."""
    result = command("erase", "--tenant", "acme", "--user", "ann", answer="n\n")

    assert result.exit_code == 1
    assert "4 items" in result.stderr
    assert "owners" not in result.stderr
    assert result.stdout == ""
    assert counts(data, "acme", "ann")["items"] == 4
    whole = command("erase", "--tenant", "acme", answer="y\n")
    assert whole.exit_code == 0, whole.output
    assert "8 items" in whole.stderr
    assert "2 owners" in whole.stderr
    assert not counts(data, "acme", "ann")["items"]


def test_again_after_an_interruption(data: Path) -> None:
    """What a run that was broken off has left goes with the next one, files without records too."""

    async def break_off() -> None:
        store = open_store(default_url(data), data_dir=data)
        await store.open()
        await store.erase("acme", "ann")
        await store.aclose()

    asyncio.run(break_off())
    assert files_with(GONE, data / "files") != []

    first = command("erase", "--tenant", "acme", "--user", "ann", "--yes")
    second = command("erase", "--tenant", "acme", "--user", "ann", "--yes")

    assert first.exit_code == second.exit_code == 0
    assert files_with(GONE, data) == []
    assert json.loads(first.stdout)["files"]["count"] == 2
    receipt = json.loads(second.stdout)
    assert not any(receipt["records"].values())
    assert receipt["files"] == {"count": 0, "bytes": 0}


@pytest.mark.parametrize("user", [None, "ann"])
def test_a_legal_hold(data: Path, user: str | None) -> None:
    """Nothing goes, one line says why, and after the hold it does."""
    whose = ["--tenant", "acme", *(["--user", user] if user else [])]
    assert command("hold", "add", *whose, "--reason", "case 7").exit_code == 0

    listed = command("hold", "list").stdout
    assert f"{datetime.now(UTC):%Y-}" in listed
    assert "tenant 'acme'  case 7" in listed
    assert ("user 'ann'" in listed) == bool(user)
    for arguments in (["--user", "ann"], []):
        line = said(command("erase", "--tenant", "acme", *arguments, "--yes"))
        assert line.startswith("Nothing was erased: there is a legal hold on")
        assert "chatkeep hold list" in line
    assert counts(data, "acme", "ann")["items"] == 4
    others = command("erase", "--tenant", "umbrella", "--yes", "--no-scrub")
    assert others.exit_code == 0, others.output
    assert json.loads(others.stdout)["scrubbed"] is False

    assert command("hold", "remove", *whose).exit_code == 0
    assert "no hold on" in command("hold", "remove", *whose).stderr
    assert command("hold", "list").stdout == "There are no holds.\n"
    assert command("erase", "--tenant", "acme", "--yes").exit_code == 0
    assert not counts(data, "acme", "ann")["items"]


def test_what_is_refused(data: Path, tmp_path: Path) -> None:
    """A receipt over another one or nowhere, no name, and a database that is not there."""
    (tmp_path / "old.json").write_text("{}")
    whose = ("erase", "--tenant", "acme", "--user", "ann", "--yes")
    assert "exists" in command(*whose, "--receipt", str(tmp_path / "old.json")).stderr
    assert "cannot be written" in command(*whose, "--receipt", str(tmp_path / "no" / "r")).stderr
    assert command("erase", "--tenant", "acme", "--user", "", "--yes").exit_code == 2
    assert counts(data, "acme", "ann")["items"] == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "old.json"]


def test_a_database_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt name is told, and makes no new file."""
    monkeypatch.setenv("CHATKEEP_DATA_DIR", str(tmp_path / "misspelt"))

    assert "is not there" in said(command("erase", "--tenant", "acme", "--yes"))
    assert not (tmp_path / "misspelt").exists()


async def test_while_the_server_runs(
    server: LiveServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user is erased under the server, which goes on with the others, and with that user."""
    gone, kept = connect(server), connect(server)
    await gone.say(f"please keep {GONE}")
    answer = await kept.say(f"please keep {KEPT}")
    data = server.chatkeep.settings.data_dir
    users = await server.chatkeep.store.load_users(None, None, 10)
    threads = [
        await server.chatkeep.store.load_threads(9, None, "asc", RequestContext(user, ""))
        for user in users
    ]
    principal = next(
        user
        for user, page in zip(users, threads, strict=True)
        if page.data[0].id != answer.thread_id
    )
    monkeypatch.setenv("CHATKEEP_DATA_DIR", str(data))
    whose = ("--tenant", principal.tenant, "--user", principal.user)

    result = await asyncio.to_thread(command, "erase", *whose, "--yes")

    assert result.exit_code == 0, result.output
    assert files_with(GONE, data) == []
    assert (await gone.call("threads.list"))["data"] == []
    assert (await kept.say("two", answer.thread_id)).error is None
    assert len(await kept.texts(answer.thread_id)) == 4
    await gone.say("a new start")


async def dump(postgres: PostgresServer, name: str) -> str:
    """Return every row of every table of a database, as text."""
    connection = await postgres.connect(name)
    try:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = "
            "current_schema()::regnamespace"
        )
        assert len(tables) > len(TABLES)
        rows = [
            await connection.fetch(f"SELECT t::text AS row FROM {table['relname']} AS t")
            for table in tables
        ]
        return "\n".join(row["row"] for part in rows for row in part).lower()
    finally:
        await connection.close()


async def bucket(url: str) -> list[tuple[str, bytes]]:
    """Return everything in a bucket: whose it is, and its bytes."""
    storage = open_storage(url, data_dir=Path())
    found = []
    async for file in storage.list(""):
        place = read_key(file.key)
        assert place
        found.append((place.user, b"".join([chunk async for chunk in storage.read(file.key)])))
    return sorted(found)


@pytest_asyncio.fixture
async def cloud(
    postgres: PostgresServer, own_database: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """A PostgreSQL database and an S3 bucket with conversations of two users."""
    files = f"s3://test/{secrets.token_hex(4)}"
    monkeypatch.setenv("DATABASE_URL", postgres.url(own_database))
    monkeypatch.setenv("CHATKEEP_FILES_URL", files)
    store = open_store(postgres.url(own_database), data_dir=Path())
    await store.open()
    for context, word in ((ANN, GONE), (BEA, KEPT)):
        await plant(store, open_storage(files, data_dir=Path()), context, word, threads=2)
    await store.put_hold(Hold("umbrella", None, "another tenant", datetime.now(UTC)))
    await store.aclose()
    return {"database": own_database, "files": files}


@pytest.mark.usefixtures("credentials")
async def test_postgres_and_s3(cloud: dict[str, Any], postgres: PostgresServer) -> None:
    """No row and no object of the user is left; those of the other are the same as before."""
    before = await dump(postgres, cloud["database"])
    kept = [file for file in await bucket(cloud["files"]) if file[0] == "bea"]
    assert GONE in before
    assert len(kept) == 2

    result = await asyncio.to_thread(command, "erase", "--tenant", "acme", "--user", "ann", "--yes")

    assert result.exit_code == 0, result.output
    after = await dump(postgres, cloud["database"])
    assert GONE not in after
    assert after.count(KEPT) == before.count(KEPT)
    assert await bucket(cloud["files"]) == kept
    receipt = json.loads(result.stdout)
    assert receipt["database"] == "postgresql"
    assert (receipt["records"]["items"], receipt["files"]["count"]) == (4, 2)
