"""What SQLite adds to the contract: durability, many writers, failures, plans, permissions."""

import asyncio
import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from chatkeep.errors import NotFoundError, SettingsError, StoreUnavailableError
from chatkeep.ports import Store
from chatkeep.stores import open_store
from chatkeep.stores.sql.database import Fault
from chatkeep.stores.sql.sqlite import SqliteDatabase
from chatkeep.stores.sql.store import SqlStore
from chatkeep.testing.store_pages import item_ids
from chatkeep.testing.store_samples import asking, file, message, thread
from chatkeep.testing.store_tenancy import everything, furnish
from support.forks import Fork

OpenSqlite = Callable[[Path], Awaitable[Store]]

ANN = asking()


def write_on(say: Callable[[str], None], url: str) -> None:
    """Write one item after the other, and say so after each."""

    async def write() -> None:
        store = open_store(url, data_dir=Path())
        await store.open()
        await store.save_thread(thread(), ANN)
        number = len((await store.load_thread_items("thr_1", None, 10**6, "asc", ANN)).data)
        while True:
            await store.add_thread_item("thr_1", message(f"msg_{number}", "x" * 2000), ANN)
            say(f"msg_{number}")
            number += 1

    asyncio.run(write())


def open_as_nobody(_: object, url: str) -> str:
    """Open a store without the rights of root, which no permission stops; return the refusal."""
    if os.getuid() == 0:
        os.setuid(65534)
    with pytest.raises(SettingsError) as refused:
        asyncio.run(open_store(url, data_dir=Path()).open())
    return str(refused.value)


async def test_scrubbing_leaves_nothing_of_what_was_erased(
    sqlite_store: Store, database: Path
) -> None:
    """Neither in the database nor in its log, also of the words to find it by."""

    def left(text: str) -> list[str]:
        files = [file for file in database.parent.glob(f"{database.name}*") if file.is_file()]
        return [file.name for file in files if text.encode() in file.read_bytes()]

    await sqlite_store.save_thread(thread(title="kept"), asking("bob"))
    await sqlite_store.save_thread(thread(title="unmistakable"), ANN)
    for n in range(50):
        await sqlite_store.add_thread_item("thr_1", message(f"{n}", f"unmistakable {n}"), ANN)
    assert left("unmistakable")
    await sqlite_store.erase("acme", "ann")
    await sqlite_store.scrub()
    assert left("unmistakable") == []
    assert left("kept") == [database.name]
    assert (await sqlite_store.load_thread("thr_1", asking("bob"))).title == "kept"


