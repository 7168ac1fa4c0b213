"""A URL chooses the store."""

import subprocess
import sys
from pathlib import Path

import pytest

from chatkeep.errors import SettingsError
from chatkeep.ports import Store
from chatkeep.postgres.url import PostgresUrl, read_url
from chatkeep.stores import default_url, open_store
from chatkeep.stores.mongo.store import MongoStore
from chatkeep.stores.mongo.url import read_url as read_mongo_url
from chatkeep.stores.sql.memory import MemoryDatabase
from chatkeep.stores.sql.store import SqlStore


def file_of(store: Store) -> Path:
    """Return the path of a SQLite store's file."""
    assert isinstance(store, SqlStore)
    path: Path = store._db._path  # type: ignore[attr-defined]
    return path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///chat.db", "{cwd}/chat.db"),
        ("sqlite:///data/chat.db", "{cwd}/data/chat.db"),
        ("sqlite:////srv/chat.db", "/srv/chat.db"),
        ("sqlite+aiosqlite:///chat.db", "{cwd}/chat.db"),
        ("SQLite:////srv/my%20data/100%25.db", "/srv/my data/100%.db"),
        ("  sqlite:////srv/chat.db\n", "/srv/chat.db"),
        ("", "{cwd}/home/chatkeep.db"),
    ],
)
def test_a_sqlite_url_names_a_file(
    url: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three slashes: relative to the working directory; four: absolute; empty: the default."""
    monkeypatch.chdir(tmp_path)
    store = open_store(url, data_dir=Path("home"))
    assert file_of(store) == Path(path.format(cwd=tmp_path))


@pytest.mark.parametrize("name", ["data", "my data", "50% off", "a#b?c", "Größe"])
def test_the_default_is_a_file_in_the_data_directory(tmp_path: Path, name: str) -> None:
    """Whatever the directory is called."""
    url = default_url(tmp_path / name)
    assert file_of(open_store(url, data_dir=Path())) == tmp_path / name / "chatkeep.db"


@pytest.mark.parametrize(
    ("url", "dsn", "place"),
    [
        ("postgres://db/chat", "postgresql://db/chat?", "db/chat"),
        ("postgresql+psycopg://u:p%40s@db:5/chat", "postgresql://u:p%40s@db:5/chat?", "db:5/chat"),
        ("postgresql://u@[::1]:5/c%23", "postgresql://u@[::1]:5/c%23?", "[::1]:5/c#"),
        ("postgresql://u@a:1,b/c", "postgresql://u@a:1/c? postgresql://u@b/c?", "a:1,b/c"),
        (
            "postgresql:///c?host=a,b&port=1,2",
            "postgresql:///c?host=a&port=1& postgresql:///c?host=b&port=2&",
            "a,b/c",
        ),
        ("postgresql:///c?host=/run/pg", "postgresql:///c?host=%2Frun%2Fpg&", "/run/pg/c"),
        ("postgresql://d/c?sslmode=require", "postgresql://d/c?sslmode=require&", "d/c"),
    ],
)
def test_a_postgresql_url_names_a_database(url: str, dsn: str, place: str) -> None:
    """Whatever the driver in its scheme; of each host a primary is wanted, unless it says else."""
    store = open_store(url, data_dir=Path())
    assert isinstance(store, SqlStore)
    read: PostgresUrl = store._db._url  # type: ignore[attr-defined]
    assert read.dsns == tuple(f"{each}target_session_attrs=read-write" for each in dsn.split())
    assert read.place == place
    assert "p%40s" not in repr(read)


def test_a_postgresql_url_sizes_the_pool() -> None:
    """Ten connections, and five seconds to make one, unless it says otherwise."""
    few = read_url("postgresql://db/chat?pool_size=3&connect_timeout=9")
    assert (few.pool_size, few.connect_timeout) == (3, 9)
    assert "pool_size" not in few.dsns[0]
    usual = read_url("postgresql://db/chat?target_session_attrs=any")
    assert (usual.pool_size, usual.connect_timeout) == (10, 5)
    assert usual.dsns[0].endswith("?target_session_attrs=any")


def test_a_pooler_chooses_the_server() -> None:
    """What it gives for one question need not be what the next one gets."""
    pooled = read_url("postgresql://pooler/chat?statement_cache_size=0")
    assert pooled.pooled
    assert pooled.dsns == ("postgresql://pooler/chat?target_session_attrs=any",)


def test_hosts_and_ports_must_match() -> None:
    """One port serves all hosts; else there is one for each."""
    assert len(read_url("postgresql:///c?host=a,b,c&port=5").dsns) == 3
    with pytest.raises(SettingsError, match="port"):
        read_url("postgresql:///c?host=a,b,c&port=5,6")


@pytest.mark.parametrize(
    ("url", "text", "place"),
    [
        ("mongodb://db/chat", "mongodb://db/chat", "db/chat"),
        ("MongoDB://u:p%40s@db:5/chat", "mongodb://u:p%40s@db:5/chat", "db:5/chat"),
        ("mongodb+asyncio://db/chat", "mongodb://db/chat", "db/chat"),
        ("mongodb://a:1,b:2/c?replicaSet=r", "mongodb://a:1,b:2/c?replicaSet=r", "a:1,b:2/c"),
        ("mongodb://u@[::1]:5/c", "mongodb://u@[::1]:5/c", "[::1]:5/c"),
        ("mongodb+srv://u:p@a.b.org/c?w=majority", "mongodb+srv://u:p@a.b.org/c?w=majority", None),
    ],
)
def test_a_mongodb_url_names_a_database(url: str, text: str, place: str | None) -> None:
    """Nothing is looked up, and nothing needs a loop, before the store is opened."""
    store = open_store(url, data_dir=Path())
    assert isinstance(store, MongoStore)
    read = store._db._url
    assert read.text == text
    assert read.place == (place or "a.b.org/c")
    assert "p%40s" not in repr(read)


def test_a_mongodb_url_limits_a_try() -> None:
    """Ten seconds, unless it says otherwise."""
    assert read_mongo_url("mongodb://db/chat").attempt == 10
    assert read_mongo_url("mongodb://db/chat?tls=true&timeoutMS=2500").attempt == 2.5


@pytest.mark.parametrize(
    ("module", "url", "extra"),
    [("asyncpg", "postgresql://db/chat", "postgres"), ("pymongo", "mongodb://db/chat", "mongodb")],
)
def test_a_missing_driver_is_one_clear_line(
    module: str, url: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to install."""
    monkeypatch.setattr("chatkeep.stores.find_spec", lambda name: None if name == module else name)
    with pytest.raises(SettingsError, match=rf"pip install 'chatkeep\[{extra}\]'"):
        open_store(url, data_dir=Path())


def test_memory_is_a_store() -> None:
    """`memory://` is the one that forgets."""
    store = open_store("memory://", data_dir=Path())
    assert isinstance(store, SqlStore)
    assert isinstance(store._db, MemoryDatabase)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://u:hunter2@db", "names one database"),
        ("postgresql://u:hunter2@db/", "names one database"),
        ("postgres://u:hunter2@db/chat/more", "names one database"),
        ("postgresql://u:hun@hunter2@db/chat", "cannot be read"),
        ("postgresql://u:hunter2#x@db/chat", "cannot be read"),
        ("postgresql://u:hunter2?x@db/chat", "cannot be read"),
        ("postgresql://u:hunter2/x@db/chat", "cannot be read"),
        ("postgresql://u:[hunter2@db/chat", "cannot be read"),
        ("postgresql://hunter2:x/chat", "cannot be read"),
        ("postgresql://u:p@db:99999/chat?x=hunter2", "cannot be read"),
        ("postgresql://u@db/chat?password=hunter2", "stands before the host"),
        ("postgresql://u:hunter2@db/chat?sslpassword=x", "stands before the host"),
        ("postgresql://u:p@db/chat?ssl=hunter2", "parameter ssl of the database URL is not known"),
        ("postgresql://u:p@db/chat?hun-ter2=1", "strange name"),
        ("postgresql://u:hunter2@db/chat?pool_size=0", "pool_size .* from 1 to 500"),
        ("postgresql://u:p@db/chat?connect_timeout=hunter2", "connect_timeout .* number"),
        ("postgresql://u:p@db/chat?statement_cache_size=hunter2", "statement_cache_size .* is 0"),
        ("postgresql://u:p@db/chat?hunter2", "cannot be read"),
        ("mongodb://u:hunter2@db", "names one database"),
        ("mongodb://u:hunter2@db/?tls=true", "names one database"),
        ("mongodb+srv://u:hunter2@db.example.org/", "names one database"),
        ("mongodb://u:hunter2@db/chat/more", "names one database"),
        ("mongodb://u:hunter2@db/chat.items", "names one database"),
        ("mongodb://u:hun@hunter2@db/chat", "cannot be read"),
        ("mongodb://u:hunter2#x@db/chat", "cannot be read"),
        ("mongodb://u:hunter2/x@db/chat", "cannot be read"),
        ("mongodb://u:[hunter2@db/chat", "cannot be read"),
        ("mongodb://hunter2:x/chat", "cannot be read"),
        ("mongodb://u:hunter2@db:99999/chat", "cannot be read"),
        ("mongodb:///hunter2", "cannot be read"),
        ("mongodb://u:hunter2@db/chat?tls", "cannot be read"),
        ("mongodb+srv://u:hunter2@a.example.org,b/chat", "one host, without a port"),
        ("mongodb+srv://u:hunter2@a.example.org:27017/chat", "one host, without a port"),
        ("mongodb://db/chat?color=hunter2", "parameter color of the database URL is not known"),
        ("mongodb://db/chat?hun-ter2=1", "strange name"),
        ("mongodb://db/chat?tls=hunter2", "parameter tls .* cannot be used"),
        ("mongodb://db/chat?tlsCAFile=/hunter2.pem", "parameter tlsCAFile"),
        ("mongodb://db/chat?w=1", "parameter w .* only be majority"),
        ("mongodb://db/chat?readPreference=nearest", "readPreference .* only be primary"),
        ("mongodb://db/chat?serverSelectionTimeoutMS=1", "no effect: use timeoutMS"),
        ("mongodb://db/chat?timeoutMS=0", "timeoutMS .* above 0"),
        ("mongodb://db/chat?srvMaxHosts=1", r"needs a mongodb\+srv:// URL"),
        ("mongodb://db/chat?tls=true&ssl=false", "do not go together"),
        ("mysql://u:hunter2@db/chat", "scheme mysql://"),
        ("chat.db", "no scheme"),
        ("hunter2", "no scheme"),
        ("sqlite:chat.db", "no scheme"),
        ("sqlite://chat.db", "three slashes"),
        ("sqlite://", "names a file"),
        ("sqlite:///", "names a file"),
        ("sqlite:///:memory:", "use memory://"),
        ("sqlite:///chat.db?mode=ro", "no parameters"),
    ],
)
def test_a_url_that_is_not_supported_is_one_clear_line(url: str, reason: str) -> None:
    """The message says what is wrong and never repeats a password."""
    with pytest.raises(SettingsError, match=reason) as caught:
        open_store(url, data_dir=Path())
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_driver_is_loaded_when_it_is_used() -> None:
    """The module itself needs no driver, and no store needs another's."""
    code = (
        "import sys\n"
        "drivers = {'sqlalchemy', 'aiosqlite', 'asyncpg', 'alembic', 'pymongo', 'bson'}\n"
        "before = drivers & set(sys.modules)\n"
        "import chatkeep\n"
        "from pathlib import Path\n"
        "from chatkeep.stores import open_store\n"
        "open_store('memory://', data_dir=Path())\n"
        "print(before | {'asyncpg', 'alembic', 'pymongo', 'bson'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
