"""Files in a directory of this machine."""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from chatkeep.errors import NotFoundError, StorageUnavailableError
from chatkeep.ports import FileStorage, StoredFile

_CHUNK = 262_144
_INCOMING = ".incoming"
_LEFT_OVER = 24 * 3600  # seconds after which an unfinished file has nobody who writes it


class LocalStorage(FileStorage):
    """`file:///absolute/directory`.

    A file is written aside and moved into its place when it is complete and on the disk. What a
    crash leaves aside is removed by the first upload a day later. Disk and event loop meet in
    threads only.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._incoming = directory / _INCOMING
        self._tidied = False

    async def put(self, key: str, content: AsyncIterator[bytes]) -> None:
        """Store a file."""
        target = self._directory / key
        aside = self._incoming / secrets.token_hex(16)
        file = await _disk(self._begin, aside)
        try:
            async for block in _blocks(content):
                await _disk(file.write, block)
            await _disk(_finish, file, aside, target)
        except BaseException:  # cleaned up, and passed on
            # Also when the caller was cancelled, which may not wait for a thread any more.
            with suppress(OSError):
                file.close()
            aside.unlink(missing_ok=True)
            target.unlink(missing_ok=True)
            raise

    async def read(self, key: str) -> AsyncGenerator[bytes]:
        """Yield a file's content."""
        file = await _disk(_open, self._directory / key)
        try:
            while block := await _disk(file.read, _CHUNK):
                yield block
        finally:
            file.close()

    async def delete(self, key: str) -> None:
        """Delete a file, and the folders that it leaves empty."""
        await _disk(self._remove, self._directory / key)

    async def list(self, prefix: str) -> AsyncGenerator[StoredFile]:
        """Yield the files below a prefix."""
        found = self._walk(prefix)
        while (file := await _disk(next, found, None)) is not None:
            yield file

    async def ping(self) -> None:
        """Check that the directory can be written."""
        await _disk(self._check)

    def _begin(self, aside: Path) -> IO[bytes]:
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._tidied:
            self._tidied = True
            for old in self._incoming.iterdir():
                with suppress(FileNotFoundError):
                    if time.time() - old.stat().st_mtime > _LEFT_OVER:
                        old.unlink()
        return aside.open("xb", buffering=0)

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self._directory:
                return
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return  # not empty

    def _walk(self, prefix: str) -> Iterator[StoredFile]:
        for folder, folders, names in os.walk(self._directory / prefix):
            if _INCOMING in folders:
                folders.remove(_INCOMING)
            for name in names:
                path = Path(folder, name)
                with suppress(FileNotFoundError):
                    stat = path.stat()
                    key = path.relative_to(self._directory).as_posix()
                    yield StoredFile(key, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))

    def _check(self) -> None:
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(self._incoming, os.W_OK):
            raise PermissionError


async def _disk[**P, T](work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do some work in a thread, and wait for its end also when cancelled.

    A thread cannot be stopped: whoever tidies up behind it must come after it.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
    except OSError as error:
        raise StorageUnavailableError from error


async def _blocks(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Join small chunks: each write is a trip to a thread."""
    block = bytearray()
    async for chunk in content:
        block += chunk
        if len(block) >= _CHUNK:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def _finish(file: IO[bytes], aside: Path, target: Path) -> None:
    os.fsync(file.fileno())
    file.close()
    while True:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            aside.replace(target)
        except FileNotFoundError:
            if not aside.exists():
                raise
            continue  # another deletion took the empty folder meanwhile
        break
    # The name, too, is on the disk before anybody relies on it.
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise NotFoundError from None
