"""The file storage's contract on the backends that need no server."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import pytest
from obstore.store import MemoryStore as ObjectsInMemory

from chatkeep.errors import StorageUnavailableError
from chatkeep.files import open_storage
from chatkeep.files.local import LocalStorage
from chatkeep.files.memory import MemoryStorage
from chatkeep.files.objects import ObjectStorage
from chatkeep.ports import FileStorage
from chatkeep.testing import FileStorageContract


class TestMemoryStorage(FileStorageContract):
    """`memory://`."""

    @pytest.fixture
    def storage(self) -> FileStorage:
        """A storage in memory."""
        return MemoryStorage()


class TestLocalStorage(FileStorageContract):
    """A directory."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> FileStorage:
        """A storage in a new directory."""
        return open_storage(None, data_dir=tmp_path)


class TestObjectStorage(FileStorageContract):
    """The driver of object stores, on its own store in memory."""

    @pytest.fixture
    def storage(self) -> FileStorage:
        """An object store in memory."""
        return ObjectStorage(ObjectsInMemory())


async def one(chunk: bytes) -> AsyncIterator[bytes]:
    """Yield one chunk."""
    yield chunk


def full_disk(_: Path) -> IO[bytes]:
    """Open a file that takes nothing."""
    return Path("/dev/full").open("wb", buffering=0)


async def test_a_directory_leaves_no_trace(tmp_path: Path) -> None:
    """Folders that a deletion leaves empty go too, and nothing stays aside."""
    storage = LocalStorage(tmp_path / "files")
    await storage.put("a-/b-/atc_1/0", one(b"x"))
    await storage.delete("a-/b-/atc_1/0")

    assert [path.name for path in (tmp_path / "files").iterdir()] == [".incoming"]
    assert list((tmp_path / "files" / ".incoming").iterdir()) == []


async def test_what_a_crash_left_is_removed(tmp_path: Path) -> None:
    """An unfinished file of yesterday goes with the first upload; one of now stays."""
    incoming = tmp_path / ".incoming"
    incoming.mkdir()
    for name, mtime in (("old", 1), ("new", None)):
        (incoming / name).write_bytes(b"half")
        if mtime:
            os.utime(incoming / name, (mtime, mtime))

    await LocalStorage(tmp_path).put("a-/b-/atc_1/0", one(b"x"))

    assert [path.name for path in incoming.iterdir()] == ["new"]


async def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    """A place where no directory can be is a storage that is not there, for ping and put."""
    (tmp_path / "file").write_text("not a directory")
    storage = LocalStorage(tmp_path / "file" / "files")

    with pytest.raises(StorageUnavailableError):
        await storage.ping()
    with pytest.raises(StorageUnavailableError):
        await storage.put("a-/b-/atc_1/0", one(b"x"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full disk at hand")
async def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is a storage that is not there; nothing is kept."""
    storage = LocalStorage(tmp_path)
    monkeypatch.setattr(storage, "_begin", full_disk)

    with pytest.raises(StorageUnavailableError):
        await storage.put("a-/b-/atc_1/0", one(b"x"))
    assert [file async for file in storage.list("")] == []
