"""MongoDB: the contract, and what it adds: transactions that meet, lost answers, the start."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from weakref import WeakSet

import pytest
import pytest_asyncio
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import AutoReconnect, OperationFailure

from chatkeep.errors import ChatkeepError, SettingsError, StoreUnavailableError, TooLargeError
from chatkeep.ports import Store
from chatkeep.stores import open_store
from chatkeep.stores.mongo import database as backend
from chatkeep.stores.mongo import schema
from chatkeep.stores.mongo.commands import Commands
from chatkeep.stores.mongo.statements import Key
from chatkeep.stores.mongo.store import MongoStore
from chatkeep.testing import StoreContract
from chatkeep.testing.store_pages import item_ids, thread_ids
from chatkeep.testing.store_samples import asking, file, message, question, thread
from support.mongo import MongoServer, OpenMongo, Relay, StandIn

ANN = asking()
QUEUE = ("acme", "ann")


class TestMongoStore(StoreContract):
    """`mongodb://`."""

    @pytest.fixture
    def store(self, mongo_store: Store) -> Store:
        """A store in an empty database."""
        return mongo_store


@pytest_asyncio.fixture
async def relay(mongo: MongoServer) -> AsyncIterator[Relay]:
    """A relay to the server."""
    async with Relay.to(*mongo.address()) as relay:
        yield relay


@pytest_asyncio.fixture
async def relayed(emptied_mongo: str, open_mongo: OpenMongo, relay: Relay) -> MongoStore:
    """A store without documents, behind the relay."""
    store: MongoStore = await open_mongo(emptied_mongo, relay.address)
    return store


@contextmanager
def hurried(store: MongoStore, limit: float = 0.5) -> Iterator[None]:
    """Give calls so many seconds, as long as they are expected to fail."""
    db = store._db
    usual = db._url
    db._url = replace(usual, attempt=limit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "_PATIENCE", limit)
        patch.setattr(backend, "_DOUBT", limit)
        yield
    db._url = usual


async def fails_with_doubt(store: MongoStore, call: Callable[[], Awaitable[object]]) -> None:
    """Check that a call whose answers get lost fails, and that its error tells the doubt."""
    for limit in (1, 5, 20):  # with less than it takes to send it there is no doubt
        with hurried(store, limit), pytest.raises(StoreUnavailableError) as caught:
            await call()
        if "may have been saved" in str(caught.value):
            return
    raise AssertionError(str(caught.value))


async def available(store: MongoStore) -> None:
    """Wait until the store answers."""
    async with asyncio.timeout(60):
        while not await acknowledged(store.ping()):
            await asyncio.sleep(0.1)


async def acknowledged(call: Awaitable[object]) -> bool:
    """Say whether a call was a success; the only other outcome is `StoreUnavailableError`."""
    try:
        await call
    except StoreUnavailableError:
        return False
    return True


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


@pytest.mark.parametrize(("every", "most"), [(2, 20), (1, 3)], ids=["now and then", "in a row"])
async def test_a_commit_whose_answer_is_lost_is_not_done_twice(
    relayed: MongoStore, relay: Relay, every: int, most: int
) -> None:
    """The connection breaks behind a COMMIT: it is asked for again, and its outcome is told."""
    relay.lose_answers("commitTransaction", every, most)
    await relayed.create_thread(thread(), question("msg_1"), ANN)
    assert await relayed.title_thread("thr_1", "title", ANN)
    assert not await relayed.title_thread("thr_1", "other", ANN)
    await relayed.add_thread_item("thr_1", message("msg_2"), ANN)
    await relayed.add_feedback("thr_1", ["msg_1"], "positive", ANN)
    await relayed.delete_thread_items("thr_1", ["msg_1"], ANN)
    assert await item_ids(relayed) == ["msg_2"]
    assert await thread_ids(relayed) == ["thr_1"]
    assert relay.lost >= 3


async def test_work_whose_commit_is_forgotten_is_not_done_twice(
    mongo_store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server does not know the transaction any more: the second try finds the first."""
    forget_after_commit(monkeypatch)
    await mongo_store.create_thread(thread(), question("msg_1"), ANN)
    assert await mongo_store.title_thread("thr_1", "title", ANN)
    await mongo_store.add_thread_item("thr_1", message("msg_2"), ANN)
    assert not await mongo_store.title_thread("thr_1", "other", ANN)
    assert await thread_ids(mongo_store) == ["thr_1"]
    assert await item_ids(mongo_store) == ["msg_1", "msg_2"]