def locked(path: Path) -> sqlite3.Connection:
    """Return a connection of somebody else that holds the write lock."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def overwrite(path: Path) -> None:
    """Damage everything behind the first page."""
    size = path.stat().st_size
    with path.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xaa" * (size - 4096))


def insert_row(path: Path, table: str, **values: object) -> None:
    """Insert a row of Ann's behind the store's back."""
    row = {"tenant": "acme", "owner": "ann", **values}
    marks = ", ".join("?" * len(row))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values())
        )


def write_until_killed(path: Path, count: int) -> list[str]:
    """Kill a writer after this many acknowledged items; return all that it acknowledged."""
    with Fork(write_on, f"sqlite:///{path}").go() as writer:
        said = [writer.hear() for _ in range(count)]
        writer.process.kill()
        with suppress(EOFError, ConnectionError):
            while True:
                said.append(writer.hear())
        return said


async def test_a_killed_writer_loses_nothing_it_acknowledged(
    database: Path, open_sqlite: OpenSqlite
) -> None:
    """After `kill -9` in the middle of writes every acknowledged item is there, in order."""
    acknowledged: list[str] = []
    for count in (40, 61):
        acknowledged += await asyncio.to_thread(write_until_killed, database, count)
    kept = await item_ids(await open_sqlite(database), limit=1000)
    assert len(acknowledged) >= 99
    # A run may have committed one item more, killed before it could say so: then the next run
    # went on behind it.
    assert set(kept) >= set(acknowledged)
    assert len(kept) <= len(acknowledged) + 2
    assert kept == [f"msg_{n}" for n in range(len(kept))]


async def test_reopening_keeps_everything(database: Path, open_sqlite: OpenSqlite) -> None:
    """What one process stored, the next one reads."""
    first = await open_sqlite(database)
    await furnish(first, ANN, "ann")
    before = await everything(first, ANN)
    await first.aclose()
    assert await everything(await open_sqlite(database), ANN) == before


async def test_many_writers_of_one_file_never_see_a_lock(
    database: Path, open_sqlite: OpenSqlite
) -> None:
    """Twenty writers in two stores on one file, fifty appends each: no error, no gap."""
    stores = [await open_sqlite(database), await open_sqlite(database)]
    await stores[0].save_thread(thread(), ANN)

    async def append(writer: int) -> None:
        for n in range(50):
            await stores[writer % 2].add_thread_item("thr_1", message(f"{writer}-{n}"), ANN)

    await asyncio.gather(*[append(writer) for writer in range(20)])
    ids = await item_ids(stores[0], limit=300)
    assert len(ids) == len(set(ids)) == 1000
    for writer in range(20):
        own = [item_id for item_id in ids if item_id.startswith(f"{writer}-")]
        assert own == [f"{writer}-{n}" for n in range(50)]


async def test_commits_are_synced_and_foreign_keys_enforced(sqlite_store: SqlStore) -> None:
    """The writing connection has the settings that the promises rest on."""
    found = {}
    for pragma in ("journal_mode", "synchronous", "foreign_keys"):

        async def ask(connection: Any, pragma: str = pragma) -> object:
            return connection.raw.execute(f"PRAGMA {pragma}").fetchone()[0]

        found[pragma] = await sqlite_store._db.write(ask)
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


async def test_a_lock_that_stays_is_unavailable(database: Path) -> None:
    """Writes give up after the timeout and store nothing; reads go on; later writes succeed."""
    store = SqlStore(SqliteDatabase(database, busy_timeout=0.01))
    await store.open()
    await store.save_thread(thread(), ANN)
    with closing(locked(database)):
        with pytest.raises(StoreUnavailableError) as caught:
            await store.add_thread_item("thr_1", message("msg_1"), ANN)
        assert "locked" in str(caught.value.__cause__)
        assert await item_ids(store) == []
    await store.add_thread_item("thr_1", message("msg_2"), ANN)
    assert await item_ids(store) == ["msg_2"]
    await store.aclose()


async def test_a_lock_that_goes_is_waited_for(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock held longer than SQLite waits by itself, but not much, delays the write only."""
    store = SqlStore(SqliteDatabase(database, busy_timeout=0.05))
    await store.open()
    await store.save_thread(thread(), ANN)
    other = locked(database)
    found_locked: list[Fault] = []

    recognise = store._db.fault

    def unlock(error: Exception) -> Fault:
        found_locked.append(recognise(error))
        if len(found_locked) == 2:
            other.close()
        return found_locked[-1]

    monkeypatch.setattr(store._db, "fault", unlock)
    await store.add_thread_item("thr_1", message("msg_1"), ANN)
    assert found_locked == [Fault.BUSY] * 2
    assert await item_ids(store) == ["msg_1"]
    await store.aclose()


