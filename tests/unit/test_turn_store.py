"""The store as a turn's code sees it: for the right person, with what is not stored yet."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from chatkit.types import LockedStatus, ThreadMetadata

from chatkeep.errors import LeaseLostError, NotFoundError, StoreUnavailableError
from chatkeep.ports import Store
from chatkeep.protocol.changes import rename
from chatkeep.stores import open_store
from chatkeep.testing.store_samples import message, question, thread, turn_order
from chatkeep.turns.running import RunningTurn
from chatkeep.turns.scope import Scope, entered
from chatkeep.turns.store import scoped
from support.turns import ANN, BOB, Brittle, stored_items

WHATEVER = {"made": "by somebody else's code"}


class Desk:
    """A turn of Ann's thread, and the store as its code has it."""

    def __init__(self, store: Brittle, running: RunningTurn) -> None:
        self.real = store
        self.running = running
        self.store = scoped(store.store)

    @contextmanager
    def working(self) -> Iterator[Store]:
        """Be the turn's code."""
        with entered(Scope(self.running.context, self.running)):
            yield self.store

    async def ids(self) -> list[str]:
        """Return the ids of what is stored."""
        return [item.id for item in await stored_items(self.real.real, "thr_1")]


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A running turn of a thread with one message."""
    store = Brittle(open_store("memory://", data_dir=tmp_path))
    await store.open()
    new = thread(metadata={"a": 1, "b": 2})
    turn = await store.begin_turn(turn_order(new_thread=new, message=question("msg_1")), ANN)
    yield Desk(store, RunningTurn(turn, ANN, store.store))
    await store.aclose()


async def test_a_call_is_for_whom_the_request_is(desk: Desk) -> None:
    """Whatever context code passes, by place or by name, it gets the data of its own user."""
    await desk.real.save_thread(thread("thr_bob"), BOB)

    with desk.working() as store:
        assert (await store.load_thread("thr_1", WHATEVER)).id == "thr_1"  # type: ignore[arg-type]
        page = await store.load_thread_items("thr_1", None, 5, "asc", context=BOB)
        assert [item.id for item in page.data] == ["msg_1"]
        threads = await store.load_threads(10, None, "asc", BOB)
        assert [each.id for each in threads.data] == ["thr_1"]
        for context in (WHATEVER, BOB):
            with pytest.raises(NotFoundError):
                await store.load_thread("thr_bob", context)  # type: ignore[arg-type]
    with entered(Scope(BOB)):
        assert (await desk.store.load_thread("thr_bob", ANN)).id == "thr_bob"


async def test_tasks_of_a_turns_code_are_part_of_it(desk: Desk) -> None:
    """What it starts works for the same person."""
    with desk.working() as store:
        found = await asyncio.create_task(store.load_thread("thr_1", BOB))

    assert found.id == "thr_1"


async def test_outside_of_requests_the_context_is_the_callers(desk: Desk) -> None:
    """Without a scope the store is the store."""
    assert (await desk.store.load_thread("thr_1", ANN)).id == "thr_1"
    with pytest.raises(NotFoundError):
        await desk.store.load_thread("thr_1", BOB)


async def test_a_finished_item_waits_for_what_comes_next(desk: Desk) -> None:
    """It is not stored at once, but whoever looks finds it, in its place."""
    with desk.working() as store:
        await store.add_thread_item("thr_1", message("msg_2", "a"), ANN)
        await store.save_item("thr_1", message("msg_2", "b"), ANN)
        assert await desk.ids() == ["msg_1"]
        assert not desk.running.touched

        page = await store.load_thread_items("thr_1", None, 5, "desc", ANN)

    assert page.data[0] == message("msg_2", "b")
    assert await desk.ids() == ["msg_1", "msg_2"]
    assert desk.running.draft.items == []
    assert desk.running.touched


async def test_a_change_behind_its_end_does_not_reach_an_item(desk: Desk) -> None:
    """What was finished stays as it was, whatever code does with its own object."""
    item = message("msg_2", "as it was")
    with desk.working() as store:
        await store.add_thread_item("thr_1", item, ANN)
        item.content[0].text = "changed"
        found = await store.load_item("thr_1", "msg_2", ANN)

    assert found == message("msg_2", "as it was")


async def test_other_threads_are_written_at_once(desk: Desk) -> None:
    """A turn holds back what is its own thread's only."""
    await desk.real.save_thread(thread("thr_2"), ANN)
    with desk.working() as store:
        await store.add_thread_item("thr_2", message("msg_2", thread_id="thr_2"), ANN)

    assert [item.id for item in await stored_items(desk.real.real, "thr_2")] == ["msg_2"]


