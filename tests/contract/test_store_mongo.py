"""MongoDB: the contract, and what it adds: transactions that meet, and what documents hold."""

import asyncio

import pytest
import pytest_asyncio
from pymongo.errors import OperationFailure

from chatkeep.errors import TooLargeError
from chatkeep.ports import Store
from chatkeep.ports.upkeep import TABLES as NAMES
from chatkeep.stores.mongo.commands import Commands
from chatkeep.stores.mongo.records import TABLES
from chatkeep.stores.mongo.statements import Key
from chatkeep.stores.mongo.store import MongoStore
from chatkeep.stores.sql.schema import metadata
from chatkeep.testing import StoreContract
from chatkeep.testing.store_pages import item_ids, thread_ids
from chatkeep.testing.store_samples import asking, file, message, question, thread
from support.mongo import MongoServer, OpenMongo

ANN = asking()
QUEUE = ("acme", "ann")


class TestMongoStore(StoreContract):
    """`mongodb://`.

    Each operation with others' ids is tried by the walk of `test_store_mongo_isolation.py`.
    """

    test_foreign_ids_are_unknown_ids = None  # type: ignore[assignment]
    test_the_same_ids_never_mix = None  # type: ignore[assignment]

    @pytest.fixture
    def store(self, mongo_store: Store) -> Store:
        """A store in an empty database."""
        return mongo_store

    @pytest_asyncio.fixture
    async def second_store(self, mongo: MongoServer, open_mongo: OpenMongo) -> Store:
        """Another one."""
        store: Store = await open_mongo(mongo.database())
        return store


async def test_racing_writers_of_two_instances_make_one_order(
    mongo: MongoServer, emptied_mongo: str, open_mongo: OpenMongo
) -> None:
    """Appends from two processes' stores at once: each once, no gap, each writer's in its order."""
    stores = [await open_mongo(emptied_mongo) for _ in range(2)]
    await stores[0].save_thread(thread(), ANN)

    async def append(writer: int) -> None:
        for n in range(20):
            await stores[writer % 2].add_thread_item("thr_1", message(f"{writer}-{n}"), ANN)

    await asyncio.gather(*[append(writer) for writer in range(10)])
    ids = await item_ids(stores[0], limit=70)
    assert len(ids) == len(set(ids)) == 200
    assert ids == (await item_ids(stores[1], "desc", limit=70))[::-1]
    for writer in range(10):
        own = [item_id for item_id in ids if item_id.startswith(f"{writer}-")]
        assert own == [f"{writer}-{n}" for n in range(20)]
    positions = mongo.client[emptied_mongo].items.distinct("seq")
    assert sorted(positions) == list(range(1, 201))