async def test_a_full_disk_is_unavailable(sqlite_store: SqlStore) -> None:
    """Nothing of the write is kept, nothing of its text is in the error, and it recovers."""
    await sqlite_store.save_thread(thread(), ANN)
    big = message("msg_1", "secret" * 200_000)

    async def allow(pages: int) -> None:
        async def limit(connection: Any) -> None:
            connection.raw.execute(f"PRAGMA max_page_count={pages}")

        await sqlite_store._db.write(limit)

    await allow(40)
    with pytest.raises(StoreUnavailableError) as caught:
        await sqlite_store.add_thread_item("thr_1", big, ANN)
    assert "full" in str(caught.value.__cause__)
    assert "secret" not in str(caught.value.__cause__)
    assert await item_ids(sqlite_store) == []
    await allow(100_000)
    await sqlite_store.add_thread_item("thr_1", big, ANN)
    assert await item_ids(sqlite_store) == ["msg_1"]


async def test_a_damaged_file_is_unavailable(database: Path, open_sqlite: OpenSqlite) -> None:
    """Pages that are not SQLite's end in our error, not in the driver's."""
    store = await open_sqlite(database)
    await store.save_thread(thread(), ANN)
    for n in range(50):
        await store.add_thread_item("thr_1", message(f"msg_{n}", "x" * 4000), ANN)
    await store.aclose()
    overwrite(database)
    damaged = SqlStore(SqliteDatabase(database))
    with pytest.raises(StoreUnavailableError, match=r"chatkeep\.db"):
        await damaged.open()
    await damaged.aclose()


async def test_a_closed_store_is_unavailable(database: Path, open_sqlite: OpenSqlite) -> None:
    """Before it is opened and after it was closed a store says so."""
    unopened = SqlStore(SqliteDatabase(database))
    closed = await open_sqlite(database)
    await closed.aclose()
    for store in (unopened, closed):
        with pytest.raises(StoreUnavailableError, match="not open"):
            await store.ping()
        with pytest.raises(StoreUnavailableError, match="not open"):
            await store.save_thread(thread(), ANN)


async def test_closing_waits_for_what_is_under_way(database: Path, open_sqlite: OpenSqlite) -> None:
    """A write whose caller has gone is finished before the connections are closed."""
    store = await open_sqlite(database)
    write = asyncio.create_task(store.save_thread(thread(), ANN))
    await asyncio.sleep(0)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    await store.aclose()
    assert await (await open_sqlite(database)).load_thread("thr_1", ANN) == thread()


