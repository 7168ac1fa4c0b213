"""Removes files that nobody will ask for: uploaded and never sent, or left when something failed.

It goes by the storage, where every key says whose it is. Records of uploads that never came have
no bytes and are not found this way; they hold a name and a size.
"""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import structlog

from chatkeep.context import Principal, RequestContext
from chatkeep.errors import ChatkeepError, NotFoundError
from chatkeep.files.keys import Place, read_key
from chatkeep.ports import FileStorage, Store, StoredFile

AGE = timedelta(hours=24)
"""How long an uploaded file waits for the message that it belongs to."""

_FIRST, _EVERY = 60.0, 3600.0
_log = structlog.get_logger(__name__)


class Sweeper:
    """Several instances may sweep at once: every step may be repeated."""

    def __init__(self, store: Store, storage: FileStorage) -> None:
        self._store = store
        self._storage = storage

    async def run(self) -> None:
        """Sweep every hour, until cancelled."""
        await asyncio.sleep(_FIRST)
        while True:
            try:
                removed = await self.sweep(datetime.now(UTC) - AGE)
            except ChatkeepError as error:
                _log.warning("sweeping failed", error=type(error).__name__)
            else:
                _log.debug("swept", files=removed)
            await asyncio.sleep(_EVERY)

    async def sweep(self, before: datetime) -> int:
        """Remove what was uploaded before a moment and is not needed; return how many files.

        Raises:
            ChatkeepError: Store or storage are not there; the next sweep goes on.
        """
        removed = 0
        async with aclosing(self._storage.list("")) as files:
            async for file in files:
                place = read_key(file.key)
                if place is None or file.modified > before:
                    continue  # somebody else's object, or one that may still be needed
                if not await self._is_needed(file, place):
                    await self._storage.delete(file.key)
                    removed += 1
        return removed

    async def _is_needed(self, file: StoredFile, place: Place) -> bool:
        context = RequestContext(Principal(place.tenant, place.user, "sweeper"), request_id="")
        try:
            attachment = await self._store.load_attachment(place.attachment_id, context)
        except NotFoundError:
            return False
        if (attachment.metadata or {}).get("key") != file.key:
            return False  # an upload that lost a race
        if attachment.thread_id is None:
            await self._store.delete_attachment(place.attachment_id, context)
            return False
        return True
