"""The file storage's contract as tests, to be subclassed with a fixture `storage`.

    class TestMyStorage(FileStorageContract):
        @pytest.fixture
        def storage(self):
            return MyStorage(...)

Each test gets an empty storage.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from chatkeep.errors import NotFoundError, TooLargeError
from chatkeep.ports import FileStorage

KEY = "ten-/usr-/atc_1/0a"
LARGE = 12 * 1024 * 1024 + 7


async def content(*chunks: bytes) -> AsyncIterator[bytes]:
    """Yield the chunks."""
    for chunk in chunks:
        yield chunk


async def keys(storage: FileStorage, prefix: str = "") -> list[str]:
    """Return what is listed, sorted."""
    return sorted([file.key async for file in storage.list(prefix)])


async def read(storage: FileStorage, key: str) -> bytes:
    """Return a whole file."""
    return b"".join([chunk async for chunk in storage.read(key)])


@pytest.mark.asyncio
class FileStorageContract:
    """What `chatkeep.ports.FileStorage` promises."""

    async def test_what_was_put_is_read(self, storage: FileStorage) -> None:
        """Content comes back byte for byte, whatever its chunks were."""
        await storage.put(KEY, content(b"one ", b"", b"two\x00\xff"))
        assert await read(storage, KEY) == b"one two\x00\xff"

    async def test_large_files_come_in_chunks(self, storage: FileStorage) -> None:
        """A file of several parts comes back whole, and never as one piece."""
        block = bytes(range(256)) * 256
        sent = hashlib.sha256()

        async def blocks() -> AsyncIterator[bytes]:
            left = LARGE
            while left:
                chunk = block[:left]
                left -= len(chunk)
                sent.update(chunk)
                yield chunk

        await storage.put(KEY, blocks())
        got, largest = hashlib.sha256(), 0
        async for chunk in storage.read(KEY):
            got.update(chunk)
            largest = max(largest, len(chunk))
        assert got.digest() == sent.digest()
        assert largest <= LARGE / 2

    async def test_missing_files_are_not_found(self, storage: FileStorage) -> None:
        """Reading nothing raises before a chunk; deleting nothing is a success."""
        for missing in (KEY, "ten-/usr-"):
            with pytest.raises(NotFoundError):
                await anext(storage.read(missing))
        await storage.delete(KEY)
        assert await keys(storage, "ten-") == []

    async def test_deleted_files_are_gone(self, storage: FileStorage) -> None:
        """A deleted file is neither read nor listed, and its neighbour is both."""
        await storage.put(KEY, content(b"x"))
        await storage.put(f"{KEY}1", content(b"y"))
        await storage.delete(KEY)
        await storage.delete(KEY)
        with pytest.raises(NotFoundError):
            await read(storage, KEY)
        assert await keys(storage) == [f"{KEY}1"]

    async def test_lists_by_whole_segments(self, storage: FileStorage) -> None:
        """A prefix lists what is below it, and not what only begins alike."""
        for key in ("a-/b-/atc_1/1", "a-/b-/atc_1/2", "a-/b-/atc_12/1", "a-/bc-/atc_3/1"):
            await storage.put(key, content(b"123"))
        assert await keys(storage, "a-/b-/atc_1") == ["a-/b-/atc_1/1", "a-/b-/atc_1/2"]
        assert len(await keys(storage, "a-/b-")) == 3
        assert len(await keys(storage)) == 4
        (file,) = [file async for file in storage.list("a-/bc-")]
        assert file.size == 3
        assert abs(file.modified - datetime.now(UTC)) < timedelta(minutes=5)

    async def test_a_broken_upload_leaves_nothing(self, storage: FileStorage) -> None:
        """Content that raises is not kept, small or large, and its error passes."""
        for size in (10, LARGE):

            async def broken(size: int = size) -> AsyncIterator[bytes]:
                yield bytes(size)
                raise TooLargeError("mine")

            with pytest.raises(TooLargeError, match="mine"):
                await storage.put(KEY, broken())
            assert await keys(storage) == []
            with pytest.raises(NotFoundError):
                await read(storage, KEY)

    async def test_a_file_is_invisible_until_complete(self, storage: FileStorage) -> None:
        """While it is written it is neither read nor listed; a cancelled upload leaves nothing."""
        going, go = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield bytes(LARGE)
            going.set()
            await go.wait()
            yield b"end"

        writing = asyncio.create_task(storage.put(KEY, slow()))
        await going.wait()
        assert await keys(storage) == []
        with pytest.raises(NotFoundError):
            await read(storage, KEY)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert await keys(storage) == []

    async def test_uploads_at_once(self, storage: FileStorage) -> None:
        """Many uploads at the same time all arrive."""
        wanted = [f"t-/u-/atc_{number}/0" for number in range(20)]
        await asyncio.gather(*(storage.put(key, content(key.encode())) for key in wanted))
        assert await keys(storage) == sorted(wanted)
        for key in wanted:
            assert await read(storage, key) == key.encode()

    async def test_answers_a_ping(self, storage: FileStorage) -> None:
        """A storage that works says so."""
        await storage.ping()
