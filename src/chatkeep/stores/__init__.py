"""Where conversations are kept. The backend is chosen by a URL; its driver is imported then."""

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from chatkeep.errors import SettingsError
from chatkeep.ports import Store

_FILE_NAME = "chatkeep.db"
_PLANNED = ("postgres", "postgresql", "mongodb")


def default_url(data_dir: Path) -> str:
    """Return the URL of the SQLite file that is used when nothing else is configured."""
    return f"sqlite:///{quote(str(data_dir.absolute() / _FILE_NAME))}"


def open_store(url: str, *, data_dir: Path) -> Store:
    """Return the store at a URL, not connected yet: `await store.open()`.

    Args:
        url: `sqlite:///relative.db` (to the working directory), `sqlite:////absolute.db` or
            `memory://`. A `+driver` is ignored. Empty: `default_url(data_dir)`.
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
    if backend in _PLANNED:
        raise SettingsError(
            f"Databases with {backend}:// URLs are not supported by this version. "
            "Use sqlite:/// or memory://"
        )
    raise SettingsError(f"No database is known by the scheme {backend}://. Use sqlite:///path.db")


def _memory() -> Store:
    from chatkeep.stores.memory import MemoryStore  # noqa: PLC0415 - only what is used is loaded

    return MemoryStore()


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
