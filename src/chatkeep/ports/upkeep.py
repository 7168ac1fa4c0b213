"""What operators and the server itself do with a store, across all users.

Nothing here is reached by a request of a user. It is a port of its own so that code that serves
users is not given it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chatkeep.context import Principal
from chatkeep.ports.records import Hold, Receipt, Record, Turn, TurnKeeping, TurnState
from chatkeep.ports.spending import SpendingSum

TABLES = (
    "owners",
    "threads",
    "items",
    "attachments",
    "feedback",
    "shares",
    "holds",
    "turns",
    "turn_events",
    "tool_calls",
    "spending",
)
"""The logical tables, each behind those that it refers to."""

KEYS = {
    "owners": ("tenant", "owner"),
    "threads": ("tenant", "owner", "id"),
    "items": ("tenant", "owner", "thread_id", "id"),
    "attachments": ("tenant", "owner", "id"),
    "feedback": ("tenant", "owner", "thread_id", "item_id"),
    "shares": ("tenant", "owner", "id"),
    "holds": ("tenant", "owner"),
    "turns": ("tenant", "owner", "id"),
    "turn_events": ("tenant", "owner", "turn_id", "first"),
    "tool_calls": ("tenant", "owner", "turn_id", "seq"),
    "spending": ("tenant", "owner", "day", "model", "currency"),
}
"""The fields that tell a table's records apart, in the order in which they sort."""


@dataclass(frozen=True, slots=True)
class Expired:
    """A thread that was deleted because of its age."""

    principal: Principal
    thread_id: str
    attachment_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class StaleAttachment:
    """An attachment that no message names."""

    principal: Principal
    attachment_id: str


class Upkeep(ABC):
    """The operators' side of a store; every backend's `Store` has it too.

    `tenant` and `user` are the names in `Principal`. Failures are those of `Store`.
    """

    @abstractmethod
    async def read_records(self, table: str, after: Record | None, limit: int) -> Sequence[Record]:
        """Return the next records of a table behind one, in the order of its key.

        The fields are those of the tables in `chatkeep.stores.sql.schema`, whatever the backend:
        texts, whole numbers, truth values. What can be made from them, such as the entries for
        searching, is not among them. Of `after` only the fields of the key (`KEYS`) count; a
        record with it need not exist. An unknown table: `ValueError`.
        """

    @abstractmethod
    async def write_records(self, table: str, records: Sequence[Record]) -> None:
        """Store records, in place of those with the same key, in one transaction."""

    @abstractmethod
    async def load_users(
        self, tenant: str | None, after: Principal | None, limit: int
    ) -> Sequence[Principal]:
        """Return the users who have (or had) a thread, of one tenant or of all, by name."""

    @abstractmethod
    async def erase(self, tenant: str, user: str | None) -> Receipt:
        """Delete all records of a user, or (None) of a tenant; return how many there were.

        Shares, turns, their events and what searching needs are deleted too; legal holds stay, and
        a user's part in what the tenant has spent.

        Raises:
            HeldError: A legal hold forbids it. Nothing was deleted.
        """

    @abstractmethod
    async def scrub(self) -> None:
        """Overwrite what deleted records have left in the files of the database, where it can."""

    @abstractmethod
    async def expire_threads(self, tenant: str, before: datetime, limit: int) -> Sequence[Expired]:
        """Delete up to `limit` threads of a tenant in which nobody wrote since `before`.

        Threads under a legal hold stay. Returns whose they were, and their attachments, whose
        bytes are the caller's to delete.
        """

    @abstractmethod
    async def load_tenants(self) -> Sequence[str]:
        """Return the names of all tenants."""

    @abstractmethod
    async def put_hold(self, hold: Hold) -> None:
        """Begin a legal hold, or change its reason."""

    @abstractmethod
    async def delete_hold(self, tenant: str, user: str | None) -> None:
        """End a legal hold. Idempotent."""

    @abstractmethod
    async def load_holds(self) -> Sequence[Hold]:
        """Return all legal holds."""

    @abstractmethod
    async def stale_attachments(self, before: datetime, limit: int) -> Sequence[StaleAttachment]:
        """Return attachments that were created before a moment and belong to no thread."""

    @abstractmethod
    async def claim_turn(self, holder: str, lease: float) -> Turn | None:
        """Take over a turn that needs somebody, with a new fence; None if there is none.

        It is one that runs without a live lease, or the oldest queued one of a thread in which
        none is running.
        """

    @abstractmethod
    async def keep_turns(self, kept: Sequence[TurnKeeping]) -> Sequence[str]:
        """Store signs of life of running turns in one transaction; return the ids of those held.

        Of a turn that somebody else has taken over, or that has ended or gone, nothing is stored.
        """

    @abstractmethod
    async def stopped_turns(self, holder: str) -> Sequence[str]:
        """Return the ids of a holder's running turns that are to be stopped."""

    @abstractmethod
    async def load_turns(self, states: Sequence[TurnState], limit: int) -> Sequence[Turn]:
        """Return turns in these states, oldest first."""

    @abstractmethod
    async def prune_turn_events(self, before: datetime, limit: int) -> int:
        """Delete the events of up to `limit` turns that ended before a moment; say how many."""

    @abstractmethod
    async def load_spending(
        self, since: int, tenant: str | None, user: str | None, limit: int
    ) -> Sequence[SpendingSum]:
        """Return what was spent since a day, by model, in the order of the names.

        Of all tenants when none is named; of a tenant and each of its users; or of one user.
        """
