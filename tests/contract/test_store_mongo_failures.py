"""What becomes of calls to MongoDB when connections, answers or the server are lost."""

import asyncio
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

from chatkeep.errors import StoreUnavailableError
from chatkeep.ports import EventRow, TurnEnd, TurnState
from chatkeep.stores import open_store
from chatkeep.stores.mongo import database as backend
from chatkeep.stores.mongo.store import MongoStore
from chatkeep.testing.store_pages import item_ids, thread_ids
from chatkeep.testing.store_samples import (
    asking,
    file,
    image,
    message,
    question,
    sign,
    thread,
    turn_order,
)
from support.mongo import MongoServer, OpenMongo, Relay, StandIn

ANN = asking()


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
    await mongo_store.save_attachment(file(), ANN)
    assert await mongo_store.replace_attachment(file(), image("atc_1"), ANN)
    for n in range(2):  # one of the two loses its answer
        turn_id = f"trn_{n}"
        turn = await mongo_store.begin_turn(turn_order(turn_id, message=question(turn_id)), ANN)
        await mongo_store.keep_turns([sign(turn_id, rows=[EventRow(1, 1, "a")])])
        await mongo_store.begin_tool_call(turn_id, 1, "call_1", "tool", ANN)
        assert len(await mongo_store.load_tool_calls(turn_id, ANN)) == 1
        end = TurnEnd(TurnState.COMPLETED, items=[message(f"end_{n}")])
        ended = await mongo_store.end_turn(turn_id, 1, end, ANN)
        assert (turn.id, ended.state) == (turn_id, "completed")
    assert (await item_ids(mongo_store))[2:] == ["trn_0", "end_0", "trn_1", "end_1"]


async def test_a_turn_is_claimed_once_though_its_commit_is_forgotten(
    mongo_store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each claim gives one turn, the one that its first try has taken."""
    for n in range(4):
        await mongo_store.save_thread(thread(f"thr_{n}"), ANN)
        await mongo_store.begin_turn(turn_order(f"trn_{n}", f"thr_{n}"), ANN)
        await mongo_store.release_turn(f"trn_{n}", 1, ANN)
    forget_after_commit(monkeypatch)
    taken = [await mongo_store.claim_turn("two", 3600) for _ in range(4)]
    assert sorted((turn.id, turn.fence) for turn in taken if turn) == [
        (f"trn_{n}", 2) for n in range(4)
    ]
    assert await mongo_store.claim_turn("two", 9) is None


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
        while not relay.holds("findAndModify"):
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
