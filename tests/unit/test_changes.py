"""What an author's code changes of a thread meets what others change of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from chatkit.types import LockedStatus, ThreadMetadata

from chatkeep.errors import NotFoundError
from chatkeep.ports import Store
from chatkeep.protocol.changes import rename, watched
from chatkeep.stores import open_store
from chatkeep.testing.store_samples import asking, thread

ANN = asking()


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store with one thread."""
    opened = open_store("memory://", data_dir=tmp_path)
    await opened.open()
    await opened.save_thread(thread(metadata={"a": 1, "b": 2}), ANN)
    yield opened
    await opened.aclose()


async def test_only_differences_are_stored(store: Store) -> None:
    """Fields, and keys of the metadata, that both left alone or only one changed."""
    seen = await store.load_thread("thr_1", ANN)
    view = watched(store, seen)
    await rename(store, "thr_1", "By hand", ANN)

    def elsewhere(stored: ThreadMetadata) -> None:
        stored.metadata |= {"a": 10, "c": 3}

    await store.change_thread("thr_1", elsewhere, ANN)
    seen.status = LockedStatus(reason="paused")
    del seen.metadata["b"]
    seen.metadata["d"] = 4
    await view.save_thread(seen, ANN)

    stored = await store.load_thread("thr_1", ANN)
    assert stored.title == "By hand"
    assert stored.status == LockedStatus(reason="paused")
    assert stored.metadata == {"a": 10, "c": 3, "d": 4}
    assert seen == stored

    seen.title = None
    await view.save_thread(seen, ANN)
    assert (await store.load_thread("thr_1", ANN)).title is None


async def test_a_deleted_thread_stays_deleted(store: Store) -> None:
    """There is nothing to change any more, and nothing comes back."""
    seen = await store.load_thread("thr_1", ANN)
    view = watched(store, seen)
    await store.delete_thread("thr_1", ANN)
    seen.title = "Still here"

    with pytest.raises(NotFoundError):
        await view.save_thread(seen, ANN)

    with pytest.raises(NotFoundError):
        await store.load_thread("thr_1", ANN)


async def test_the_rest_is_the_store(store: Store) -> None:
    """Everything else goes through."""
    view = watched(store, await store.load_thread("thr_1", ANN))
    assert await view.load_thread("thr_1", ANN) == await store.load_thread("thr_1", ANN)
