"""The store's contract as tests, to be subclassed with two async fixtures.

    class TestMyStore(StoreContract):
        @pytest_asyncio.fixture
        async def store(self):
            store = MyStore(...)
            await store.open()
            yield store
            await store.aclose()

Each test gets an empty store; those that copy one also get another, `second_store`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from chatkit.store import NotFoundError as ChatKitNotFoundError

from chatkeep.errors import ConflictError, NotFoundError
from chatkeep.ports import Store
from chatkeep.testing.store_finding import FindingContract
from chatkeep.testing.store_keeping import KeepingContract
from chatkeep.testing.store_lists import ListsContract
from chatkeep.testing.store_pages import PagesContract, item_ids, thread_ids
from chatkeep.testing.store_samples import asking, file, hidden, image, message, question, thread
from chatkeep.testing.store_sharing import SharingContract
from chatkeep.testing.store_spending import SpendingContract
from chatkeep.testing.store_tenancy import TenancyContract
from chatkeep.testing.store_turns import TurnsContract
from chatkeep.testing.store_upkeep import UpkeepContract
from chatkeep.testing.store_values import ValuesContract

ANN = asking()


@pytest.mark.asyncio
class StoreContract(
    ValuesContract,
    PagesContract,
    FindingContract,
    ListsContract,
    SharingContract,
    TurnsContract,
    KeepingContract,
    SpendingContract,
    UpkeepContract,
    TenancyContract,
):
    """What `chatkeep.ports.Store` promises."""

    async def test_missing_rows_are_not_found(self, store: Store) -> None:
        """What needs a row that is not there raises, as the SDK's own error too."""
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: store.load_thread("thr_x", ANN),
            lambda: store.load_thread_items("thr_x", None, 9, "asc", ANN),
            lambda: store.load_item("thr_x", "msg_1", ANN),
            lambda: store.load_item("thr_1", "msg_x", ANN),
            lambda: store.load_attachment("atc_x", ANN),
            lambda: store.load_feedback("thr_x", ANN),
            lambda: store.add_thread_item("thr_x", message("msg_1"), ANN),
            lambda: store.save_item("thr_x", message("msg_1"), ANN),
            lambda: store.title_thread("thr_x", "title", ANN),
            lambda: store.add_feedback("thr_x", ["msg_1"], "positive", ANN),
            lambda: store.add_feedback("thr_x", [], "positive", ANN),
            lambda: store.add_feedback("thr_1", ["msg_x"], "positive", ANN),
        ]
        await store.save_thread(thread(), ANN)
        await store.add_thread_item("thr_1", message("msg_1"), ANN)
        for call in calls:
            with pytest.raises(NotFoundError) as caught:
                await call()
            assert isinstance(caught.value, ChatKitNotFoundError)
        assert await thread_ids(store) == ["thr_1"]

    async def test_deleting_nothing_is_a_success(self, store: Store) -> None:
        """Every deletion may be repeated, and may name what never was."""
        await store.save_thread(thread(), ANN)
        await store.add_thread_item("thr_1", message("msg_1"), ANN)
        for _ in range(2):
            await store.delete_thread_item("thr_1", "msg_x", ANN)
            await store.delete_thread_item("thr_x", "msg_1", ANN)
            await store.delete_thread_items("thr_1", [], ANN)
            await store.delete_thread_items("thr_x", ["msg_1"], ANN)
            await store.delete_thread("thr_x", ANN)
            await store.delete_attachment("atc_x", ANN)
        assert await item_ids(store) == ["msg_1"]

    async def test_several_items_are_deleted(self, store: Store) -> None:
        """Those named go, also when some of them are not there; the others stay."""
        await store.save_thread(thread(), ANN)
        for n in range(5):
            await store.add_thread_item("thr_1", message(f"msg_{n}"), ANN)
        await store.delete_thread_items("thr_1", ["msg_1", "msg_x", "msg_3", "msg_1"], ANN)
        assert await item_ids(store) == ["msg_0", "msg_2", "msg_4"]

    async def test_a_deleted_thread_takes_everything_along(self, store: Store) -> None:
        """Its items, feedback and attachments go; those of other threads stay."""
        for thread_id, attachment_id in (("thr_1", "atc_1"), ("thr_2", "atc_2")):
            await store.save_attachment(file(attachment_id), ANN)
            first = question("msg_1", file(attachment_id), thread_id=thread_id)
            await store.create_thread(thread(thread_id), first, ANN)
            await store.add_feedback(thread_id, ["msg_1"], "positive", ANN)
        await store.save_attachment(file("atc_free"), ANN)
        await store.delete_thread("thr_1", ANN)
        for gone in (
            store.load_thread("thr_1", ANN),
            store.load_item("thr_1", "msg_1", ANN),
            store.load_attachment("atc_1", ANN),
        ):
            with pytest.raises(NotFoundError):
                await gone
        await store.save_thread(thread(), ANN)
        await store.add_thread_item("thr_1", message("msg_1"), ANN)
        assert await store.load_feedback("thr_1", ANN) == {}
        assert await store.load_feedback("thr_2", ANN) == {"msg_1": "positive"}
        assert (await store.load_attachment("atc_2", ANN)).thread_id == "thr_2"
        assert (await store.load_attachment("atc_free", ANN)).thread_id is None

    async def test_a_thread_is_created_with_its_message(self, store: Store) -> None:
        """Both are there, the attachments belong to the thread, and items go on behind."""
        await store.save_attachment(file(), ANN)
        await store.save_attachment(image(), ANN)
        first = question("msg_1", file(), image())
        await store.create_thread(thread(title="t"), first, ANN)
        assert await store.load_thread("thr_1", ANN) == thread(title="t")
        assert await store.load_item("thr_1", "msg_1", ANN) == first
        assert await store.load_attachment("atc_1", ANN) == file(thread_id="thr_1")
        assert await store.load_attachment("atc_2", ANN) == image(thread_id="thr_1")
        await store.add_thread_item("thr_1", hidden("msg_2"), ANN)
        assert await item_ids(store) == ["msg_1", "msg_2"]

    async def test_a_thread_is_not_created_without_its_attachments(self, store: Store) -> None:
        """An unknown attachment: not found, no thread, and the known one stays free."""
        await store.save_attachment(file(), ANN)
        with pytest.raises(NotFoundError):
            await store.create_thread(thread(), question("msg_1", file(), image()), ANN)
        assert await thread_ids(store) == []
        assert await store.load_attachment("atc_1", ANN) == file()

    async def test_an_existing_thread_is_not_created(self, store: Store) -> None:
        """A second creation is a conflict and changes nothing."""
        await store.create_thread(thread(title="first"), question("msg_1"), ANN)
        await store.save_attachment(file(), ANN)
        with pytest.raises(ConflictError):
            await store.create_thread(thread(), question("msg_2", file()), ANN)
        assert await store.load_thread("thr_1", ANN) == thread(title="first")
        assert await item_ids(store) == ["msg_1"]
        assert await store.load_attachment("atc_1", ANN) == file()

    async def test_a_thread_gets_one_title(self, store: Store) -> None:
        """Of many who title a thread at once one succeeds, and later ones do not."""
        await store.save_thread(thread(), ANN)
        titles = [f"title {n}" for n in range(20)]
        won = await asyncio.gather(*[store.title_thread("thr_1", text, ANN) for text in titles])
        assert won.count(True) == 1
        assert (await store.load_thread("thr_1", ANN)).title == titles[won.index(True)]
        assert not await store.title_thread("thr_1", "late", ANN)

    async def test_feedback_is_replaced(self, store: Store) -> None:
        """The latest judgement of an item counts, and goes when the item goes."""
        await store.save_thread(thread(), ANN)
        assert await store.load_feedback("thr_1", ANN) == {}
        for item_id in ("msg_1", "msg_2"):
            await store.add_thread_item("thr_1", message(item_id), ANN)
        await store.add_feedback("thr_1", ["msg_1", "msg_2", "msg_1"], "positive", ANN)
        await store.add_feedback("thr_1", ["msg_2"], "negative", ANN)
        await store.add_feedback("thr_1", [], "negative", ANN)
        expected = {"msg_1": "positive", "msg_2": "negative"}
        assert await store.load_feedback("thr_1", ANN) == expected
        await store.save_item("thr_1", message("msg_1", "new"), ANN)
        assert await store.load_feedback("thr_1", ANN) == expected
        await store.delete_thread_item("thr_1", "msg_1", ANN)
        assert await store.load_feedback("thr_1", ANN) == {"msg_2": "negative"}

    async def test_feedback_on_an_unknown_item_is_all_refused(self, store: Store) -> None:
        """One unknown item: not found, and the known ones are not judged either."""
        await store.save_thread(thread(), ANN)
        await store.add_thread_item("thr_1", message("msg_1"), ANN)
        with pytest.raises(NotFoundError):
            await store.add_feedback("thr_1", ["msg_1", "msg_x"], "positive", ANN)
        assert await store.load_feedback("thr_1", ANN) == {}

    async def test_concurrent_appends_leave_no_gap(self, store: Store) -> None:
        """Twenty writers of one thread: each item once, and each writer's items in its order."""
        await store.save_thread(thread(), ANN)

        async def append(writer: int) -> None:
            for n in range(10):
                await store.add_thread_item("thr_1", message(f"{writer}-{n}"), ANN)

        await asyncio.gather(*[append(writer) for writer in range(20)])
        ids = await item_ids(store, limit=7)
        assert len(ids) == len(set(ids)) == 200
        assert ids == (await item_ids(store, "desc", limit=9))[::-1]
        for writer in range(20):
            own = [item_id for item_id in ids if item_id.startswith(f"{writer}-")]
            assert own == [f"{writer}-{n}" for n in range(10)]

    async def test_concurrent_writes_of_one_item_make_one(self, store: Store) -> None:
        """The same new item from many writers is stored once."""
        await store.save_thread(thread(), ANN)
        writes = [
            write("thr_1", message("msg_1", str(n)), ANN)
            for n in range(10)
            for write in (store.add_thread_item, store.save_item)
        ]
        await asyncio.gather(*writes)
        assert await item_ids(store) == ["msg_1"]

    async def test_cancellation_leaves_all_or_nothing(self, store: Store) -> None:
        """A creation cancelled at any moment raises that, and leaves no half of a thread."""
        for steps in range(40):
            attached = file(f"atc_{steps}")
            await store.save_attachment(attached, ANN)
            new, first = thread(f"thr_{steps}"), question("msg_1", attached)
            task = asyncio.create_task(store.create_thread(new, first, ANN))
            for _ in range(steps):
                await asyncio.sleep(0)
            # False when the creation was quicker.
            cancelled = task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert task.cancelled() == cancelled
            with contextlib.suppress(NotFoundError):
                page = await store.load_thread_items(new.id, None, 9, "asc", ANN)
                assert [item.id for item in page.data] == ["msg_1"]
        await store.save_thread(thread(), ANN)
        await store.ping()

    async def test_new_ids_cannot_be_guessed(self, store: Store) -> None:
        """Ids that the store makes carry ChatKit's prefix and do not repeat."""
        ids = [store.generate_thread_id(ANN) for _ in range(1000)]
        ids += [store.generate_item_id("message", thread(), ANN) for _ in range(1000)]
        assert len(set(ids)) == 2000
        assert {item_id[:4] for item_id in ids} == {"thr_", "msg_"}
        assert min(len(item_id) for item_id in ids) >= 4 + 128 // 6

    async def test_closing_may_be_repeated(self, store: Store) -> None:
        """A closed store can be closed."""
        await store.ping()
        await store.aclose()
        await store.aclose()
