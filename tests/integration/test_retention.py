"""Conversations that are too old go with their files, whoever looks; nothing else does."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from chatkeep.files import open_storage
from chatkeep.files.sweeping import Sweeper
from chatkeep.ports import FileStorage, Hold, Store, TurnEnd, TurnState
from chatkeep.stores import default_url, open_store
from chatkeep.testing.store_samples import asking, file
from chatkeep.upkeep.retention import Ages, Retention
from support.canary import files_with, plant
from support.live import Connect, StartServer
from support.waiting import until

NOW = datetime.now(UTC)
ANN, BEA, EVE = asking("ann"), asking("bea"), asking("eve", "umbrella")


class Parts(NamedTuple):
    """A store and the files beside it."""

    store: Store
    storage: FileStorage
    data: Path


@pytest_asyncio.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    """A SQLite file and a directory."""
    store = open_store(default_url(tmp_path), data_dir=tmp_path)
    await store.open()
    yield Parts(store, open_storage(None, data_dir=tmp_path), tmp_path)
    await store.aclose()


async def write_at(store: Store, moment: datetime, *thread_ids: str) -> None:
    """Let the users have written in their threads at a moment, and not later."""
    records = await store.read_records("threads", None, 100)
    at = round(moment.timestamp() * 1000)
    changed = [record | {"active_at": at} for record in records if record["id"] in thread_ids]
    assert len(changed) == len(thread_ids)
    await store.write_records("threads", changed)


async def threads(store: Store) -> set[str]:
    """Return the ids of all threads."""
    return {str(record["id"]) for record in await store.read_records("threads", None, 100)}


@pytest.mark.parametrize(
    ("ages", "days"),
    [
        (Ages(), None),
        (Ages(30), 30),
        (Ages(30, {"acme": 7}), 7),
        (Ages(30, {"acme": 0}), None),
        (Ages(None, {"other": 7}), None),
    ],
)
def test_how_long(ages: Ages, days: int | None) -> None:
    """The tenant's own days count, where there are some; 0 and nothing are for ever."""
    assert ages.of("acme") == (None if days is None else timedelta(days=days))


async def test_old_conversations_go(parts: Parts) -> None:
    """With their files, by each tenant's days and to the millisecond; held ones stay."""
    store, storage, data = parts
    old, new = await plant(store, storage, ANN, "oldword", 2)
    (held,) = await plant(store, storage, BEA, "heldword")
    short, kept = await plant(store, storage, EVE, "eveword", 2)
    await write_at(store, NOW - timedelta(days=30, milliseconds=1), old, held)
    await write_at(store, NOW - timedelta(days=30) + timedelta(milliseconds=1), new)
    await write_at(store, NOW - timedelta(days=8), short)
    await write_at(store, NOW - timedelta(days=6), kept)
    await store.put_hold(Hold("acme", "bea", "case 7", NOW))

    assert await Retention(store, storage, Ages()).expire(NOW) == 0
    assert await Retention(store, storage, Ages(30, {"umbrella": 7})).expire(NOW) == 2

    assert await threads(store) == {new, held, kept}
    assert len(files_with("oldword", data / "files")) == 1
    assert len(files_with("heldword", data / "files")) == 1
    assert len(files_with("eveword", data / "files")) == 1


async def test_several_instances_at_once(parts: Parts) -> None:
    """Both end without an error, and each old conversation is gone, in more than one batch."""
    store, storage, data = parts
    ids = await plant(store, storage, ANN, "oldword", 70)
    await write_at(store, NOW - timedelta(days=2), *ids)
    other = open_store(default_url(data), data_dir=data)
    await other.open()

    done = await asyncio.gather(
        *(Retention(each, storage, Ages(1)).expire(NOW) for each in (store, other))
    )

    assert sum(done) >= 70
    assert await threads(store) == set()
    assert files_with("oldword", data / "files") == []
    await other.aclose()


async def test_events_of_ended_turns_go(parts: Parts) -> None:
    """After their time; those of a running turn stay however old they are."""
    store, storage, _ = parts
    ended, running = await plant(store, storage, ANN, "word", 2)
    turn = await store.load_thread_turn(ended, ANN)
    assert turn
    await store.end_turn(turn.id, turn.fence, TurnEnd(TurnState.COMPLETED), ANN)
    retention = Retention(store, storage, Ages())

    assert await retention.prune(NOW - timedelta(hours=1)) == 0
    assert await retention.prune(datetime.now(UTC) + timedelta(hours=1)) == 1

    assert await store.load_turn_events(turn.id, 0, 9, ANN) == []
    other = await store.load_thread_turn(running, ANN)
    assert other
    assert len(await store.load_turn_events(other.id, 0, 9, ANN)) == 1


async def test_records_of_uploads_that_never_came_go(parts: Parts) -> None:
    """After their time, more than one batch of them; held ones neither go nor end the sweep."""
    store, storage, data = parts
    await plant(store, storage, ANN, "sent")
    for context, count in ((ANN, 5), (BEA, 3)):
        for number in range(count):
            await store.save_attachment(file(f"atc_{number}"), context)
    loose = await store.read_records("attachments", None, 100)
    copies = [
        r | {"id": f"{r['id']}_{n}"} for r in loose if r["thread_id"] is None for n in range(60)
    ]
    await store.write_records("attachments", copies)
    await store.put_hold(Hold("acme", "bea", "case 7", NOW))
    sweeper = Sweeper(store, storage)

    assert await sweeper.sweep_records(NOW - timedelta(hours=1)) == 0
    assert await sweeper.sweep_records(datetime.now(UTC) + timedelta(hours=1)) == 5 * 61

    left = await store.read_records("attachments", None, 1000)
    assert {record["owner"] for record in left if record["thread_id"] is None} == {"bea"}
    assert len(left) == 1 + 3 * 61
    assert len(files_with("sent", data / "files")) == 1


async def test_a_hold_keeps_files_too(parts: Parts) -> None:
    """A sweep leaves what is held alone, and goes on behind it."""
    store, storage, data = parts
    await plant(store, storage, ANN, "annword")
    await plant(store, storage, BEA, "beaword")
    for context in (ANN, BEA):
        for record in await store.read_records("attachments", None, 9):
            if record["owner"] == context.principal.user:
                await store.delete_attachment(str(record["id"]), context)
    await store.put_hold(Hold("acme", "ann", "case 7", NOW))

    assert await Sweeper(store, storage).sweep(datetime.now(UTC) + timedelta(hours=1)) == 1

    assert len(files_with("annword", data / "files")) == 1
    assert files_with("beaword", data / "files") == []


async def test_the_server_does_it(
    start_server: StartServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its settings, in the background, and it ends with the server."""
    monkeypatch.setattr("chatkeep.upkeep.retention._FIRST", 0.05)
    monkeypatch.setattr("chatkeep.upkeep.retention._EVERY", 0.05)
    server = await start_server(retention__days=1)
    client = connect(server)
    old, new = await client.say("old"), await client.say("new")
    store = server.chatkeep.store
    await write_at(store, NOW - timedelta(days=2), old.thread_id)

    await until(lambda: gone(store, old.thread_id))

    assert await threads(store) == {new.thread_id}


async def gone(store: Store, thread_id: str) -> bool:
    """Say whether a thread is not there any more."""
    return thread_id not in await threads(store)
