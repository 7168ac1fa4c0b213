"""Copies all files of one storage into another one, and compares the two.

Only what Chatkeep wrote is looked at. A file is written once and complete as soon as it is there,
so one that is in the target already, with the same bytes, has been copied before.
"""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from chatkeep.errors import CopyError, NotFoundError
from chatkeep.files.keys import attachment_prefix, read_key
from chatkeep.ports import FileStorage, StoredFile
from chatkeep.upkeep.copying import Report, Tally

_NAME = "files"


async def has_files(storage: FileStorage) -> bool:
    """Say whether a storage has any file of Chatkeep's."""
    async with aclosing(_ours(storage)) as files:
        return await anext(files, None) is not None


async def copy_files(source: FileStorage, target: FileStorage, report: Report) -> None:
    """Copy the files that are not in the target, and read them back. The source is only read.

    Raises:
        CopyError: What was read back is not what was written.
        StorageUnavailableError: One of the storages is not there; the next call goes on.
    """
    async with aclosing(_ours(source)) as files:
        async for file in files:
            try:
                await _copy(file, source, target)
            except NotFoundError:
                continue  # deleted meanwhile
            report(_NAME, 1)


async def compare_files(source: FileStorage, target: FileStorage) -> int:
    """Return how many files there are in both.

    Raises:
        CopyError: They have not the same files; their bytes were compared when they were copied.
    """
    ours, theirs = await _tally(source), await _tally(target)
    if ours != theirs:
        raise CopyError(
            f"The copy of the files differs from its source ({ours.count} files in the source, "
            f"{theirs.count} in the target). Something changed one of the two meanwhile. Stop "
            "every server that uses them and run the same command again."
        )
    return ours.count


async def _copy(file: StoredFile, source: FileStorage, target: FileStorage) -> None:
    if await _has(target, file):
        digest = await _digest(source.read(file.key))
        if await _digest(target.read(file.key)) == digest:
            return
    hashed = _Hashed(source.read(file.key))
    await target.put(file.key, hashed.chunks())
    if await _digest(target.read(file.key)) != hashed.sha256:
        raise CopyError("A file that was copied is not the same when it is read back.")


async def _has(storage: FileStorage, file: StoredFile) -> bool:
    place = read_key(file.key)
    prefix = attachment_prefix(place) if place else ""
    async with aclosing(storage.list(prefix)) as files:
        async for found in files:
            if (found.key, found.size) == (file.key, file.size):
                return True
    return False


async def _tally(storage: FileStorage) -> Tally:
    tally = Tally()
    async with aclosing(_ours(storage)) as files:
        async for file in files:
            tally = tally.add(file.key, str(file.size))
    return tally


async def _ours(storage: FileStorage) -> AsyncGenerator[StoredFile]:
    async with aclosing(storage.list("")) as files:
        async for file in files:
            if read_key(file.key) is not None:
                yield file


async def _digest(content: AsyncIterator[bytes]) -> str:
    hashed = _Hashed(content)
    async for _ in hashed.chunks():
        pass
    return hashed.sha256


class _Hashed:
    """Content that passes through and is hashed."""

    def __init__(self, content: AsyncIterator[bytes]) -> None:
        self._content = content
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The hash of all that has passed."""
        return self._hash.hexdigest()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content."""
        async for chunk in self._content:
            self._hash.update(chunk)
            yield chunk
