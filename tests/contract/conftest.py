"""What the tests of the stores share."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from chatkeep.ports import Store
from chatkeep.stores import default_url, open_store
from support.postgres import EMPTY, OpenPostgres, PostgresServer

OpenSqlite = Callable[[Path], Awaitable[Store]]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema and no rows, to be copied: migrating takes a while."""
    directory = tmp_path_factory.mktemp("template")

    async def create() -> None:
        store = open_store(default_url(directory), data_dir=directory)
        await store.open()
        await store.aclose()

    asyncio.run(create())
    return directory / "chatkeep.db"


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> Path:
    """A SQLite file of the test's own, with the schema and no rows."""
    return Path(shutil.copy(empty_database, tmp_path / "chatkeep.db"))


@pytest_asyncio.fixture
async def open_sqlite() -> AsyncIterator[OpenSqlite]:
    """Opens stores on a file; they are closed at the end."""
    stores: list[Store] = []

    async def opened(path: Path) -> Store:
        stores.append(open_store(f"sqlite:///{path}", data_dir=path.parent))
        await stores[-1].open()
        return stores[-1]

    yield opened
    for store in stores:
        await store.aclose()


@pytest_asyncio.fixture
async def sqlite_store(database: Path, open_sqlite: OpenSqlite) -> Store:
    """A SQLite store on a file of its own."""
    return await open_sqlite(database)


@pytest_asyncio.fixture
async def open_postgres(postgres: PostgresServer) -> AsyncIterator[OpenPostgres]:
    """Open stores on a database by its name; they are closed at the end."""
    stores: list[Store] = []

    async def opened(name: str, **parameters: object) -> Store:
        stores.append(open_store(postgres.url(name, **parameters), data_dir=Path()))
        await stores[-1].open()
        return stores[-1]

    yield opened
    for store in stores:
        await store.aclose()


@pytest_asyncio.fixture
async def emptied(postgres: PostgresServer) -> str:
    """The name of the shared database, without rows: deleting is quicker than a new database."""
    await postgres.execute(EMPTY, database="shared")
    return "shared"


@pytest_asyncio.fixture
async def postgres_store(emptied: str, open_postgres: OpenPostgres) -> Store:
    """A PostgreSQL store without rows."""
    return await open_postgres(emptied)


@pytest_asyncio.fixture
async def memory_store() -> AsyncIterator[Store]:
    """A store in memory."""
    store = open_store("memory://", data_dir=Path())
    await store.open()
    yield store
    await store.aclose()
