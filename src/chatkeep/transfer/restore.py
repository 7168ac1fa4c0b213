"""Conversations from a document of `chatkeep.transfer.export`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import IO

from chatkit.types import FeedbackKind, ThreadItem, ThreadItemBase, ThreadMetadata

from chatkeep.context import RequestContext
from chatkeep.errors import ChatkeepError, InvalidRequestError, NotFoundError, TooLargeError
from chatkeep.files.attachments import Attachments
from chatkeep.ports import Store
from chatkeep.transfer.checking import File, ThreadCheck
from chatkeep.transfer.reading import Part, read_parts

_BATCH = 50

INCOMPLETE = "chatkeep_import"
"""In the metadata of a thread while it is being restored: a process that is killed leaves half a
thread, which the next import then replaces instead of taking it for the whole."""

type Restored = ThreadMetadata | ThreadItem | File | bool | dict[FeedbackKind, list[str]] | None
"""What a part of a document says."""

_READ: Mapping[str, Callable[[ThreadCheck, Part], Restored]] = {
    "thread": ThreadCheck.read_thread,
    "archived": ThreadCheck.read_archived,
    "items": ThreadCheck.read_item,
    "feedback": ThreadCheck.read_feedback,
    "attachments": ThreadCheck.read_file,
}


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        imported: How many threads are new.
        skipped: The ids of those that were there already; nothing of them was changed.
    """

    imported: int
    skipped: Sequence[str]


async def import_threads(
    store: Store, attachments: Attachments, document: IO[bytes], context: RequestContext
) -> ImportReport:
    """Restore the threads of a JSON document for a user, in its order.

    The document is read twice, in pieces: nothing is stored of one that is not valid. A thread
    comes whole or, if the store fails, not at all; those before it stay.

    Args:
        store: Where the threads go.
        attachments: Where the files go; its limits hold.
        document: An open file, at its beginning, that can be rewound.
        context: Whose threads they become.

    Raises:
        InvalidRequestError: The document is not valid; the message names the place in it.
        TooLargeError: A file, or all of them together, would be too large.
        FileTypeError: A file is of a type that is not taken.
        ChatkeepError: Store or storage failed.
    """
    total = 0
    ids: set[str] = set()
    check = ThreadCheck(attachments)
    async for part in _parts(document, attachments):
        if part.kind == "end":
            check = ThreadCheck(attachments)
            continue
        value = _READ[part.kind](check, part)
        if isinstance(value, ThreadMetadata):
            if value.id in ids:
                raise InvalidRequestError(f"{part.path}.id: is there twice")
            ids.add(value.id)
        if isinstance(value, File):
            total += len(value.content)
            if total > attachments.limits.quota_bytes:
                raise TooLargeError(f"{part.path}: there is no room for these files.")
    return await _Restoring(store, attachments, context).run(document)


class _Restoring:
    """The second reading, in which threads are stored."""

    def __init__(self, store: Store, attachments: Attachments, context: RequestContext) -> None:
        self._store = store
        self._attachments = attachments
        self._context = context
        self._open: str | None = None
        """The thread that is being stored."""
        self._files: list[str] = []
        """Its files."""

    async def run(self, document: IO[bytes]) -> ImportReport:
        """Store what is not there yet."""
        imported, skipped = 0, list[str]()
        archived = False
        check = ThreadCheck(self._attachments)
        try:
            async for part in _parts(document, self._attachments):
                if part.kind == "thread":
                    thread = check.read_thread(part)
                    if await self._exists(thread.id):
                        skipped.append(thread.id)
                    else:
                        self._open, self._files, archived = thread.id, [], False
                        thread.metadata[INCOMPLETE] = True
                        await self._store.save_thread(thread, self._context)
                elif part.kind == "end":
                    if self._open:
                        await self._finish(self._open, archived=archived)
                        imported += 1
                    self._open = None
                    check = ThreadCheck(self._attachments)
                elif self._open:
                    value = _READ[part.kind](check, part)
                    archived = value if isinstance(value, bool) else archived
                    await self._put(self._open, value)
        except BaseException:  # cancellation too: half a thread would be taken for a whole one
            if self._open:
                with suppress(ChatkeepError):
                    await self._store.delete_thread(self._open, self._context)
                    await self._attachments.discard(self._files, self._context)
            raise
        return ImportReport(imported, skipped)

    async def _exists(self, thread_id: str) -> bool:
        """Say whether a thread is there; what an import has left half done is removed."""
        try:
            thread = await self._store.load_thread(thread_id, self._context)
        except NotFoundError:
            return False
        if INCOMPLETE not in thread.metadata:
            return True
        await self._store.delete_thread(thread_id, self._context)
        return False

    async def _put(self, thread_id: str, value: Restored) -> None:
        match value:
            case dict():
                for kind, ids in value.items():
                    await self._store.add_feedback(thread_id, ids, kind, self._context)
            case File():
                await self._attachments.restore(
                    value.id, value.declared, value.content, thread_id, self._context
                )
                self._files.append(value.id)
            case ThreadItemBase():
                await self._store.add_thread_item(thread_id, value, self._context)
            case _:
                return

    async def _finish(self, thread_id: str, *, archived: bool) -> None:
        """Leave the thread whole, as read, and put away if it was: a message takes it back."""

        def complete(thread: ThreadMetadata) -> None:
            thread.metadata.pop(INCOMPLETE, None)

        await self._store.change_thread(thread_id, complete, self._context)
        await self._store.mark_read(thread_id, self._context)
        if archived:
            await self._store.archive_thread(thread_id, True, self._context)


async def _parts(document: IO[bytes], attachments: Attachments) -> AsyncIterator[Part]:
    """Yield the parts; what reading takes of time, it takes beside the event loop."""
    await asyncio.to_thread(document.seek, 0)
    parts = read_parts(document, attachments.limits.max_bytes)
    while batch := await asyncio.to_thread(_take, parts):
        for part in batch:
            yield part


def _take(parts: Iterator[Part]) -> list[Part]:
    """Return the next parts: a few small ones, or up to a file."""
    batch: list[Part] = []
    for part in islice(parts, _BATCH):
        batch.append(part)
        if part.kind == "attachments":
            break
    return batch