async def test_an_outcome_that_nobody_tells_is_unknown(relayed: MongoStore, relay: Relay) -> None:
    """Answers stay lost until patience ends: the error says that it may have been saved."""
    await relayed.save_thread(thread(), ANN)
    relay.lose_answers("commitTransaction")
    await fails_with_doubt(relayed, lambda: relayed.add_thread_item("thr_1", message("msg_1"), ANN))
    relay.mend()
    assert await item_ids(relayed) == ["msg_1"]
    new = message("msg_1", "new")
    relay.lose_answers("update")
    await fails_with_doubt(relayed, lambda: relayed.save_item("thr_1", new, ANN))
    relay.mend()
    assert await relayed.load_item("thr_1", "msg_1", ANN) == new


async def test_lost_connections_cost_no_caller_an_error(relayed: MongoStore, relay: Relay) -> None:
    """Answers to reads, writes and the first commands of transactions get lost now and then."""
    await relayed.save_thread(thread(), ANN)
    for command in ("find", "findAndModify", "update", "delete"):
        relay.lose_answers(command, 3, most=9)
        for n in range(4):
            item = message(f"{command}_{n}")
            await relayed.add_thread_item("thr_1", item, ANN)
            await relayed.save_item("thr_1", item, ANN)
            assert await relayed.load_item("thr_1", item.id, ANN) == item
            await relayed.delete_thread_item("thr_1", item.id, ANN)
        relay.mend()
    assert await item_ids(relayed) == []
    assert relay.lost >= 4


@pytest.mark.parametrize("how", ["gone", "hangs"])
async def test_a_server_that_is_gone_is_unavailable_until_it_is_back(
    relayed: MongoStore, relay: Relay, how: str
) -> None:
    """Reads, writes and pings fail in their time, and succeed again without being reopened."""
    await relayed.save_thread(thread(), ANN)
    if how == "gone":
        relay.cut()
    else:
        relay.hold()
    with hurried(relayed):
        async with asyncio.timeout(60):
            outcomes = await asyncio.gather(
                relayed.ping(),
                relayed.load_thread("thr_1", ANN),
                relayed.add_thread_item("thr_1", message("msg_1"), ANN),
                return_exceptions=True,
            )
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailableError] * 3
    relay.mend()
    relay.release()
    await available(relayed)
    await relayed.add_thread_item("thr_1", message("msg_2"), ANN)
    assert "msg_2" in await item_ids(relayed)