async def test_a_reader_never_sees_a_later_item_first(
    emptied_mongo: str, open_mongo: OpenMongo
) -> None:
    """Positions are committed in their order: who follows a thread by its cursor misses none."""
    writers = [await open_mongo(emptied_mongo) for _ in range(2)]
    reader = await open_mongo(emptied_mongo)
    await reader.save_thread(thread(), ANN)
    writes = asyncio.gather(
        *[writers[n % 2].add_thread_item("thr_1", message(f"msg_{n}"), ANN) for n in range(100)]
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
    assert len(seen) == 100


async def test_racing_first_threads_of_two_instances(
    emptied_mongo: str, open_mongo: OpenMongo
) -> None:
    """An owner's counter is made by whoever is first; a thread is created by one only."""
    stores = [await open_mongo(emptied_mongo) for _ in range(2)]
    outcomes = await asyncio.gather(
        *[
            store.create_thread(thread(f"thr_{n}"), question("msg_1", thread_id=f"thr_{n}"), ANN)
            for store in stores
            for n in range(5)
        ],
        return_exceptions=True,
    )
    assert [str(each) for each in outcomes].count("None") == 5
    assert sorted(await thread_ids(stores[0])) == [f"thr_{n}" for n in range(5)]


async def test_a_deletion_and_an_append_that_meet_leave_nothing_behind(
    mongo: MongoServer, emptied_mongo: str, open_mongo: OpenMongo
) -> None:
    """Whoever is first: no item outlives its thread."""
    stores = [await open_mongo(emptied_mongo) for _ in range(2)]
    for _ in range(10):
        await stores[0].save_thread(thread(), ANN)
        await asyncio.gather(
            stores[0].delete_thread("thr_1", ANN),
            *[stores[1].add_thread_item("thr_1", message(f"msg_{n}"), ANN) for n in range(3)],
            return_exceptions=True,
        )
        await stores[0].delete_thread("thr_1", ANN)
    assert mongo.client[emptied_mongo].items.count_documents({}) == 0


async def test_writers_of_different_threads_do_not_queue(mongo_store: MongoStore) -> None:
    """A transaction that takes its time holds up its own thread only; no queue is kept."""
    await mongo_store.save_thread(thread(), ANN)
    begun, end = asyncio.Event(), asyncio.Event()

    async def slowly(commands: Commands) -> None:
        del commands
        begun.set()
        await end.wait()

    slow = asyncio.create_task(mongo_store._db.write((*QUEUE, "thr_2"), slowly))
    await begun.wait()
    async with asyncio.timeout(30):
        await mongo_store.add_thread_item("thr_1", message("msg_1"), ANN)
    assert not slow.done()
    end.set()
    await slow
    assert len(mongo_store._db._queues) == 0


async def test_nul_is_stored_one_to_one(mongo_store: Store) -> None:
    """Titles, ids and users that differ only in NUL stay different, dots and dollars too."""
    ids = ["a", "a\0", "a\0\0", "\0", "$a", "a.b", "$where", "", "ä", "a\u0308"]
    for each in ids:
        await mongo_store.save_thread(thread(each, title=each), ANN)
        await mongo_store.add_thread_item(each, message(each), ANN)
        await mongo_store.save_attachment(file(each), asking(user=each))
    assert await thread_ids(mongo_store) == ids
    for each in ids:
        assert (await mongo_store.load_thread(each, ANN)).title == each
        assert (await mongo_store.load_item(each, each, ANN)).id == each
        assert (await mongo_store.load_attachment(each, asking(user=each))).id == each


async def test_what_no_document_holds_is_too_large(mongo_store: Store) -> None:
    """An item above MongoDB's 16 MB is refused, and nothing of it stored."""
    await mongo_store.save_thread(thread(), ANN)
    large = message("msg_1", "x" * (17 << 20))
    with pytest.raises(TooLargeError, match="16 MB"):
        await mongo_store.add_thread_item("thr_1", large, ANN)
    await mongo_store.add_thread_item("thr_1", message("msg_2", "x" * (15 << 20)), ANN)
    assert await item_ids(mongo_store) == ["msg_2"]


def test_records_have_the_fields_of_the_tables() -> None:
    """The same ones as in SQL, with the same keys: what one backend wrote the other can store."""
    assert list(TABLES) == list(NAMES)
    for name, table in TABLES.items():
        sql = metadata.tables[name]
        told = {column.name for column in sql.columns if not column.info.get("own")}
        assert set(table.fields) == told
        assert table.key == tuple(sql.primary_key.columns.keys())


async def test_searching_begins_anew_behind_copied_texts(
    mongo: MongoServer, emptied_mongo: str, mongo_store: Store
) -> None:
    """No two texts of a user have one place, whether they were written or copied."""
    for n in range(3):
        await mongo_store.create_thread(thread(f"thr_{n}"), question("msg_1"), ANN)
        await mongo_store.add_thread_item(f"thr_{n}", message("msg_2", "apple"), ANN)
    for table in ("threads", "items"):
        records = await mongo_store.read_records(table, None, 99)
        await mongo_store.write_records(table, records)
        new = [{**each, "id": f"{each['id']}_", "seq": 10 + n} for n, each in enumerate(records)]
        await mongo_store.write_records(table, new)
    await mongo_store.add_thread_item("thr_1", message("msg_3", "apple"), ANN)
    database = mongo.client[emptied_mongo]
    docs = [row["doc"] for name in ("threads", "items") for row in database[name].find()]
    assert len(docs) == len(set(docs)) == 6 + 13
    page = await mongo_store.search("apple", 9, None, ANN)
    assert page.data[0].item_id == "msg_3"


async def test_a_mistake_of_ours_passes(mongo_store: MongoStore) -> None:
    """It is not taken for a database that is gone, and ends its transaction."""

    async def wrong(commands: Commands) -> None:
        take = mongo_store._statements.take_places(Key("acme", "ann"), 1)
        await commands.take(take)
        await commands._database["threads"].update_one(
            {}, {"$nonsense": {"a": 1}}, session=commands._session
        )

    with pytest.raises(OperationFailure):
        await mongo_store._db.write(QUEUE, wrong)
    await mongo_store.save_thread(thread(), ANN)
