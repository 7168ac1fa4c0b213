"""The part of the store's contract about lists: order, pages, cursors, hidden items."""

from collections.abc import Awaitable, Callable

import pytest
from chatkit.types import HiddenContextItem, Page, ThreadItem, ThreadMetadata

from chatkeep.errors import NotFoundError
from chatkeep.ports import Store
from chatkeep.testing.store_samples import MOMENT, asking, hidden, message, thread

LIMITS = (1, 2, 3, 7, 8, 20)

ANN = asking()


async def filled(store: Store, count: int) -> list[str]:
    """Store the thread `thr_1` with this many messages; return their ids in order."""
    await store.save_thread(thread(), ANN)
    ids = [f"msg_{n:03}" for n in range(count)]
    for item_id in ids:
        await store.add_thread_item("thr_1", message(item_id), ANN)
    return ids


async def walk[T: ThreadItem | ThreadMetadata](
    load: Callable[[str | None], Awaitable[Page[T]]],
) -> list[str]:
    """Return the ids on all pages, and check what each page says about the next."""
    ids: list[str] = []
    after = None
    while True:
        page = await load(after)
        ids += [row.id for row in page.data]
        assert page.has_more == (page.after is not None)
        if not page.has_more:
            return ids
        assert page.data
        after = page.after


async def item_ids(store: Store, order: str = "asc", limit: int = 100) -> list[str]:
    """Return the ids of the items of `thr_1`, page by page."""
    return await walk(lambda after: store.load_thread_items("thr_1", after, limit, order, ANN))


async def thread_ids(store: Store, order: str = "asc", limit: int = 100) -> list[str]:
    """Return the ids of the user's threads, page by page."""
    return await walk(lambda after: store.load_threads(limit, after, order, ANN))


