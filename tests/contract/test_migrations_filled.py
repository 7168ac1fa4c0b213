"""A database of the first schema, with conversations in it, is one of today's after the upgrade."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from chatkit.types import ThreadItem
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from chatkeep.ports import EventRow, Store, TurnEnd, TurnState
from chatkeep.postgres.url import read_url
from chatkeep.stores import apply_migrations, open_store
from chatkeep.stores.encoding import encode_item
from chatkeep.stores.sql.postgres import PostgresDatabase
from chatkeep.stores.sql.sqlite import SqliteDatabase
from chatkeep.testing.store_samples import (
    MOMENT,
    asking,
    file,
    hidden,
    message,
    question,
    sign,
    thread,
    turn_order,
)
from support.postgres import PostgresServer

ANN = asking()
LATER = MOMENT + timedelta(days=1)

ASKED: list[ThreadItem] = [
    question("msg_1", text="Where is Köln?"),
    message("msg_2", "On the Rhine."),
    question("msg_3", text="How far?").model_copy(update={"created_at": LATER}),
    hidden("msg_4"),
]
MANY: list[ThreadItem] = [message(f"msg_{n}", f"filler {n}") for n in range(600)]
THREADS = [
    ("thr_quiet", "Only a title", []),
    ("thr_1", "About rivers", ASKED),
    ("thr_many", None, MANY),
]

UNREADABLE = '{"id": "?", "type": "from the future"}'


def upgrade(connection: Connection, revision: str) -> None:
    """Bring a database to a schema."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "chatkeep.stores:migrations")
    command.upgrade(config, revision)


def fill(connection: Connection) -> None:
    """Bring an empty database to the first schema, and write as the first release did."""
    upgrade(connection, "0001")
    own = {"tenant": "acme", "owner": "ann"}

    def insert(table: str, **values: Any) -> None:
        values = {**own, **values}
        names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)

    insert("owners", next_seq=len(THREADS) + 2)
    for seq, (thread_id, title, items) in enumerate(THREADS, start=1):
        body = thread(thread_id).model_dump_json(exclude={"title"})
        next_seq = len(items) + 1
        insert("threads", id=thread_id, seq=seq, next_seq=next_seq, title=title, body=body)
        for place, item in enumerate(items, start=1):
            record = encode_item(item)._asdict()
            insert("items", thread_id=thread_id, id=item.id, seq=place, **record)
    insert("threads", id="thr_odd", seq=4, next_seq=2, title="odd", body=UNREADABLE)
    insert(
        "items", thread_id="thr_odd", id="?", seq=1, type="user_message", hidden=False, body="{}"
    )
    insert("feedback", thread_id="thr_1", item_id="msg_2", kind="positive")
    insert("attachments", id="atc_1", thread_id=None, body=file().model_dump_json())


