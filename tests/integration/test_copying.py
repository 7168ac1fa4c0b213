"""`chatkeep copy`: from any database to any other one, broken off, gone on with, compared."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from chatkeep.errors import CopyError
from chatkeep.files import open_storage
from chatkeep.files.keys import Place, new_key
from chatkeep.ports import Record, Store
from chatkeep.ports.upkeep import KEYS, TABLES
from chatkeep.stores import open_store
from chatkeep.testing import store_samples as samples
from chatkeep.testing.store_samples import asking
from chatkeep.upkeep.copy_state import CopyState
from chatkeep.upkeep.copying import compare, copy_records, is_empty, tally_of
from support.canary import plant
from support.command import command, said
from support.forks import Fork
from support.postgres import PostgresServer
from support.waiting import until

WORD = "copied"
LOOSE = 450
"""Attachments that belong to no thread: more than two batches."""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A SQLite file with all that there can be: every kind of item, of users of two tenants."""
    monkeypatch.setenv("CHATKEEP_DATA_DIR", str(tmp_path / "data"))
    url = f"sqlite:///{tmp_path}/source.db"

    async def fill() -> None:
        store = open_store(url, data_dir=tmp_path)
        storage = open_storage(f"file://{tmp_path}/source", data_dir=tmp_path)
        await store.open()
        for context in (asking(), asking("bea"), asking("Ärger"), asking("ann", "Umbrella")):
            await plant(store, storage, context, WORD, threads=2)
        for thread in samples.every_thread():
            await store.save_thread(thread, asking("ann"))
            for item in samples.every_item(thread.id):
                await store.save_item(thread.id, item, asking("ann"))
        await store.write_records(
            "holds", [{"tenant": "acme", "owner": "", "reason": "case 7", "created_at": 7}]
        )
        loose = [await first(store, "attachments") | {"thread_id": None}]
        zoe = loose[0] | {"tenant": "acme", "owner": "zoe"}
        loose = [zoe | {"id": f"atc_{n:05}"} for n in range(LOOSE)]
        await store.write_records("attachments", loose)
        await store.aclose()

    asyncio.run(fill())
    return url


async def first(store: Store, table: str) -> Record:
    """Return the first record of a table."""
    return (await store.read_records(table, None, 1))[0]


async def contents(url: str) -> dict[str, list[Record]]:
    """Return all records of a database, in one order for all kinds of them."""
    store = open_store(url, data_dir=Path())
    await store.open()
    try:
        tables = {table: list(await store.read_records(table, None, 10_000)) for table in TABLES}
    finally:
        await store.aclose()
    return {
        table: sorted(records, key=lambda record, keys=KEYS[table]: [record[k] for k in keys])  # type: ignore[misc]
        for table, records in tables.items()
    }


async def change(url: str, work: Callable[[Store], Any]) -> None:
    """Do something with a store."""
    store = open_store(url, data_dir=Path())
    await store.open()
    try:
        await work(store)
    finally:
        await store.aclose()


def test_there_and_back(
    source: str, tmp_path: Path, own_database: str, postgres: PostgresServer
) -> None:
    """SQLite → PostgreSQL → SQLite: each record is the same, and it can be searched."""
    middle, end = postgres.url(own_database), f"sqlite:///{tmp_path}/end.db"

    there = command("copy", source, middle)
    back = command("copy", middle, end)

    assert there.exit_code == back.exit_code == 0, there.output + back.output
    expected = asyncio.run(contents(source))
    assert all(expected.values())
    assert asyncio.run(contents(middle)) == expected
    assert asyncio.run(contents(end)) == expected
    total = sum(map(len, expected.values()))
    assert there.stdout.startswith(f"{total:,} records, the same in both: sha256 ")
    assert there.stdout == back.stdout
    assert f"copied {LOOSE + 8} attachments" in there.stderr
    assert not list((tmp_path / "data" / "copies").iterdir())

    async def search(store: Store) -> None:
        found = await store.search(WORD, 100, None, asking())
        assert len(found.data) == 6

    asyncio.run(change(middle, search))
    asyncio.run(change(end, search))


