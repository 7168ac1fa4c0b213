"""Erases everything of a user, or of a tenant, and says what there was."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chatkeep.files.keys import owner_prefix, tenant_prefix
from chatkeep.files.removal import Removed, remove_below
from chatkeep.ports import FileStorage, Hold, Record, Upkeep
from chatkeep.ports.upkeep import KEYS, TABLES

FORMAT = "chatkeep-erasure-1"

_PASSES = 4
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased.

    Attributes:
        tenant: Of which tenant.
        user: Of which user; None: of all.
        began_at: When the erasing began.
        ended_at: When it ended.
        records: How many records there were, by table.
        files: How many files there were, and their bytes.
        complete: At the end a look at everything found nothing more.
    """

    tenant: str
    user: str | None
    began_at: datetime
    ended_at: datetime
    records: dict[str, int]
    files: Removed
    complete: bool


async def find_holds(store: Upkeep, tenant: str, user: str | None) -> list[Hold]:
    """Return the legal holds that forbid to erase a user, or (None) a tenant."""
    return [
        hold
        for hold in await store.load_holds()
        if hold.tenant == tenant and (user is None or hold.user in (None, user))
    ]


async def count_records(store: Upkeep, tenant: str, user: str | None) -> dict[str, int]:
    """Return how many records a user, or (None) a tenant, has, by table; `owners` are users."""
    whose: Record = {"tenant": tenant}
    tables = [table for table in TABLES if table != "holds"]
    if user is not None:
        whose |= {"owner": user}
        tables.remove("owners")
    return {table: await _count(store, table, whose) for table in tables}


async def erase(store: Upkeep, storage: FileStorage, tenant: str, user: str | None) -> Erasure:
    """Delete all records and files of a user, or (None) of a tenant.

    Records go first: an upload that is under way then finds none, and removes its bytes itself.
    What is written meanwhile is looked for again. Repeat it when it was interrupted.

    Raises:
        HeldError: A legal hold forbids it.
        ChatkeepError: Store or storage are not there.
    """
    began = datetime.now(UTC)
    prefix = tenant_prefix(tenant) if user is None else owner_prefix(tenant, user)
    records: Counter[str] = Counter()
    files = Removed()
    complete = False
    for _ in range(_PASSES):
        found = await store.erase(tenant, user)
        removed = await remove_below(storage, prefix)
        records.update(found)
        files += removed
        if complete := not any(found.values()) and not removed.files:
            break
    return Erasure(tenant, user, began, datetime.now(UTC), dict(records), files, complete)


def receipt_of(erasure: Erasure, *, version: str, backend: str, scrubbed: bool) -> dict[str, Any]:
    """Return an erasure as JSON: what was erased when, and its own SHA-256; nobody's words."""
    receipt: dict[str, Any] = {
        "format": FORMAT,
        "chatkeep": version,
        "database": backend,
        "tenant": erasure.tenant,
        "user": erasure.user,
        "began_at": erasure.began_at.isoformat(timespec="milliseconds"),
        "ended_at": erasure.ended_at.isoformat(timespec="milliseconds"),
        "records": erasure.records,
        "files": {"count": erasure.files.files, "bytes": erasure.files.bytes},
        "complete": erasure.complete,
        "scrubbed": scrubbed,
    }
    return receipt | {"sha256": digest_of(receipt)}


def digest_of(receipt: dict[str, Any]) -> str:
    """Return the SHA-256 of a receipt without the one in it, over its canonical JSON."""
    bare = {name: value for name, value in receipt.items() if name != "sha256"}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


async def _count(store: Upkeep, table: str, whose: Record) -> int:
    # Whatever sorts texts, the empty one is the first.
    after: Record = {name: 0 if name == "first" else "" for name in KEYS[table]}
    after |= whose
    count = 0
    while records := await store.read_records(table, after, _BATCH):
        own = sum(whose.items() <= record.items() for record in records)
        count += own
        if own < len(records):
            break
        after = records[-1]
    return count