async def filled(engine: AsyncEngine) -> None:
    """Fill a database, and close it."""
    try:
        async with engine.begin() as connection:
            await connection.run_sync(fill)
    finally:
        await engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of the first schema with conversations."""
    if request.param == "sqlite":
        path = tmp_path / "chat.db"
        asyncio.run(filled(SqliteDatabase(path)._engine()))
        return f"sqlite:///{path}"
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.url(request.getfixturevalue("empty_postgres"))
    asyncio.run(filled(PostgresDatabase(read_url(url))._engine()))
    return url


async def found(store: Store, words: str) -> list[str]:
    """Return where words are found."""
    page = await store.search(words, 9, None, ANN)
    return [hit.item_id or hit.thread_id for hit in page.data]


async def test_conversations_of_the_first_schema_are_found(url: str) -> None:
    """They are as they were, read, listed by last message, and searched; nothing hidden is."""
    assert await apply_migrations(url, data_dir=Path()) == ("0002", "0003", "0004")
    store = open_store(url, data_dir=Path())
    await store.open()
    try:
        page = await store.load_thread_items("thr_1", None, 9, "asc", ANN)
        assert page.data == ASKED
        assert await store.load_feedback("thr_1", ANN) == {"msg_2": "positive"}
        assert await store.load_attachment("atc_1", ANN) == file()

        summaries = (await store.load_summaries(9, None, "desc", ANN)).data
        assert [(each.thread.id, each.preview) for each in summaries] == [
            ("thr_1", "How far?"),
            ("thr_many", "filler 599"),
            ("thr_quiet", None),
        ]
        assert not any(each.unread or each.archived for each in summaries)
        shown = MOMENT.replace(microsecond=123_000)
        active = [each.active_at for each in summaries]
        assert active == [shown + timedelta(days=1), shown, shown]

        assert await found(store, "koln") == ["msg_1"]
        assert await found(store, "rhine the on") == ["msg_2"]
        assert await found(store, "rivers") == ["thr_1"]
        assert await found(store, "filler 598") == ["msg_598"]
        assert await found(store, "hidden") == []

        await store.add_thread_item("thr_quiet", question("msg_1", thread_id="thr_quiet"), ANN)
        await store.begin_turn(turn_order(), ANN)
        newest = (await store.load_summaries(1, None, "desc", ANN)).data[0]
        assert newest.thread.id == "thr_quiet"
        expired = await store.expire_threads("acme", LATER, 9)
        assert [each.thread_id for each in expired] == ["thr_many"]
    finally:
        await store.aclose()


OLD_TURN = """INSERT INTO turns (tenant, owner, id, thread_id, state, request, digest, holder,
fence, lease_until, cancel_requested, touched, last_event, created_at)
VALUES ('acme', 'ann', :turn, :thread, 'running', '{}', 'd', 'old', 1, 1, false, false, 2, 1)"""
OLD_EVENT = """INSERT INTO turn_events (tenant, owner, turn_id, first, last, body)
VALUES ('acme', 'ann', :turn, 1, 2, 'x')"""


async def begin_as_before(engine: AsyncEngine, revision: str, turn: str, thread_id: str) -> None:
    """Store a turn with an event as a process of the second schema did."""

    def write(connection: Connection) -> None:
        upgrade(connection, revision)
        for statement in (OLD_TURN, OLD_EVENT):
            connection.execute(text(statement), {"turn": turn, "thread": thread_id})

    async with engine.begin() as connection:
        await connection.run_sync(write)
    await engine.dispose()


def engine_of(url: str) -> AsyncEngine:
    """Return an engine that may migrate."""
    if url.startswith("sqlite"):
        return SqliteDatabase(Path(url.removeprefix("sqlite:///")))._engine()
    return PostgresDatabase(read_url(url))._engine()


async def test_turns_of_the_second_schema_go_on(url: str) -> None:
    """Begun before the upgrade, or after it by a process of before: taken over, ended, pruned."""
    await begin_as_before(engine_of(url), "0002", "trn_1", "thr_1")
    assert await apply_migrations(url, data_dir=Path()) == ("0003", "0004")
    await begin_as_before(engine_of(url), "0004", "trn_2", "thr_many")
    store = open_store(url, data_dir=Path())
    await store.open()
    try:
        for _ in range(2):
            turn = await store.claim_turn("new", 3600)
            assert turn is not None
            assert (turn.fence, turn.last_event, turn.event_at, turn.doing) == (2, 2, None, None)
            assert await store.load_tool_calls(turn.id, ANN) == []
            sign_of_life = sign(turn.id, 2, ANN, rows=[EventRow(3, 3, "y")], doing="a tool")
            assert await store.keep_turns([sign_of_life]) == [turn.id]
            await store.end_turn(turn.id, 2, TurnEnd(TurnState.COMPLETED), ANN)
        assert await store.claim_turn("new", 9) is None
        assert await store.prune_turn_events(datetime(2100, 1, 1, tzinfo=UTC), 9) == 2
    finally:
        await store.aclose()