async def test_from_memory(tmp_path: Path) -> None:
    """A store in memory is copied like any other; nothing is left out when batches end."""
    ours = open_store("memory://", data_dir=tmp_path)
    theirs = open_store(f"sqlite:///{tmp_path}/target.db", data_dir=tmp_path)
    await ours.open()
    await theirs.open()
    await plant(ours, open_storage("memory://", data_dir=tmp_path), asking(), WORD)
    full = await first(ours, "attachments") | {"thread_id": None}
    await ours.write_records("attachments", [full | {"id": f"{n}"} for n in range(399)])
    assert await is_empty(theirs)

    await copy_records(ours, theirs, CopyState.begin(tmp_path / "states", ("a", "b")), silent)

    for table in TABLES:
        assert await tally_of(ours, table, silent) == await tally_of(theirs, table, silent)
    assert (await tally_of(theirs, "attachments", silent)).count == 400
    assert not await is_empty(theirs)
    await ours.aclose()
    await theirs.aclose()


def silent(_: str, __: int) -> None:
    """Report nothing."""


def test_a_target_with_other_data(source: str, tmp_path: Path) -> None:
    """Is refused, and stays as it is; so does one to which the copy is complete."""
    target = f"sqlite:///{tmp_path}/target.db"
    storage = open_storage("memory://", data_dir=tmp_path)
    asyncio.run(change(target, lambda store: plant(store, storage, asking(), "other")))
    before = asyncio.run(contents(target))

    assert "is not empty" in said(command("copy", source, target))
    assert asyncio.run(contents(target)) == before

    fresh = f"sqlite:///{tmp_path}/fresh.db"
    assert command("copy", source, fresh).exit_code == 0
    assert "is not empty" in said(command("copy", source, fresh))


def run_copy(say: Callable[[object], None], *arguments: str) -> None:
    """Copy, in a process of its own, which does not know the environment of the test."""
    del say
    command("copy", *arguments)


async def test_killed_and_gone_on_with(
    source: str, tmp_path: Path, own_database: str, postgres: PostgresServer
) -> None:
    """After `kill -9` in the middle of a table the same command does the rest."""
    target = postgres.url(own_database)
    config = tmp_path / "here.toml"
    config.write_text(f'data_dir = "{tmp_path}/data"')
    states = tmp_path / "data" / "copies"
    blocking = await postgres.connect(own_database)
    # A row of the second batch that nobody has committed: the copy waits for it.
    transaction = blocking.transaction()
    await transaction.start()
    await blocking.execute(
        "INSERT INTO attachments (tenant, owner, id, body) VALUES ('acme', 'zoe', 'atc_00300', '')"
    )

    def half() -> bool:
        assert fork.process.is_alive()
        return any('"attachments": {"after": {' in f.read_text() for f in states.glob("*.json"))

    with Fork(run_copy, source, target, "--config", str(config)) as fork:
        fork.go()
        await until(half)
        fork.process.kill()
        await asyncio.to_thread(fork.process.join)
    await transaction.rollback()
    await blocking.close()
    assert len(await attachments(postgres, own_database)) == 200

    done = await asyncio.to_thread(command, "copy", source, target)

    assert done.exit_code == 0, done.output
    assert "going on behind" in done.stderr
    assert f"copied {LOOSE + 8 - 200} attachments" in done.stderr
    assert await contents(target) == await contents(source)
    assert not list(states.iterdir())


async def attachments(postgres: PostgresServer, name: str) -> list[Any]:
    """Return the rows of the attachments, once nobody writes any more."""
    connection = await postgres.connect(name)
    try:
        busy = "SELECT 1 FROM pg_stat_activity WHERE datname = $1 AND application_name = 'chatkeep'"

        async def quiet() -> bool:
            return not await connection.fetch(busy, name)

        await until(quiet)
        return list(await connection.fetch("SELECT id FROM attachments"))
    finally:
        await connection.close()


def test_a_target_that_was_made_anew(source: str, tmp_path: Path) -> None:
    """What is known of an earlier target does not hold for an empty one."""
    target = tmp_path / "target.db"
    places = (source, f"sqlite:///{target}")
    state = CopyState.begin(tmp_path / "data" / "copies", places)
    state.finish("owners")

    done = command("copy", *places)

    assert done.exit_code == 0, done.output
    assert "going on" not in done.stderr


async def opened(*urls: str) -> AsyncIterator[Store]:
    """Open stores; the caller closes them."""
    for url in urls:
        store = open_store(url, data_dir=Path())
        await store.open()
        yield store