async def test_a_call_has_a_deadline(
    relayed: MongoStore, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the driver's own limits do not end it; what is under way is then cut."""
    monkeypatch.setattr(backend.MongoDatabase, "deadline", 0.3)
    monkeypatch.setattr(backend, "_CLOSE_TIMEOUT", 0.3)
    relay.hold()
    async with asyncio.timeout(30):
        with pytest.raises(StoreUnavailableError, match="may have been saved"):
            await relayed.load_thread("thr_1", ANN)
        await relayed.aclose()


async def test_a_cancelled_caller_does_not_cut_a_write(relayed: MongoStore, relay: Relay) -> None:
    """It ends in the background, and closing waits for it."""
    await relayed.save_thread(thread(), ANN)
    relay.hold()
    write = asyncio.create_task(relayed.add_thread_item("thr_1", message("msg_1"), ANN))
    async with asyncio.timeout(30):
        while not relay.waiting:
            await asyncio.sleep(0.01)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    closing = asyncio.create_task(relayed.aclose())
    await asyncio.sleep(0)
    assert not closing.done()
    relay.release()
    await closing
    await relayed.open()
    assert await item_ids(relayed) == ["msg_1"]


async def test_a_transaction_that_stays_makes_others_give_up(
    mongo: MongoServer, emptied_mongo: str, open_mongo: OpenMongo
) -> None:
    """Writes give up after their patience and store nothing; reads and other threads go on."""
    store: MongoStore = await open_mongo(emptied_mongo)
    await store.save_thread(thread(), ANN)
    await store.save_thread(thread("thr_2"), ANN)
    with mongo.client.start_session() as session:
        session.start_transaction()
        threads = mongo.client[emptied_mongo].threads
        threads.update_one({"id": "thr_1"}, {"$set": {"other": 1}}, session=session)
        calls = [
            acknowledged(store.add_thread_item("thr_1", message(f"msg_{n}"), ANN)) for n in range(3)
        ]
        with hurried(store):
            assert not any(await asyncio.gather(*calls))
        await store.add_thread_item("thr_2", message("msg_1", thread_id="thr_2"), ANN)
        assert await item_ids(store) == []
        session.abort_transaction()
    await store.add_thread_item("thr_1", message("msg_9"), ANN)
    assert await item_ids(store) == ["msg_9"]


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


async def test_fail_points(mongo: MongoServer, emptied_mongo: str, open_mongo: OpenMongo) -> None:
    """What MongoDB's own test commands make fail comes through: elections, conflicts, locks."""
    if not mongo.can_fail_on_purpose():
        pytest.skip("the server takes no fail points (mongod --setParameter enableTestCommands=1)")
    store = await open_mongo(emptied_mongo)
    await store.save_thread(thread(), ANN)
    labelled = {"errorLabels": ["TransientTransactionError"]}
    client = mongo.client
    for n, (commands, data) in enumerate(
        [
            (["findAndModify"], {"errorCode": 112, **labelled}),  # WriteConflict
            (["findAndModify"], {"errorCode": 24, **labelled}),  # LockTimeout
            (["findAndModify"], {"closeConnection": True}),
            (["commitTransaction"], {"closeConnection": True}),
            (["commitTransaction"], {"errorCode": 251, **labelled}),  # NoSuchTransaction
            (["commitTransaction"], {"writeConcernError": {"code": 64, "errmsg": "late"}}),
            (["find"], {"errorCode": 11602}),  # InterruptedDueToReplStateChange
            (["find"], {"closeConnection": True}),
        ]
    ):
        client.admin.command(
            "configureFailPoint",
            "failCommand",
            mode={"times": 2},
            data={"failCommands": commands, **data},
        )
        await store.add_thread_item("thr_1", message(f"msg_{n}"), ANN)
        await store.load_thread("thr_1", ANN)
    client.admin.command("configureFailPoint", "failCommand", mode="off")
    assert await item_ids(store) == [f"msg_{n}" for n in range(8)]


async def test_a_crash_in_the_middle_of_writes_loses_nothing() -> None:
    """Every acknowledged write is there, once, in its writer's order."""
    if not StandIn.installed():
        pytest.skip("no server that the tests may kill")
    server = StandIn("--sync-on-commit")
    server.start()
    store = open_store(f"{server.url}chat?heartbeatFrequencyMS=500", data_dir=Path())
    try:
        await store.open()
        await store.save_thread(thread(), ANN)
        kept: list[list[str]] = [[] for _ in range(4)]
        stop = False

        async def write(writer: int) -> None:
            n = 0
            while not stop:
                item_id = f"{writer}-{n}"
                if await acknowledged(store.add_thread_item("thr_1", message(item_id), ANN)):
                    kept[writer].append(item_id)
                n += 1

        async def more() -> None:
            """Wait for five writes more."""
            before = sum(map(len, kept))
            async with asyncio.timeout(60):
                while sum(map(len, kept)) < before + 5:
                    await asyncio.sleep(0.01)

        writers = [asyncio.create_task(write(writer)) for writer in range(4)]
        await more()
        server.kill()
        await asyncio.to_thread(server.start)
        await more()
        stop = True
        await asyncio.gather(*writers)
        ids = await item_ids(store, limit=1000)
        assert len(ids) == len(set(ids))
        for own in kept:
            assert [item_id for item_id in ids if item_id in set(own)] == own
    finally:
        await store.aclose()
        server.remove()


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


async def test_a_mistake_of_ours_passes(mongo_store: MongoStore) -> None:
    """It is not taken for a database that is gone, and ends its transaction."""

    async def wrong(commands: Commands) -> None:
        take = mongo_store._statements.take_thread_seq(Key("acme", "ann"))
        await commands.take(take)
        await commands._database["threads"].update_one(
            {}, {"$nonsense": {"a": 1}}, session=commands._session
        )

    with pytest.raises(OperationFailure):
        await mongo_store._db.write(QUEUE, wrong)
    await mongo_store.save_thread(thread(), ANN)


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
    """Several that start at once make the same indexes; each leads with tenant and owner."""
    name = mongo.database()
    await asyncio.gather(*[open_mongo(name) for _ in range(3)])
    client = mongo.client
    for collection, indexes in schema.INDEXES.items():
        made = client[name][collection].index_information()
        assert len(made) == len(indexes) + 1
        for index, about in made.items():
            assert index == "_id_" or [key for key, _ in about["key"]][:2] == [
                "tenant",
                "owner",
            ]
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


def forget_after_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lose the answer to every other transaction's commit; to ask again is of no use."""
    commit = AsyncClientSession.commit_transaction
    sessions: WeakSet[AsyncClientSession] = WeakSet()
    numbers = count()

    async def forgetting(self: AsyncClientSession) -> None:
        if self in sessions:
            raise OperationFailure("", 251, {"errorLabels": ["TransientTransactionError"]})
        await commit(self)
        if next(numbers) % 2 == 0:
            sessions.add(self)
            raise AutoReconnect("", {"errorLabels": ["UnknownTransactionCommitResult"]})

    monkeypatch.setattr(AsyncClientSession, "commit_transaction", forgetting)
