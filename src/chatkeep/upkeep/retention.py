"""Deletes conversations in which nobody wrote for longer than they are kept, and old events.

Several instances may do so at once: every step may be repeated, and finds less to do.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from chatkeep.errors import ChatkeepError
from chatkeep.files.keys import Place, attachment_prefix
from chatkeep.files.removal import Removed, remove_below
from chatkeep.ports import FileStorage, Upkeep
from chatkeep.ports.upkeep import Expired

EVENTS_AGE = timedelta(hours=1)
"""How long the events of an ended turn wait for readers who have lost their connection; the
items that came of them are in the thread."""

_FIRST, _EVERY = 90.0, 3600.0
_BATCH = 50
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ages:
    """How many days conversations are kept: `days`, or those of their tenant. None, 0: for ever."""

    days: int | None = None
    tenants: Mapping[str, int] = field(default_factory=dict)

    def of(self, tenant: str) -> timedelta | None:
        """Return how long the conversations of a tenant are kept; None: for ever."""
        days = self.tenants.get(tenant, self.days)
        return timedelta(days=days) if days else None


class Retention:
    """Looks for what is too old, every hour."""

    def __init__(self, store: Upkeep, storage: FileStorage, ages: Ages) -> None:
        self._store = store
        self._storage = storage
        self._ages = ages

    async def run(self) -> None:
        """Delete what is too old every hour, until cancelled."""
        await asyncio.sleep(_FIRST)
        while True:
            now = datetime.now(UTC)
            try:
                await self.expire(now)
                await self.prune(now - EVENTS_AGE)
            except ChatkeepError as error:
                _log.warning("retention failed", error=type(error).__name__)
            await asyncio.sleep(_EVERY)

    async def expire(self, now: datetime) -> int:
        """Delete the conversations that are too old, with their files; return how many.

        What is under a legal hold stays.

        Raises:
            ChatkeepError: Store or storage are not there; the next time goes on.
        """
        threads, removed = 0, Removed()
        for tenant in await self._store.load_tenants():
            age = self._ages.of(tenant)
            if age is None:
                continue
            while expired := await self._store.expire_threads(tenant, now - age, _BATCH):
                for thread in expired:
                    removed += await self._remove_files(thread)
                threads += len(expired)
        if threads:
            _log.info("conversations expired", threads=threads, files=removed.files)
        return threads

    async def prune(self, before: datetime) -> int:
        """Delete the events of turns that ended before a moment; return of how many turns.

        Raises:
            StoreUnavailableError: The next time goes on.
        """
        turns = 0
        while pruned := await self._store.prune_turn_events(before, _BATCH):
            turns += pruned
        if turns:
            _log.debug("events pruned", turns=turns)
        return turns

    async def _remove_files(self, thread: Expired) -> Removed:
        removed = Removed()
        for attachment_id in thread.attachment_ids:
            place = Place(thread.principal.tenant, thread.principal.user, attachment_id)
            removed += await remove_below(self._storage, attachment_prefix(place))
        return removed
