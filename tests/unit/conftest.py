"""What the tests of turns share: a store that can fail, and an instance on it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from chatkeep.stores import open_store
from support.turns import Brittle, Instance, answering


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Brittle]:
    """A store without a thread."""
    opened = Brittle(open_store("memory://", data_dir=tmp_path))
    await opened.open()
    yield opened
    await opened.aclose()


@pytest_asyncio.fixture
async def here(store: Brittle, tmp_path: Path) -> AsyncIterator[Instance]:
    """An instance that works."""
    instance = Instance(store.store, tmp_path, answering("one ", "two"))
    yield instance
    await instance.aclose()
