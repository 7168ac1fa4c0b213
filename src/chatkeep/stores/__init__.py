"""Where conversations are kept. The backend is chosen by a URL; its driver is imported then."""

from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import quote, unquote, urlsplit

from chatkeep.errors import SettingsError
from chatkeep.ports import Store

_FILE_NAME = "chatkeep.db"


def default_url(data_dir: Path) -> str:
    """Return the URL of the SQLite file that is used when nothing else is configured."""
    return f"sqlite:///{quote(str(data_dir.absolute() / _FILE_NAME))}"


def open_store(url: str, *, data_dir: Path) -> Store:
    """Return the store at a URL, not connected yet: `await store.open()`.

    Args:
        url: `sqlite:///relative.db` (to the working directory), `sqlite:////absolute.db`,
            `postgresql://user:password@host/database`, `mongodb://user:password@host/database`,
            `mongodb+srv://…` or `memory://`. A `+driver` is ignored. Empty:
            `default_url(data_dir)`.
        data_dir: Where Chatkeep keeps its files.

    Raises:
        SettingsError: The URL does not name a database that this version supports. The message
            never shows more of it than the scheme: it may hold a password.
    """
    url = url.strip() or default_url(data_dir)
    scheme, separator, _ = url.partition("://")
    backend = scheme.lower().partition("+")[0]
    if not separator:
        raise SettingsError(
            "The database URL has no scheme. Examples: sqlite:///chatkeep.db, memory://"
        )
    if backend == "memory":
        return _memory()
    if backend == "sqlite":
        return _sqlite(url)
    if backend in {"postgresql", "postgres"}:
        return _postgres(f"postgresql{url[len(scheme) :]}")
    if backend == "mongodb":
        return _mongo(url)
    raise SettingsError(f"No database is known by the scheme {backend}://. Use sqlite:///path.db")


async def pending_migrations(url: str, *, data_dir: Path) -> tuple[str, ...]:
    """Return the migrations that the database at a URL needs; changes nothing.

    Raises:
        SettingsError: The URL cannot be used, or the database is newer than this version.
        StoreUnavailableError: The database cannot be reached.
    """
    store = _migrating(open_store(url, data_dir=data_dir))
    return await store.pending() if store else ()


async def apply_migrations(url: str, *, data_dir: Path) -> tuple[str, ...]:
    """Bring the database at a URL to the schema of this version; return what was applied.

    Raises:
        SettingsError: The URL cannot be used, or the database is newer than this version.
        StoreUnavailableError: The database cannot be reached.
    """
    store = _migrating(open_store(url, data_dir=data_dir))
    return await store.migrate() if store else ()


@runtime_checkable
class _Migrating(Protocol):
    """A store with a schema."""

    async def pending(self) -> tuple[str, ...]: ...

    async def migrate(self) -> tuple[str, ...]: ...


def _migrating(store: Store) -> _Migrating | None:
    return store if isinstance(store, _Migrating) else None


def _memory() -> Store:
    from chatkeep.stores.sql.memory import MemoryDatabase  # noqa: PLC0415 - loads the driver
    from chatkeep.stores.sql.store import SqlStore  # noqa: PLC0415

    return SqlStore(MemoryDatabase())


def _sqlite(url: str) -> Store:
    parts = urlsplit(url)
    path = unquote(parts.path.removeprefix("/"))
    if parts.netloc:
        raise SettingsError(
            "A SQLite URL has three slashes before a relative path and four before an absolute "
            "one: sqlite:///chatkeep.db, sqlite:////var/lib/chatkeep/chatkeep.db"
        )
    if parts.query or parts.fragment:
        raise SettingsError("A SQLite URL takes no parameters: sqlite:///path.db")
    if not path or path == ":memory:":
        raise SettingsError("A SQLite URL names a file. For a store in memory use memory://")
    from chatkeep.stores.sql.sqlite import SqliteDatabase  # noqa: PLC0415 - loads the driver
    from chatkeep.stores.sql.store import SqlStore  # noqa: PLC0415

    return SqlStore(SqliteDatabase(Path(path)))


def _postgres(url: str) -> Store:
    if find_spec("asyncpg") is None:
        raise SettingsError(
            "PostgreSQL needs a package that is not installed: pip install 'chatkeep[postgres]'"
        )
    from chatkeep.postgres.url import read_url  # noqa: PLC0415
    from chatkeep.stores.sql.postgres import PostgresDatabase  # noqa: PLC0415 - loads the driver
    from chatkeep.stores.sql.store import SqlStore  # noqa: PLC0415

    return SqlStore(PostgresDatabase(read_url(url)))


def _mongo(url: str) -> Store:
    if find_spec("pymongo") is None:
        raise SettingsError(
            "MongoDB needs a package that is not installed: pip install 'chatkeep[mongodb]'"
        )
    from chatkeep.stores.mongo.database import MongoDatabase  # noqa: PLC0415 - loads the driver
    from chatkeep.stores.mongo.store import MongoStore  # noqa: PLC0415
    from chatkeep.stores.mongo.url import read_url  # noqa: PLC0415

    return MongoStore(MongoDatabase(read_url(url)))
