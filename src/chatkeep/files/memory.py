"""Files in the memory of one process, gone when it ends: for trying out, and for tests."""

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime

from chatkeep.errors import NotFoundError
from chatkeep.ports import FileStorage, StoredFile

_CHUNK = 65_536


class MemoryStorage(FileStorage):
    """`memory://`."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, datetime]] = {}

    async def put(self, key: str, content: AsyncIterator[bytes]) -> None:
        """Store a file."""
        data = bytearray()
        async for chunk in content:
            data += chunk
        self._files[key] = bytes(data), datetime.now(UTC)

    async def read(self, key: str) -> AsyncGenerator[bytes]:
        """Yield a file's content."""
        if key not in self._files:
            raise NotFoundError
        data, _ = self._files[key]
        for at in range(0, len(data), _CHUNK):
            yield data[at : at + _CHUNK]

    async def delete(self, key: str) -> None:
        """Delete a file."""
        self._files.pop(key, None)

    async def list(self, prefix: str) -> AsyncGenerator[StoredFile]:
        """Yield the files below a prefix."""
        start = f"{prefix}/" if prefix else ""
        for key, (data, modified) in tuple(self._files.items()):
            if key.startswith(start):
                yield StoredFile(key, len(data), modified)

    async def ping(self) -> None:
        """Answer: memory is always there."""
