"""Removes files that nobody will ask for: uploaded and never sent, or left when something failed.

It goes by the storage, where every key says whose it is, and then by the records of uploads that
never came, which have no bytes. What is under a legal hold stays.
"""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import structlog

from chatkeep.context import Principal, RequestContext
from chatkeep.errors import ChatkeepError, HeldError, NotFoundError
from chatkeep.files.keys import Place, attachment_prefix, read_key
from chatkeep.files.removal import remove_below
from chatkeep.ports import FileStorage, Store, StoredFile
from chatkeep.ports.upkeep import StaleAttachment

AGE = timedelta(hours=24)
"""How long an uploaded file waits for the message that it belongs to."""

_FIRST, _EVERY = 60.0, 3600.0
_BATCH = 200
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
                before = datetime.now(UTC) - AGE
                removed = await self.sweep(before)
                records = await self.sweep_records(before)
            except ChatkeepError as error:
                _log.warning("sweeping failed", error=type(error).__name__)
            else:
                _log.debug("swept", files=removed, records=records)
            await asyncio.sleep(_EVERY)

    async def sweep(self, before: datetime) -> int:
        """Remove what was uploaded before a moment and is not needed; return how many files.

        Raises:
            ChatkeepError: Store or storage are not there; the next sweep goes on.
        """
        removed = 0
        held = {(hold.tenant, hold.user) for hold in await self._store.load_holds()}
        async with aclosing(self._storage.list("")) as files:
            async for file in files:
                place = read_key(file.key)
                if place is None or file.modified > before:
                    continue  # somebody else's object, or one that may still be needed
                if held & {(place.tenant, None), (place.tenant, place.user)}:
                    continue
                if not await self._is_needed(file, place):
                    await self._storage.delete(file.key)
                    removed += 1
        return removed

    async def sweep_records(self, before: datetime) -> int:
        """Remove the attachments that no message names, from before a moment; return how many.

        Raises:
            ChatkeepError: Store or storage are not there; the next sweep goes on.
        """
        held: set[StaleAttachment] = set()
        removed = 0
        while True:
            # Those that are held come again; they must not keep the ones behind them from going.
            stale = await self._store.stale_attachments(before, len(held) + _BATCH)
            fresh = [attachment for attachment in stale if attachment not in held]
            if not fresh:
                return removed
            for attachment in fresh:
                if await self._remove(attachment):
                    removed += 1
                else:
                    held.add(attachment)

    async def _remove(self, attachment: StaleAttachment) -> bool:
        """Remove a record and, behind it, its bytes; say whether nothing forbids that."""
        principal = attachment.principal
        try:
            await self._store.delete_attachment(attachment.attachment_id, _context(principal))
        except HeldError:
            return False
        place = Place(principal.tenant, principal.user, attachment.attachment_id)
        await remove_below(self._storage, attachment_prefix(place))
        return True

    async def _is_needed(self, file: StoredFile, place: Place) -> bool:
        context = _context(Principal(place.tenant, place.user, "sweeper"))
        try:
            attachment = await self._store.load_attachment(place.attachment_id, context)
        except NotFoundError:
            return False
        if (attachment.metadata or {}).get("key") != file.key:
            return False  # an upload that lost a race
        if attachment.thread_id is None:
            try:
                await self._store.delete_attachment(place.attachment_id, context)
            except HeldError:
                return True  # since a moment ago
            return False
        return True


def _context(principal: Principal) -> RequestContext:
    return RequestContext(principal, request_id="")