@pytest.mark.asyncio
class PagesContract:
    """What every list keeps to."""

    async def test_pages_of_items_are_complete_in_both_orders(self, store: Store) -> None:
        """Whatever the limit, each item comes once, and descending is the reverse of ascending."""
        ids = await filled(store, 8)
        for limit in LIMITS:
            assert await item_ids(store, "asc", limit) == ids
            assert await item_ids(store, "desc", limit) == ids[::-1]

    async def test_pages_of_threads_are_complete_in_both_orders(self, store: Store) -> None:
        """Whatever the limit, each thread comes once, and descending is the reverse."""
        ids = [f"thr_{n}" for n in range(8)]
        for thread_id in ids:
            await store.save_thread(thread(thread_id), ANN)
        for limit in LIMITS:
            assert await thread_ids(store, "asc", limit) == ids
            assert await thread_ids(store, "desc", limit) == ids[::-1]

    async def test_nothing_is_an_empty_page(self, store: Store) -> None:
        """A user without threads and a thread without items have one empty page."""
        assert await store.load_threads(5, None, "desc", ANN) == Page()
        await store.save_thread(thread(), ANN)
        assert await store.load_thread_items("thr_1", None, 5, "asc", ANN) == Page()

    async def test_items_are_ordered_by_their_first_write(self, store: Store) -> None:
        """Neither ids nor clocks decide: the second item may claim to be a year older."""
        await store.save_thread(thread(), ANN)
        await store.add_thread_item("thr_1", message("z"), ANN)
        older = message("a").model_copy(update={"created_at": MOMENT.replace(year=2025)})
        await store.add_thread_item("thr_1", older, ANN)
        assert await item_ids(store) == ["z", "a"]

    async def test_threads_are_ordered_by_their_first_write(self, store: Store) -> None:
        """Saving a thread again leaves it at its place, whatever its clock says."""
        await store.save_thread(thread("z"), ANN)
        await store.save_thread(thread("a", created_at=MOMENT.replace(year=2025)), ANN)
        await store.save_thread(thread("z", created_at=MOMENT.replace(year=2030)), ANN)
        assert await thread_ids(store) == ["z", "a"]

    async def test_writing_again_keeps_the_place(self, store: Store) -> None:
        """Both ways to write an item replace its content where it stands."""
        ids = await filled(store, 3)
        await store.add_thread_item("thr_1", message(ids[0], "added"), ANN)
        await store.save_item("thr_1", message(ids[1], "saved"), ANN)
        page = await store.load_thread_items("thr_1", None, 9, "asc", ANN)
        assert page.data == [message(ids[0], "added"), message(ids[1], "saved"), message(ids[2])]

    async def test_an_item_written_after_its_deletion_is_new(self, store: Store) -> None:
        """It goes behind the others, and no position is given twice."""
        ids = await filled(store, 3)
        await store.delete_thread_item("thr_1", ids[2], ANN)
        await store.delete_thread_item("thr_1", ids[0], ANN)
        await store.save_item("thr_1", message(ids[0]), ANN)
        assert await item_ids(store) == [ids[1], ids[0]]

    async def test_a_thread_written_after_its_deletion_is_new(self, store: Store) -> None:
        """It is the newest again, and starts empty."""
        await filled(store, 2)
        await store.save_thread(thread("thr_2"), ANN)
        await store.delete_thread("thr_1", ANN)
        await store.save_thread(thread(), ANN)
        assert await thread_ids(store) == ["thr_2", "thr_1"]
        assert await item_ids(store) == []

    async def test_an_id_is_a_cursor_too(self, store: Store) -> None:
        """`after` may be the id of an item or a thread: the page starts behind it."""
        ids = await filled(store, 4)
        page = await store.load_thread_items("thr_1", ids[1], 9, "asc", ANN)
        assert [item.id for item in page.data] == ids[2:]
        page = await store.load_thread_items("thr_1", ids[1], 9, "desc", ANN)
        assert [item.id for item in page.data] == ids[:1]
        await store.save_thread(thread("thr_2"), ANN)
        threads = await store.load_threads(9, "thr_2", "desc", ANN)
        assert [row.id for row in threads.data] == ["thr_1"]

    async def test_an_unknown_cursor_is_refused(self, store: Store) -> None:
        """Neither an unknown id nor the cursor of another list is read as the beginning."""
        await filled(store, 3)
        await store.save_thread(thread("thr_2"), ANN)
        await store.add_thread_item("thr_2", message("other", thread_id="thr_2"), ANN)
        of_items = (await store.load_thread_items("thr_1", None, 1, "asc", ANN)).after
        of_threads = (await store.load_threads(1, None, "asc", ANN)).after
        for after in ("msg_unknown", "", "other", "after_", "after_é", of_threads):
            with pytest.raises(NotFoundError):
                await store.load_thread_items("thr_1", after, 1, "asc", ANN)
        for after in ("thr_unknown", "", "msg_000", of_items):
            with pytest.raises(NotFoundError):
                await store.load_threads(1, after, "asc", ANN)
        with pytest.raises(NotFoundError):
            await store.load_thread_items("thr_2", of_items, 1, "asc", ANN)

    @pytest.mark.parametrize("order", ["asc", "desc"])
    async def test_a_cursor_outlives_its_row(self, store: Store, order: str) -> None:
        """The row that a page ended with is deleted; the next page still follows it."""
        ids = await filled(store, 6)
        ordered = ids if order == "asc" else ids[::-1]
        first = await store.load_thread_items("thr_1", None, 3, order, ANN)
        await store.delete_thread_items("thr_1", ordered[1:4], ANN)
        second = await store.load_thread_items("thr_1", first.after, 3, order, ANN)
        assert [item.id for item in second.data] == ordered[4:]

    async def test_a_thread_cursor_outlives_its_thread(self, store: Store) -> None:
        """The thread that a page ended with is deleted; the next page still follows it."""
        for n in range(4):
            await store.save_thread(thread(f"thr_{n}"), ANN)
        first = await store.load_threads(2, None, "desc", ANN)
        await store.delete_thread("thr_2", ANN)
        second = await store.load_threads(2, first.after, "desc", ANN)
        assert [row.id for row in second.data] == ["thr_1", "thr_0"]

    async def test_pages_stay_whole_while_others_append(self, store: Store) -> None:
        """New rows are seen by who reads towards them, and disturb nobody else."""
        ids = await filled(store, 4)
        newest = await store.load_thread_items("thr_1", None, 2, "desc", ANN)
        oldest = await store.load_thread_items("thr_1", None, 2, "asc", ANN)
        await store.add_thread_item("thr_1", message("late"), ANN)
        rest = await store.load_thread_items("thr_1", newest.after, 9, "desc", ANN)
        assert [item.id for item in rest.data] == [ids[1], ids[0]]
        rest = await store.load_thread_items("thr_1", oldest.after, 9, "asc", ANN)
        assert [item.id for item in rest.data] == [ids[2], ids[3], "late"]

    async def test_hidden_items_are_left_out_by_the_query(self, store: Store) -> None:
        """Without hidden items pages are full, and `has_more` counts what can be seen."""
        await store.save_thread(thread(), ANN)
        for n in range(4):
            await store.add_thread_item("thr_1", message(f"seen_{n}"), ANN)
            await store.add_thread_item("thr_1", hidden(f"hidden_{n}"), ANN)

        async def load(after: str | None, order: str, limit: int) -> Page[ThreadItem]:
            return await store.load_thread_items(
                "thr_1", after, limit, order, ANN, include_hidden=False
            )

        page = await load(None, "asc", 3)
        assert [item.id for item in page.data] == ["seen_0", "seen_1", "seen_2"]
        assert page.has_more
        page = await load(page.after, "asc", 3)
        assert [item.id for item in page.data] == ["seen_3"]
        assert not page.has_more
        assert not (await load(None, "asc", 4)).has_more
        page = await load("hidden_1", "desc", 9)
        assert [item.id for item in page.data] == ["seen_1", "seen_0"]
        assert len(await item_ids(store, limit=3)) == 8

    async def test_an_item_can_become_hidden(self, store: Store) -> None:
        """What counts is the item's present type."""
        ids = await filled(store, 2)
        secret = HiddenContextItem(id=ids[0], thread_id="thr_1", created_at=MOMENT, content="x")
        await store.save_item("thr_1", secret, ANN)
        page = await store.load_thread_items("thr_1", None, 9, "asc", ANN, include_hidden=False)
        assert [item.id for item in page.data] == ids[1:]

    async def test_limit_and_order_are_checked(self, store: Store) -> None:
        """A limit below 1 and an order that does not exist are mistakes of the caller."""
        await filled(store, 1)
        for limit, order in ((0, "asc"), (-1, "desc"), (5, "up"), (5, "")):
            with pytest.raises(ValueError, match=r"limit|order"):
                await store.load_thread_items("thr_1", None, limit, order, ANN)
            with pytest.raises(ValueError, match=r"limit|order"):
                await store.load_threads(limit, None, order, ANN)

    async def test_a_limit_may_be_absurd(self, store: Store) -> None:
        """A number that no database can hold asks for everything."""
        ids = await filled(store, 3)
        assert await item_ids(store, limit=2**80) == ids
        assert await thread_ids(store, limit=2**80) == ["thr_1"]