async def test_what_changed_meanwhile_is_noticed(source: str, tmp_path: Path) -> None:
    """A record that was changed, added or removed behind the copy: a line names its table."""
    target = f"sqlite:///{tmp_path}/target.db"
    ours, theirs = [store async for store in opened(source, target)]
    state = CopyState.begin(tmp_path / "states", (source, target))
    await copy_records(ours, theirs, state, silent)
    await compare(ours, theirs, silent)

    thread = await first(ours, "threads")
    await ours.write_records("threads", [thread | {"title": "changed"}])
    with pytest.raises(CopyError, match=r"threads \(11 in both, but not the same\)\. Something"):
        await compare(ours, theirs, silent)
    state.restart()
    await copy_records(ours, theirs, state, silent)
    await compare(ours, theirs, silent)

    await theirs.delete_hold("acme", None)
    with pytest.raises(CopyError, match=r"holds \(1 in the source, 0 in the target\)"):
        await compare(ours, theirs, silent)
    await ours.aclose()
    await theirs.aclose()


async def test_a_thread_begun_meanwhile_is_noticed(source: str, tmp_path: Path) -> None:
    """Items of a thread that came behind the copy of the threads do not end in a traceback."""
    target = f"sqlite:///{tmp_path}/target.db"
    ours, theirs = [store async for store in opened(source, target)]
    state = CopyState.begin(tmp_path / "states", (source, target))
    storage = open_storage("memory://", data_dir=tmp_path)
    await copy_records(ours, theirs, state, silent)
    state.table("items").done = False
    await plant(ours, storage, asking(tenant="zzz"), WORD)

    with pytest.raises(CopyError, match="Records of items do not fit"):
        await copy_records(ours, theirs, state, silent)

    await copy_records(ours, theirs, state, silent)
    await compare(ours, theirs, silent)
    await ours.aclose()
    await theirs.aclose()


def test_files_go_along(source: str, tmp_path: Path) -> None:
    """Every file of Chatkeep's, and no other; the second storage is compared with the first."""
    (tmp_path / "source" / "note.txt").write_text("not ours")
    target = f"sqlite:///{tmp_path}/target.db"
    files = (f"file://{tmp_path}/source", f"file://{tmp_path}/files")

    done = command("copy", source, target, "--files", *files)

    assert done.exit_code == 0, done.output
    assert done.stdout.endswith("\n8 files, the same in both\n")
    assert "copied 8 files" in done.stderr
    assert ours_of(tmp_path / "files") == ours_of(tmp_path / "source")
    assert not (tmp_path / "files" / "note.txt").exists()


def ours_of(directory: Path) -> dict[str, bytes]:
    """Return the files of a directory that Chatkeep made."""
    found = {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*/*/*/*")}
    return {name: data for name, data in found.items() if "-/" in name}


def test_files_that_are_there_already(source: str, tmp_path: Path) -> None:
    """Those of a copy that was broken off are not copied again; others are noticed."""
    target = f"sqlite:///{tmp_path}/target.db"
    files = (f"file://{tmp_path}/source", f"file://{tmp_path}/files")
    other = tmp_path / "files" / new_key(Place("acme", "ann", f"atc_{secrets.token_hex(18)}"))
    other.parent.mkdir(parents=True)
    other.write_bytes(b"other")
    assert "is not empty" in said(command("copy", source, target, "--files", *files))
    # The same with a copy that was begun: it goes on, and finds the file that has no source.
    CopyState.begin(tmp_path / "data" / "copies", (source, target, *files)).save()
    key, data = next(iter(ours_of(tmp_path / "source").items()))
    (tmp_path / "files" / key).parent.mkdir(parents=True)
    (tmp_path / "files" / key).write_bytes(bytes(len(data)))

    line = said(command("copy", source, target, "--files", *files))

    assert "8 files in the source, 9 in the target" in line
    other.unlink()
    assert command("copy", source, target, "--files", *files).exit_code == 0
    assert ours_of(tmp_path / "files") == ours_of(tmp_path / "source")


def test_what_is_refused(tmp_path: Path, source: str) -> None:
    """Too few URLs, the same one twice, a source that is not there; and no password is shown."""
    url = "postgresql://ann:geheim@127.0.0.1:1/x"
    results = [
        command("copy", url),
        command("copy", url, url, url),
        command("copy", url, url),
        command("copy", url, source),
        command("copy", f"sqlite:///{tmp_path}/missing.db", f"sqlite:///{tmp_path}/new.db"),
    ]

    assert all(result.exit_code for result in results)
    assert not any("geheim" in result.output + str(result.exception) for result in results)
    assert "missing.db is not there" in said(results[-1])
    assert not (tmp_path / "missing.db").exists()
    assert not (tmp_path / "new.db").exists()
