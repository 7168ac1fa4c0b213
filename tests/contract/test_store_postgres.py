"""What PostgreSQL adds to the contract: many processes, failures, failover, limits."""

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from chatkeep.errors import ChatkeepError, SettingsError, StoreUnavailableError
from chatkeep.ports import Store
from chatkeep.stores import open_store
from chatkeep.stores.sql import postgres as backend
from chatkeep.stores.sql.store import SqlStore
from chatkeep.testing.store_pages import item_ids, thread_ids
from chatkeep.testing.store_samples import asking, message, question, thread
from support.lost_commits import lose_after_commit
from support.postgres import OpenPostgres, PostgresServer
from support.waiting import PATIENCE, until

ANN = asking()

FAIL = """
CREATE SEQUENCE tries;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- A sequence goes on also when its transaction is taken back.
  IF {when} THEN RAISE EXCEPTION 'injected' USING ERRCODE = '{code}'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER fail BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION fail();
"""


async def acknowledged(call: Awaitable[object]) -> bool:
    """Say whether a call was a success; the only other outcome is `StoreUnavailableError`."""
    try:
        await call
    except StoreUnavailableError:
        return False
    return True


async def test_a_reader_never_sees_a_later_item_first(
    emptied: str, open_postgres: OpenPostgres
) -> None:
    """Positions are committed in their order: who follows a thread by its cursor misses none."""
    writer, reader = await open_postgres(emptied), await open_postgres(emptied)
    await writer.save_thread(thread(), ANN)
    writes = asyncio.gather(
        *[writer.add_thread_item("thr_1", message(f"msg_{n}"), ANN) for n in range(200)]
    )
    seen: list[str] = []
    done = False
    while not done:
        done = writes.done()
        after = seen[-1] if seen else None
        page = await reader.load_thread_items("thr_1", after, 500, "asc", ANN)
        seen += [item.id for item in page.data]
    await writes
    assert seen == await item_ids(reader, limit=500)
    assert len(seen) == 200


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_restart_in_the_middle_of_writes_loses_nothing(
    postgres: PostgresServer, own_database: str, open_postgres: OpenPostgres, mode: str
) -> None:
    """Every acknowledged write is there, once; the store recovers by itself."""
    store = await open_postgres(own_database)
    await store.save_thread(thread(), ANN)
    kept: list[list[str]] = [[] for _ in range(8)]
    stop = False

    async def write(writer: int) -> None:
        n = 0
        while not stop:
            item_id = f"{writer}-{n}"
            if await acknowledged(store.add_thread_item("thr_1", message(item_id), ANN)):
                kept[writer].append(item_id)
            n += 1

    writers = [asyncio.create_task(write(writer)) for writer in range(8)]

    async def more() -> None:
        before = sum(map(len, kept))
        await until(lambda: sum(map(len, kept)) >= before + 20)

    for _ in range(3):
        await more()
        await asyncio.to_thread(postgres.restart, mode)
    await more()
    stop = True
    await asyncio.gather(*writers)
    ids = await item_ids(store, limit=1000)
    assert len(ids) == len(set(ids))
    for own in kept:
        assert [item_id for item_id in ids if item_id in set(own)] == own


async def test_a_short_restart_is_not_noticed(
    postgres: PostgresServer, own_database: str, open_postgres: OpenPostgres
) -> None:
    """Connections that died while nobody used them cost no caller an error."""
    store = await open_postgres(own_database)
    await asyncio.gather(*[store.save_thread(thread(f"thr_{n}"), ANN) for n in range(20)])
    await asyncio.to_thread(postgres.restart)
    await asyncio.gather(*[store.load_thread(f"thr_{n}", ANN) for n in range(20)])
    await asyncio.to_thread(postgres.restart)
    await store.save_thread(thread(title="new"), ANN)


async def test_a_server_that_is_gone_is_unavailable_until_it_is_back(
    postgres: PostgresServer, own_database: str, open_postgres: OpenPostgres
) -> None:
    """Reads, writes and pings fail within seconds, and succeed again without being reopened."""
    store = await open_postgres(own_database)
    await store.save_thread(thread(), ANN)
    await asyncio.to_thread(postgres.stop)
    try:
        start = time.monotonic()
        outcomes = await asyncio.gather(
            store.ping(),
            store.load_thread("thr_1", ANN),
            store.add_thread_item("thr_1", message("msg_1"), ANN),
            return_exceptions=True,
        )
        assert time.monotonic() - start < backend._DEADLINE
        assert [str(outcome) for outcome in outcomes] == [str(StoreUnavailableError())] * 3
    finally:
        await asyncio.to_thread(postgres.start)
    await store.ping()
    assert await item_ids(store) == []


