"""Removes the bytes of many files at once."""

from contextlib import aclosing
from dataclasses import dataclass

from chatkeep.ports import FileStorage


@dataclass(frozen=True, slots=True)
class Removed:
    """How many files were removed, and how many bytes they had."""

    files: int = 0
    bytes: int = 0

    def __add__(self, other: "Removed") -> "Removed":
        return Removed(self.files + other.files, self.bytes + other.bytes)


async def remove_below(storage: FileStorage, prefix: str) -> Removed:
    """Remove all files below a prefix of `chatkeep.files.keys`. May be repeated.

    Raises:
        StorageUnavailableError: The storage is not there; some files may be removed.
    """
    removed = Removed()
    async with aclosing(storage.list(prefix)) as files:
        async for file in files:
            await storage.delete(file.key)
            removed += Removed(1, file.size)
    return removed