async def test_a_stored_item_is_saved_in_its_place(desk: Desk) -> None:
    """Only what is held back is changed there."""
    with desk.working() as store:
        await store.add_thread_item("thr_1", message("msg_2", "a"), ANN)
        await store.load_item("thr_1", "msg_2", ANN)
        await store.save_item("thr_1", message("msg_2", "b"), ANN)

    assert (await stored_items(desk.real.real, "thr_1"))[1] == message("msg_2", "b")


async def test_what_is_replaced_is_hidden(desk: Desk) -> None:
    """A turn whose answer takes the place of another one does not see the other one."""
    await desk.real.add_thread_item("thr_1", message("msg_old"), ANN)
    desk.running.draft.replaced = ["msg_old"]

    with desk.working() as store:
        page = await store.load_thread_items("thr_1", None, 5, "asc", ANN)
    assert [item.id for item in page.data] == ["msg_1"]
    assert await desk.ids() == ["msg_1", "msg_old"]


async def test_a_turn_that_writes_is_touched(desk: Desk) -> None:
    """The store notes it with the write; so does the turn, which may not begin again then."""
    with desk.working() as store:
        await store.load_thread("thr_1", ANN)
        assert not desk.running.touched
        await store.title_thread("thr_1", "Title", desk.running.context)
        assert (await store.load_turn("trn_1", ANN)).touched

    assert desk.running.touched


async def test_a_store_that_is_gone_for_a_moment_is_waited_for(desk: Desk) -> None:
    """A turn's code does not see it; a request's code does."""
    desk.real.errors["load_thread"] = [StoreUnavailableError()]
    with desk.working() as store:
        assert (await store.load_thread("thr_1", ANN)).id == "thr_1"
    desk.real.errors["load_thread"] = [StoreUnavailableError()]
    with entered(Scope(ANN)), pytest.raises(StoreUnavailableError):
        await desk.store.load_thread("thr_1", ANN)


async def test_only_what_a_turn_changes_of_its_thread_is_stored(desk: Desk) -> None:
    """Fields, and keys of the metadata, that both left alone or only one changed."""
    with desk.working() as store:
        seen = await store.load_thread("thr_1", ANN)
        await rename(desk.real.store, "thr_1", "By hand", ANN)

        def elsewhere(stored: ThreadMetadata) -> None:
            stored.metadata |= {"a": 10, "c": 3}

        await desk.real.change_thread("thr_1", elsewhere, ANN)
        seen.status = LockedStatus(reason="paused")
        del seen.metadata["b"]
        seen.metadata["d"] = 4
        await store.save_thread(seen, ANN)

        stored = await desk.real.load_thread("thr_1", ANN)
        assert stored.title == "By hand"
        assert stored.status == LockedStatus(reason="paused")
        assert stored.metadata == {"a": 10, "c": 3, "d": 4}
        assert seen == stored

        seen.title = None
        await store.save_thread(seen, ANN)
    assert (await desk.real.load_thread("thr_1", ANN)).title is None


async def test_a_deleted_thread_stays_deleted(desk: Desk) -> None:
    """There is nothing to change any more, and nothing comes back."""
    with desk.working() as store:
        seen = await store.load_thread("thr_1", ANN)
        await desk.real.delete_thread("thr_1", ANN)
        seen.title = "Still here"
        with pytest.raises(LeaseLostError):  # the turn went with it
            await store.save_thread(seen, ANN)

    with pytest.raises(NotFoundError):
        await desk.real.load_thread("thr_1", ANN)


async def test_other_threads_are_saved_whole(desk: Desk) -> None:
    """A turn's code may create threads, and change others."""
    with desk.working() as store:
        await store.load_thread("thr_1", ANN)
        await store.save_thread(thread("thr_2", title="New"), WHATEVER)  # type: ignore[arg-type]

    assert (await desk.real.load_thread("thr_2", ANN)).title == "New"
