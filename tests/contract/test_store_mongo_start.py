"""When a store on MongoDB opens, and what is said when it does not."""

import asyncio
import logging
from pathlib import Path

import pytest

from chatkeep.errors import ChatkeepError, SettingsError, StoreUnavailableError
from chatkeep.stores import open_store
from chatkeep.stores.mongo import schema
from chatkeep.testing.store_samples import asking, message, thread
from support.mongo import MongoServer, OpenMongo, StandIn

ANN = asking()


async def test_no_text_is_logged(
    emptied_mongo: str, open_mongo: OpenMongo, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the level: the driver would log what it sends."""
    with caplog.at_level(logging.DEBUG):
        store = await open_mongo(emptied_mongo)
        await store.save_thread(thread(title="hunter2"), ANN)
        await store.add_thread_item("thr_1", message("msg_1", "hunter2"), ANN)
        await store.load_thread_items("thr_1", None, 9, "asc", ANN)
    assert "hunter2" not in caplog.text


async def test_a_closed_store_is_unavailable(
    mongo: MongoServer, emptied_mongo: str, open_mongo: OpenMongo
) -> None:
    """Before it is opened and after it was closed a store says so."""
    store = await open_mongo(emptied_mongo)
    await store.open()
    await store.save_thread(thread(), ANN)
    await store.aclose()
    await store.aclose()
    for each in (store, open_store(mongo.url(emptied_mongo), data_dir=Path())):
        with pytest.raises(StoreUnavailableError, match="not open"):
            await each.ping()
        with pytest.raises(StoreUnavailableError, match="not open"):
            await each.save_thread(thread(), ANN)


async def test_a_start_makes_what_is_missing(mongo: MongoServer, open_mongo: OpenMongo) -> None:
    """Several that start at once make the same indexes; users' lead with tenant and owner."""
    name = mongo.database()
    await asyncio.gather(*[open_mongo(name) for _ in range(3)])
    client = mongo.client
    for collection, indexes in schema.INDEXES.items():
        made = client[name][collection].index_information()
        across = [index.document["name"] for index in schema.ACROSS.get(collection, [])]
        assert len(made) == len(indexes) + len(across) + 1
        for index, about in made.items():
            lead = [key for key, _ in about["key"]][:2]
            assert index in ("_id_", *across) or lead == ["tenant", "owner"]
    assert client[name]["schema"].find_one() == {"_id": "chatkeep", "version": schema.VERSION}


async def test_a_newer_schema_stops_the_start(mongo: MongoServer) -> None:
    """An older version leaves it alone."""
    name = mongo.database()
    client = mongo.client
    client[name]["schema"].insert_one({"_id": "chatkeep", "version": schema.VERSION + 1})
    with pytest.raises(SettingsError, match="newer version of Chatkeep"):
        await open_store(mongo.url(name), data_dir=Path()).open()
    assert client[name].list_collection_names() == ["schema"]


async def test_a_standalone_server_stops_the_start() -> None:
    """It has no transactions; one line says what to do."""
    if not StandIn.installed():
        pytest.skip("no server of our own to start without a replica set")
    server = StandIn("--standalone")
    server.start()
    try:
        with pytest.raises(SettingsError, match="standalone; Chatkeep needs a replica set"):
            await open_store(f"{server.url}chat", data_dir=Path()).open()
    finally:
        server.remove()


@pytest.mark.parametrize(
    ("address", "limit", "kind", "line"),
    [
        (None, 50_000, SettingsError, "refused the user or the password"),
        ("127.0.0.1:1", 500, StoreUnavailableError, "cannot be reached"),
        ("no.invalid:1", 2_000, StoreUnavailableError, "host is not known"),
    ],
)
async def test_a_wrong_url_is_one_clear_line(
    mongo: MongoServer,
    address: str | None,
    limit: int,
    kind: type[ChatkeepError],
    line: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The message says where and what, and neither it nor the log has the password."""
    address = address or ":".join(map(str, mongo.address()))
    url = f"mongodb://ann:hunter2@{address}/chat?timeoutMS={limit}"
    with caplog.at_level(logging.DEBUG), pytest.raises(kind, match=line) as caught:
        await open_store(url, data_dir=Path()).open()
    assert f"{address}/chat" in str(caught.value)
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}{caplog.text}"
    assert "\n" not in str(caught.value)
