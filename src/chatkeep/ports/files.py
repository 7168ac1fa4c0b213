"""Where the bytes of attachments are kept."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What a file storage knows of a file; `modified` is aware."""

    key: str
    size: int
    modified: datetime


class FileStorage(ABC):
    """The bytes of attachments, by key.

    The contract, which `chatkeep.testing.FileStorageContract` checks on every backend:

    * **Keys** are segments of `[a-z0-9_-]`, at most 200 characters each, joined by `/`. They are
      made by Chatkeep; nothing that a user wrote is part of one. A key is written once.
    * **Atomic.** A file can be read and is listed when `put` has returned, and not before. When
      the content raises, or the caller is cancelled, nothing of it is kept, and the content's
      own error passes unchanged.
    * **Bounded.** Files are streamed both ways; memory does not grow with their size.
    * **Missing files.** `read` raises `NotFoundError`, before its first chunk; `delete` of
      nothing is a success.
    * **Failure.** A disk that is full, a directory that cannot be written or a service that
      does not answer raises `StorageUnavailableError`. Cancellation passes.
    """

    @abstractmethod
    async def put(self, key: str, content: AsyncIterator[bytes]) -> None:
        """Store a file."""

    @abstractmethod
    def read(self, key: str) -> AsyncGenerator[bytes]:
        """Yield a file's content."""

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Delete a file."""

    @abstractmethod
    def list(self, prefix: str) -> AsyncGenerator[StoredFile]:
        """Yield the files below a prefix of whole segments (none: all), in any order."""

    @abstractmethod
    async def ping(self) -> None:
        """Answer quickly, or raise `StorageUnavailableError`."""