@pytest.mark.parametrize("code", ["40001", "40P01"])
async def test_injected_conflicts_are_tried_again(
    postgres: PostgresServer, own_database: str, open_postgres: OpenPostgres, code: str
) -> None:
    """Every third insert fails with it: no caller sees an error, and nothing is there twice."""
    await postgres.execute(
        FAIL.format(when="nextval('tries') % 3 = 0", code=code), database=own_database
    )
    store = await open_postgres(own_database)
    await store.save_thread(thread(), ANN)
    ids = [f"msg_{n:02}" for n in range(40)]
    for item_id in ids:
        await store.add_thread_item("thr_1", message(item_id), ANN)
    assert await item_ids(store) == ids


async def test_a_real_deadlock_is_tried_again(
    own_database: str, open_postgres: OpenPostgres
) -> None:
    """Another program locks two threads the other way round: both come through."""
    store = await open_postgres(own_database)
    await store.save_thread(thread(), ANN)
    await store.save_thread(thread("thr_2"), ANN)
    db = store._db
    touch = "UPDATE threads SET title = 'x' WHERE id = '{}'"
    tries = 0
    both_hold_one = asyncio.Barrier(2)

    async def lock(connection: Any, first: str, second: str) -> None:
        nonlocal tries
        tries += 1
        meeting = tries <= 2
        await connection.raw.execute(touch.format(first))
        if meeting:
            await both_hold_one.wait()
        await connection.raw.execute(touch.format(second))

    async def work(connection: Any) -> None:
        await lock(connection, "thr_1", "thr_2")

    async def reverse(connection: Any) -> None:
        await lock(connection, "thr_2", "thr_1")

    await asyncio.gather(db.write(work), db.write(reverse))
    assert tries > 2


async def test_a_conflict_that_stays_is_unavailable(
    postgres: PostgresServer, own_database: str, open_postgres: OpenPostgres
) -> None:
    """The number of tries has a bound, and nothing is stored."""
    await postgres.execute(FAIL.format(when="true", code="40001"), database=own_database)
    store = await open_postgres(own_database)
    await store.save_thread(thread(), ANN)
    with pytest.raises(StoreUnavailableError):
        await store.add_thread_item("thr_1", message("msg_1"), ANN)
    assert await item_ids(store) == []


