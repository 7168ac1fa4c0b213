"""The migrations lead to the schema, from anywhere, once."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import ExitStack, closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkeep.errors import SettingsError
from chatkeep.stores import open_store
from chatkeep.stores.sql import migrate
from chatkeep.stores.sql.schema import metadata
from chatkeep.stores.sql.sqlite import SqliteDatabase
from chatkeep.stores.sql.store import SqlStore
from chatkeep.testing.store_samples import asking, thread
from support.forks import Fork


def open_and_write(_: object, url: str, name: str) -> None:
    """Open a store and write a thread."""

    async def write() -> None:
        store = open_store(url, data_dir=Path())
        await store.open()
        await store.save_thread(thread(name), asking())
        await store.aclose()

    asyncio.run(write())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where there is no database yet."""
    return tmp_path / "chat.db"


@pytest_asyncio.fixture
async def engine(path: Path) -> AsyncIterator[AsyncEngine]:
    """An engine to migrate with, on an empty file."""
    engine = SqliteDatabase(path)._engine()
    yield engine
    await engine.dispose()


def str_values(options: dict[str, Any]) -> dict[str, str]:
    """Return options that can be compared: a condition is an object."""
    return {name: str(value) for name, value in options.items()}


def described(connection: Connection) -> dict[str, Any]:
    """Return all that SQLAlchemy can see of the tables."""
    inspector = inspect(connection)
    return {
        table: {
            "columns": [
                {**column, "type": str(column["type"])} for column in inspector.get_columns(table)
            ],
            "primary key": inspector.get_pk_constraint(table),
            "foreign keys": inspector.get_foreign_keys(table),
            "indexes": [
                {**index, "dialect_options": str_values(index.get("dialect_options", {}))}
                for index in inspector.get_indexes(table)
            ],
            "unique": inspector.get_unique_constraints(table),
        }
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


def differences(connection: Connection) -> list[Any]:
    """Return what Alembic would change; the index of words is none that it knows."""

    def include(_: object, name: str | None, *__: object) -> bool:
        return not (name or "").startswith("texts_index")

    context = MigrationContext.configure(connection, opts={"include_object": include})
    found: list[Any] = compare_metadata(context, metadata)
    return found


async def test_the_migrated_schema_is_the_schema(path: Path, engine: AsyncEngine) -> None:
    """Upgrading from nothing gives exactly what the code's tables would create."""
    await migrate.upgrade(engine)
    migrated, fresh = (
        create_engine(f"sqlite:///{file}") for file in (path, path.with_name("fresh.db"))
    )
    with fresh.begin() as created, migrated.connect() as upgraded:
        metadata.create_all(created)
        assert described(upgraded) == described(created)
        assert differences(upgraded) == []
    for each in (migrated, fresh):
        each.dispose()


def test_the_list_of_revisions_is_complete() -> None:
    """The list that start-up uses names the same migrations as the folder, in their order."""
    spec = find_spec("chatkeep.stores.migrations")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    scripts = ScriptDirectory(spec.submodule_search_locations[0])
    walked = [script.revision for script in scripts.walk_revisions()]
    assert walked[::-1] == list(migrate.REVISIONS)
    assert scripts.get_heads() == [migrate.HEAD]


async def test_an_upgrade_happens_once(engine: AsyncEngine) -> None:
    """An empty database needs everything; after that there is nothing left to do."""
    assert await migrate.current(engine) is None
    assert await migrate.pending(engine) == migrate.REVISIONS
    assert await migrate.upgrade(engine) == migrate.REVISIONS
    assert await migrate.current(engine) == migrate.HEAD
    assert await migrate.pending(engine) == ()
    assert await migrate.upgrade(engine) == ()


async def test_a_failed_upgrade_leaves_nothing(path: Path, engine: AsyncEngine) -> None:
    """A migration that fails at its end takes back its beginning."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE feedback (in_the_way)")
    with pytest.raises(OperationalError, match="already exists"):
        await migrate.upgrade(engine)
    async with engine.connect() as connection:
        tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert tables == ["feedback"]
    assert await migrate.current(engine) is None


async def test_a_newer_database_stops_the_start(path: Path, engine: AsyncEngine) -> None:
    """A revision that this version does not know is refused, and nothing is changed."""
    await migrate.upgrade(engine)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SettingsError, match="9999"):
        await SqlStore(SqliteDatabase(path)).open()
    assert await migrate.current(engine) == "9999"


def test_processes_that_start_at_once_do_not_collide(path: Path) -> None:
    """Three processes open the same missing file: all start, and all can write."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(Fork(open_and_write, f"sqlite:///{path}", f"thr_{n}"))
            for n in range(3)
        ]
        for process in processes:
            process.go()
        assert [process.hear() for process in processes] == [None] * 3
    with closing(sqlite3.connect(path)) as connection:
        ids = connection.execute("SELECT id FROM threads ORDER BY id").fetchall()
    assert ids == [("thr_0",), ("thr_1",), ("thr_2",)]


async def test_stores_that_open_at_once_do_not_collide(path: Path) -> None:
    """The same within one process, with more of them."""
    stores = [SqlStore(SqliteDatabase(path)) for _ in range(6)]
    await asyncio.gather(*[store.open() for store in stores])
    for store in stores:
        await store.ping()
        await store.aclose()
