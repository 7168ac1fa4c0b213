"""The migrations on PostgreSQL: the same ones, on demand, once, and by one process at a time."""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_migrations import described, differences

from chatkeep.cli.migrate import migrate as command
from chatkeep.errors import ChatkeepError, SettingsError, StoreUnavailableError
from chatkeep.postgres.url import read_url
from chatkeep.stores import apply_migrations, open_store, pending_migrations
from chatkeep.stores.sql import migrate
from chatkeep.stores.sql.postgres import PostgresDatabase
from chatkeep.stores.sql.schema import metadata
from support.forks import Fork
from support.postgres import PostgresServer
from support.waiting import until


def apply(_: object, url: str) -> list[str]:
    """Migrate; return what was applied."""
    return list(asyncio.run(apply_migrations(url, data_dir=Path())))


def every(word: str) -> str:
    """Return what the command prints of all migrations."""
    return "".join(f"{word} {revision}\n" for revision in migrate.REVISIONS)


async def seen(url: str, look: Any) -> Any:
    """Return what a look at a database through SQLAlchemy finds."""
    engine = PostgresDatabase(read_url(url))._engine()
    async with engine.connect() as connection:
        found = await connection.run_sync(look)
    await engine.dispose()
    return found


async def test_the_migrated_schema_is_the_schema(
    postgres: PostgresServer, own_database: str, empty_postgres: str
) -> None:
    """Upgrading from nothing gives exactly what the code's tables would create."""
    migrated, fresh = postgres.url(own_database), postgres.url(empty_postgres)
    engine = PostgresDatabase(read_url(fresh))._engine()
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()

    assert await seen(migrated, described) == await seen(fresh, described)
    assert await seen(migrated, differences) == []


async def test_opening_does_not_migrate(postgres: PostgresServer, empty_postgres: str) -> None:
    """An old schema stops the start with the command to run, and stays as it is."""
    url = postgres.url(empty_postgres)
    with pytest.raises(SettingsError, match="chatkeep migrate"):
        await open_store(url, data_dir=Path()).open()
    assert await pending_migrations(url, data_dir=Path()) == migrate.REVISIONS
    assert await apply_migrations(url, data_dir=Path()) == migrate.REVISIONS
    assert await apply_migrations(url, data_dir=Path()) == ()
    assert await pending_migrations(url, data_dir=Path()) == ()
    store = open_store(url, data_dir=Path())
    await store.open()
    await store.aclose()


async def test_a_newer_database_stops_the_start(
    postgres: PostgresServer, own_database: str
) -> None:
    """A revision that this version does not know is refused by opening and by migrating."""
    url = postgres.url(own_database)
    await postgres.execute("UPDATE alembic_version SET version_num='9999'", database=own_database)
    for call in (
        open_store(url, data_dir=Path()).open(),
        apply_migrations(url, data_dir=Path()),
        pending_migrations(url, data_dir=Path()),
    ):
        with pytest.raises(SettingsError, match="9999"):
            await call


async def test_a_failed_upgrade_leaves_nothing(
    postgres: PostgresServer, empty_postgres: str
) -> None:
    """A migration that fails at its end takes back its beginning."""
    await postgres.execute("CREATE TABLE feedback (in_the_way int)", database=empty_postgres)
    url = postgres.url(empty_postgres)
    with pytest.raises(Exception, match="already exists"):
        await apply_migrations(url, data_dir=Path())
    assert await pending_migrations(url, data_dir=Path()) == migrate.REVISIONS
    assert list(await seen(url, described)) == ["feedback"]


def test_processes_that_migrate_at_once_do_not_collide(
    postgres: PostgresServer, empty_postgres: str
) -> None:
    """Of two that start in the same moment one does everything, and the other finds it done."""
    with ExitStack() as stack:
        url = postgres.url(empty_postgres)
        processes = [stack.enter_context(Fork(apply, url)) for _ in range(2)]
        for process in processes:
            process.go()
        applied = [process.hear() for process in processes]
    assert sorted(applied) == [[], list(migrate.REVISIONS)]


async def test_a_migration_waits_for_another(postgres: PostgresServer, own_database: str) -> None:
    """While somebody else holds the lock, nothing is looked at."""
    url = postgres.url(own_database)
    other = await postgres.connect(own_database)
    key = int.from_bytes(b"chatkeep")
    await other.execute(f"SELECT pg_advisory_lock({key})")
    task = asyncio.create_task(apply_migrations(url, data_dir=Path()))
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    await until(lambda: other.fetchval(waiting))
    assert not task.done()
    await other.close()
    assert await task == ()


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Settings that the command reads."""
    monkeypatch.setenv("CHATKEEP_DATA_DIR", str(tmp_path / "data"))
    return monkeypatch


def run(*arguments: str) -> tuple[int, str]:
    """Return status and output of `chatkeep migrate`."""
    result = CliRunner().invoke(command, arguments)
    if isinstance(result.exception, ChatkeepError):
        raise result.exception
    return result.exit_code, result.output


def test_the_command_on_postgresql(
    postgres: PostgresServer, empty_postgres: str, settings: pytest.MonkeyPatch
) -> None:
    """`--check` exits with 1 as long as something is pending, and changes nothing."""
    settings.setenv("DATABASE_URL", postgres.url(empty_postgres))
    assert run("--check") == (1, every("pending"))
    assert run("--check") == (1, every("pending"))
    assert run() == (0, every("applied"))
    assert run() == (0, "The database is up to date.\n")
    assert run("--check") == (0, "The database is up to date.\n")


def test_the_command_on_sqlite(settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same on a file; `--check` does not create it."""
    del settings
    assert run("--check") == (1, every("pending"))
    assert not (tmp_path / "data").exists()
    assert run() == (0, every("applied"))
    assert run("--check") == (0, "The database is up to date.\n")


def test_the_command_in_memory(settings: pytest.MonkeyPatch) -> None:
    """What keeps nothing has nothing to migrate."""
    settings.setenv("DATABASE_URL", "memory://")
    assert run() == run("--check") == (0, "The database is up to date.\n")


def test_the_command_without_a_server(settings: pytest.MonkeyPatch) -> None:
    """It fails as a start does."""
    settings.setenv("DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/chat")
    with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:1/chat"):
        run("--check")