async def test_a_commit_of_unknown_outcome_is_not_done_twice(
    postgres_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is lost right behind each COMMIT: the new try finds what is there."""
    lost = lose_after_commit(postgres_store, monkeypatch)
    await postgres_store.create_thread(thread(), question("msg_1"), ANN)
    assert await postgres_store.title_thread("thr_1", "title", ANN)
    assert not await postgres_store.title_thread("thr_1", "other", ANN)
    await postgres_store.add_thread_item("thr_1", message("msg_2"), ANN)
    await postgres_store.add_feedback("thr_1", ["msg_1"], "positive", ANN)
    await postgres_store.delete_thread_items("thr_1", ["msg_1"], ANN)
    assert await item_ids(postgres_store) == ["msg_2"]
    assert await thread_ids(postgres_store) == ["thr_1"]
    assert len(lost) >= 6


async def test_a_failover_drops_the_pool(
    postgres: PostgresServer, own_database: str, open_postgres: OpenPostgres
) -> None:
    """Connections to what has become read-only (25006) are replaced, not kept."""
    store = await open_postgres(own_database)
    await store.save_thread(thread(), ANN)

    async def demote(connection: Any) -> None:
        await connection.raw.execute("SET default_transaction_read_only = on")

    await asyncio.gather(*[store._db.write(demote) for _ in range(3)])
    await store.add_thread_item("thr_1", message("msg_1"), ANN)
    # The old primary on its address: no connection to it is taken.
    await postgres.execute(f"ALTER DATABASE {own_database} SET default_transaction_read_only = on")
    await postgres.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{own_database}'"
    )
    tried = await asyncio.gather(
        acknowledged(store.add_thread_item("thr_1", message("msg_2"), ANN)),
        acknowledged(store.load_thread("thr_1", ANN)),
    )
    assert not any(tried)
    await postgres.execute(f"ALTER DATABASE {own_database} RESET default_transaction_read_only")
    await store.add_thread_item("thr_1", message("msg_3"), ANN)
    assert await item_ids(store) == ["msg_1", "msg_3"]


async def test_a_small_pool_serves_many_calls(
    postgres: PostgresServer, emptied: str, open_postgres: OpenPostgres
) -> None:
    """Two hundred calls at once on five connections: no error, and never more than five."""
    store = await open_postgres(emptied, pool_size=5)
    await store.save_thread(thread(), ANN)
    calls: list[Awaitable[Any]] = []
    for n in range(100):
        calls.append(store.add_thread_item("thr_1", message(f"msg_{n}"), ANN))
        calls.append(store.load_thread("thr_1", ANN))
    other = await postgres.connect()
    tasks = asyncio.gather(*calls)
    most, count = 0, "SELECT count(*) FROM pg_stat_activity WHERE datname = $1"
    while not tasks.done():
        most = max(most, await other.fetchval(count, emptied))
    await other.close()
    await tasks
    assert 1 <= most <= 5
    assert len(await item_ids(store)) == 100


async def test_a_lock_that_stays_is_unavailable(
    postgres: PostgresServer,
    own_database: str,
    open_postgres: OpenPostgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Writes give up after the limit and store nothing; reads and other threads go on."""
    monkeypatch.setattr(backend, "_LOCK_TIMEOUT", 1)
    store = await open_postgres(own_database)
    await store.save_thread(thread(), ANN)
    await store.save_thread(thread("thr_2"), ANN)
    other = await postgres.connect(own_database)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT * FROM threads WHERE id = 'thr_1' FOR UPDATE")
    with pytest.raises(StoreUnavailableError):
        await store.add_thread_item("thr_1", message("msg_1"), ANN)
    await store.add_thread_item("thr_2", message("msg_1", thread_id="thr_2"), ANN)
    assert await item_ids(store) == []
    await transaction.rollback()
    await other.close()
    await store.add_thread_item("thr_1", message("msg_2"), ANN)
    assert await item_ids(store) == ["msg_2"]


@pytest.mark.parametrize(
    ("whole", "deadline"), [(False, 60.0), (True, 2.0)], ids=["one session", "whole server"]
)
async def test_a_server_that_hangs_does_not_hold_callers(
    postgres: PostgresServer,
    own_database: str,
    open_postgres: OpenPostgres,
    monkeypatch: pytest.MonkeyPatch,
    whole: bool,
    deadline: float,
) -> None:
    """A session that answers nothing is replaced; if all hang, callers are told in time."""
    monkeypatch.setattr(backend, "_COMMAND_TIMEOUT", 0.5)
    monkeypatch.setattr(backend, "_CLOSE_TIMEOUT", 0.5)
    store = await open_postgres(own_database, pool_size=1, connect_timeout=60)
    await store.save_thread(thread(), ANN)
    monkeypatch.setattr(backend.PostgresDatabase, "deadline", deadline)
    other = await postgres.connect()
    session = await other.fetchval(
        "SELECT pid FROM pg_stat_activity WHERE datname = $1", own_database
    )
    await other.close()
    stopped = [session, *([postgres.pid] if whole else [])]
    for pid in stopped:
        postgres.signal(pid, signal.SIGSTOP)
    try:
        calls = [acknowledged(store.load_thread("thr_1", ANN)) for _ in range(3)]
        async with asyncio.timeout(PATIENCE):
            assert set(await asyncio.gather(*calls)) == {not whole}
    finally:
        for pid in stopped:
            postgres.signal(pid, signal.SIGCONT)
    monkeypatch.setattr(backend.PostgresDatabase, "deadline", PATIENCE)
    await store.add_thread_item("thr_1", message("msg_1"), ANN)


async def test_sessions_have_limits(postgres_store: SqlStore) -> None:
    """What the server ends by itself, and the clock and isolation of every session."""
    expected = {
        "statement_timeout": "10s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "15s",
        "TimeZone": "UTC",
        "transaction_isolation": "read committed",
        "application_name": "chatkeep",
    }

    async def ask(connection: Any) -> dict[str, str]:
        return {name: await connection.raw.fetchval(f"SHOW {name}") for name in expected}

    assert await postgres_store._db.write(ask) == expected


@pytest.mark.parametrize(
    ("login", "port", "database", "kind", "line"),
    [
        ("with_password:hunter2", None, "shared", SettingsError, "refused the user or the pass"),
        ("stranger:hunter2", None, "shared", SettingsError, "refused the user or the password"),
        ("postgres:hunter2", None, "nowhere", SettingsError, "has no such database"),
        ("postgres:hunter2", 1, "shared", StoreUnavailableError, "cannot be reached"),
    ],
)
async def test_a_wrong_url_is_one_clear_line(
    postgres: PostgresServer,
    login: str,
    port: int | None,
    database: str,
    kind: type[ChatkeepError],
    line: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The message says where and what, and neither it nor the log has the password."""
    await postgres.execute(
        "DROP ROLE IF EXISTS with_password; CREATE ROLE with_password LOGIN PASSWORD 'right'"
    )
    url = f"postgresql://{login}@127.0.0.1:{port or postgres.port}/{database}"
    with caplog.at_level(logging.DEBUG), pytest.raises(kind, match=line) as caught:
        await open_store(url, data_dir=Path()).open()
    assert f"127.0.0.1:{port or postgres.port}/{database}" in str(caught.value)
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}{caplog.text}"
    assert "\n" not in str(caught.value)


async def test_a_right_password_is_accepted(postgres: PostgresServer, own_database: str) -> None:
    """Also one that must be escaped; a user without rights is told which one."""
    await postgres.execute(
        "DROP ROLE IF EXISTS with_password; CREATE ROLE with_password LOGIN PASSWORD 'p@:/#?%'"
    )
    url = postgres.url(own_database, "with_password:p%40%3A%2F%23%3F%25")
    with pytest.raises(SettingsError, match="lacks a right: permission denied"):
        await open_store(url, data_dir=Path()).open()


async def test_an_unknown_host_is_one_clear_line() -> None:
    """The name is in it."""
    with pytest.raises(StoreUnavailableError, match=r"no\.invalid/chat .*host is not known"):
        await open_store("postgresql://u:p@no.invalid/chat", data_dir=Path()).open()


async def test_encryption_that_cannot_be_had_is_one_clear_line(postgres: PostgresServer) -> None:
    """Neither a server without TLS, nor a wrong mode or a missing file, is a traceback."""
    for parameters, line in (
        ({"sslmode": "require"}, "sslmode"),
        ({"sslmode": "maybe"}, "sslmode"),
        ({"sslmode": "verify-full", "sslrootcert": "/none.pem"}, "not there"),
    ):
        with pytest.raises(SettingsError, match=line):
            await open_store(postgres.url("shared", **parameters), data_dir=Path()).open()


async def test_a_database_of_another_encoding_stops_the_start(postgres: PostgresServer) -> None:
    """It could not keep every text."""
    await postgres.execute(
        "DROP DATABASE IF EXISTS latin",
        "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'",
    )
    with pytest.raises(SettingsError, match="encoding LATIN1"):
        await open_store(postgres.url("latin"), data_dir=Path()).open()


async def test_a_closed_store_is_unavailable(
    postgres: PostgresServer, emptied: str, open_postgres: OpenPostgres
) -> None:
    """Before it is opened and after it was closed a store says so, and holds no connection."""
    store = await open_postgres(emptied)
    await store.save_thread(thread(), ANN)
    await store.aclose()
    for each in (store, open_store(postgres.url(emptied), data_dir=Path())):
        with pytest.raises(StoreUnavailableError, match="not open"):
            await each.ping()


async def test_nul_is_stored_one_to_one(postgres_store: Store) -> None:
    """Titles and ids that differ only in NUL, or look like how it is stored, stay different."""
    ids = ["a", "a\0", "a\0\0", "a\x01", "a\x010", "a\x01\x01", "a\x01\x010", "\0"]
    for each in ids:
        await postgres_store.save_thread(thread(each, title=each), ANN)
        await postgres_store.add_thread_item(each, message(each), ANN)
    assert await thread_ids(postgres_store) == ids
    for each in ids:
        assert (await postgres_store.load_thread(each, ANN)).title == each
        assert (await postgres_store.load_item(each, each, ANN)).id == each