async def test_files_are_private(tmp_path: Path, open_sqlite: OpenSqlite) -> None:
    """The directory is 0700, the database and its side files are 0600."""
    path = tmp_path / "new" / "data" / "chat.db"
    store = await open_sqlite(path)
    await store.save_thread(thread(), ANN)
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in os.scandir(path.parent)}
    assert modes == {"chat.db": 0o600, "chat.db-wal": 0o600, "chat.db-shm": 0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_a_place_that_cannot_be_created_stops_the_start(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "taken").touch()
    unusable = (tmp_path / "taken" / "chat.db", Path("/proc/none/chat.db"), tmp_path)
    for path in unusable:
        with pytest.raises(SettingsError, match=str(path)):
            await SqlStore(SqliteDatabase(path)).open()


async def test_a_file_of_another_kind_stops_the_start(tmp_path: Path) -> None:
    """The message names the file, which stays as it was."""
    path = tmp_path / "notes.txt"
    path.write_text("Buy milk. " * 500)
    with pytest.raises(SettingsError, match=r"notes\.txt is not a SQLite database"):
        await SqlStore(SqliteDatabase(path)).open()
    assert path.read_text() == "Buy milk. " * 500


@pytest.mark.parametrize("what", ["directory", "file"])
def test_a_read_only_place_stops_the_start(tmp_path: Path, database: Path, what: str) -> None:
    """A file that may be read but not written, or not its directory: the message names it."""
    directory = tmp_path / "kept"
    directory.mkdir()
    path = database.rename(directory / "chat.db")
    path.chmod(0o666 if what == "directory" else 0o444)
    directory.chmod(0o555 if what == "directory" else 0o777)
    for parent in list(directory.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    with Fork(open_as_nobody, f"sqlite:///{path}").go() as process:
        refusal = process.hear()
    assert str(path) in refusal
    assert "written" in refusal


async def test_rows_of_a_newer_version_are_left_out(
    sqlite_store: Store, database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An unreadable item is missing from its page, with a warning that quotes nothing."""
    await sqlite_store.save_thread(thread(), ANN)
    common = {"thread_id": "thr_1", "hidden": False}
    unknown = '{"type": "hologram", "id": "secret-1", "text": "secret-2"}'
    insert_row(database, "items", **common, id="secret-1", seq=50, type="hologram", body=unknown)
    insert_row(database, "items", **common, id="w", seq=51, type="widget", body='{"widget": 1}')
    insert_row(database, "threads", id="t", seq=50, next_seq=1, body='{"status": "asleep"}')
    insert_row(database, "attachments", id="a", body='{"type": "smell"}')
    await sqlite_store.add_thread_item("thr_1", message("msg_1"), ANN)
    with caplog.at_level(logging.WARNING):
        page = await sqlite_store.load_thread_items("thr_1", None, 9, "asc", ANN)
        threads = await sqlite_store.load_threads(9, None, "asc", ANN)
    assert page.data == [message("msg_1")]
    assert threads.data == [thread()]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert "hologram" in caplog.text
    assert "secret" not in caplog.text
    for call in (
        sqlite_store.load_item("thr_1", "secret-1", ANN),
        sqlite_store.load_thread("t", ANN),
        sqlite_store.load_attachment("a", ANN),
    ):
        with pytest.raises(NotFoundError):
            await call


@pytest.mark.parametrize("body", ["{cut", "[]", "7", '{"widget": {"type": []}}', ""])
async def test_a_broken_widget_leaves_its_thread_readable(
    sqlite_store: Store, database: Path, body: str
) -> None:
    """Also one that is no JSON, or not an object: somebody has written it by hand."""
    await sqlite_store.save_thread(thread(), ANN)
    common = {"thread_id": "thr_1", "hidden": False}
    insert_row(database, "items", **common, id="w", seq=51, type="widget", body=body)
    await sqlite_store.add_thread_item("thr_1", message("msg_1"), ANN)
    page = await sqlite_store.load_thread_items("thr_1", None, 9, "asc", ANN)
    assert page.data == [message("msg_1")]


async def test_a_page_of_unreadable_rows_still_has_a_cursor(
    sqlite_store: Store, database: Path
) -> None:
    """Left-out rows do not hide what is behind them."""
    await sqlite_store.save_thread(thread(), ANN)
    for n in range(3):
        insert_row(
            database,
            "items",
            thread_id="thr_1",
            id=f"new_{n}",
            seq=50 - n,
            type="x",
            hidden=False,
            body="{}",
        )
    await sqlite_store.add_thread_item("thr_1", message("msg_1"), ANN)
    page = await sqlite_store.load_thread_items("thr_1", None, 3, "desc", ANN)
    assert page.data == []
    assert page.after is not None
    page = await sqlite_store.load_thread_items("thr_1", page.after, 3, "desc", ANN)
    assert page.data == [message("msg_1")]


async def test_opening_again_is_quick_and_loads_no_migrations(database: Path) -> None:
    """Alembic is not even imported when the schema is the right one."""
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from chatkeep.stores import open_store\n"
        "store = open_store(sys.argv[1], data_dir=Path())\n"
        "asyncio.run(store.open())\n"
        "print('alembic' in sys.modules)"
    )
    result = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code, f"sqlite:///{database}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "False"


async def test_an_unbound_attachment_outlives_a_thread_that_never_was(
    sqlite_store: Store,
) -> None:
    """A record may name a thread before that is stored; deleting no thread deletes nothing."""
    await sqlite_store.save_attachment(file(thread_id="thr_9"), ANN)
    await sqlite_store.delete_thread("thr_9", ANN)
    assert await sqlite_store.load_attachment("atc_1", ANN) == file(thread_id="thr_9")
