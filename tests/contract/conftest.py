"""What the tests of the stores share."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from chatkeep.ports import Store
from chatkeep.stores import default_url, open_store
from chatkeep.stores.mongo import database as mongo_backend
from chatkeep.stores.mongo.schema import INDEXES
from support.mongo import NAMED, VARIABLE, MongoServer, OpenMongo, StandIn
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


@pytest.fixture(scope="session")
def mongo() -> Iterator[MongoServer]:
    """A MongoDB server for the session: the one that a variable names, or the stand-in."""
    stand_in = None
    if NAMED is None:
        if not StandIn.installed():
            missing = f"no MongoDB: set {VARIABLE}; there is no stand-in for this platform"
            if os.environ.get("CI"):
                pytest.fail(missing)
            pytest.skip(missing)
        stand_in = StandIn("--enable-test-commands")
        stand_in.start()
    server = MongoServer(stand_in.url if stand_in else str(NAMED))
    try:
        yield server
    finally:
        server.drop()
        if stand_in:
            stand_in.remove()


@pytest.fixture(scope="session")
def shared_mongo(mongo: MongoServer) -> str:
    """The name of a database that tests share, one after the other."""
    return mongo.database()


@pytest.fixture
def emptied_mongo(mongo: MongoServer, shared_mongo: str) -> str:
    """The name of the shared database, without documents: quicker than a new database."""
    for collection in INDEXES:
        mongo.client[shared_mongo][collection].delete_many({})
    return shared_mongo


@pytest_asyncio.fixture
async def open_mongo(
    mongo: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OpenMongo]:
    """Open stores on a database by its name; they are closed at the end.

    Their limits are far away: what a test shows must not depend on the machine's speed.
    """
    monkeypatch.setattr(mongo_backend, "_PATIENCE", 60.0)
    monkeypatch.setattr(mongo_backend.MongoDatabase, "deadline", 110.0)
    stores: list[Store] = []

    async def opened(name: str, address: str | None = None, **parameters: object) -> Store:
        limits = {"timeoutMS": 50_000, **parameters}
        stores.append(open_store(mongo.url(name, address, **limits), data_dir=Path()))
        await stores[-1].open()
        return stores[-1]

    yield opened
    for store in stores:
        await store.aclose()


@pytest_asyncio.fixture
async def mongo_store(emptied_mongo: str, open_mongo: OpenMongo) -> Store:
    """A MongoDB store without documents."""
    store: Store = await open_mongo(emptied_mongo)
    return store
