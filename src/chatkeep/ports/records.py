"""What a store keeps beside the SDK's own models.

Moments are aware datetimes in UTC, to the millisecond.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chatkit.types import ThreadItem, ThreadMetadata, UserMessageItem

from chatkeep.context import Principal
from chatkeep.ports.spending import Reservation, Spent

type Record = dict[str, str | int | bool | None]
"""One row of a logical table, the same on every backend; see `Upkeep.read_records`."""


@dataclass(frozen=True, slots=True)
class ThreadSummary:
    """A thread as a list of conversations shows it.

    Attributes:
        thread: The thread.
        preview: The beginning of the newest message, at most 200 characters; None without one.
        active_at: When the user last wrote, or created the thread.
        unread: The assistant has written since the user last read.
        archived: The user has put the thread away.
    """

    thread: ThreadMetadata
    preview: str | None
    active_at: datetime
    unread: bool
    archived: bool


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A message, or a title (no `item_id`), in which all words were found.

    Attributes:
        thread_id: The thread.
        item_id: The message; None if the thread's title was found.
        title: The thread's title.
        snippet: The place in the text, at most 240 characters.
        marks: Where in the snippet the words are: start and end of each.
    """

    thread_id: str
    item_id: str | None
    title: str | None
    snippet: str
    marks: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Share:
    """The right of everybody who knows a secret to read a thread as it was.

    Attributes:
        id: Names the share to its owner; of no use to anybody else.
        principal: Whose thread it is.
        thread_id: The thread.
        until: The position of the last item that is shared; later ones stay private.
        created_at: When it was shared.
        expires_at: From when on the secret is of no use; None: until it is revoked.
    """

    id: str
    principal: Principal
    thread_id: str
    until: int
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold: nothing of this user, or (no user) of this tenant, is deleted.

    Attributes:
        tenant: The tenant.
        user: The user; None: all of the tenant's.
        reason: Why, in the operator's words.
        created_at: Since when.
    """

    tenant: str
    user: str | None
    reason: str
    created_at: datetime


class TurnState(StrEnum):
    """How far a turn has come. Every turn ends in one of the last four."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer to one request, as work.

    Attributes:
        id: The turn.
        principal: Whose it is.
        thread_id: The thread it belongs to.
        state: How far it has come.
        reason: Why it ended as it did, in one word; None while it runs or when it completed.
        request: The request as JSON text: what a takeover starts again from; empty after the end.
        key: The client's idempotency key, unique for the user; None without one.
        digest: What identifies the request's body, to tell a repetition from a reuse of the key.
        holder: The instance that works on it.
        fence: Grows with each change of the holder. A write with an older one is refused.
        lease_until: By the database's clock; None before it runs and after its end.
        cancel_requested: The user wants it stopped.
        touched: Something happened that must not happen twice: text was shown, an item was
            stored, or a tool was called.
        last_event: The number of its last stored event; 0 before the first.
        event_at: When an event was last stored; None before the first.
        doing: What it waits for, in a few words for operators; None when nobody has said.
        usage: Tokens used, as JSON text; None when the provider did not say.
        created_at: When it was asked for.
        ended_at: When it ended; None before.
        tokens: What is put aside for it, and what it took once it has ended.
        cost: The same in micros of the currency.
    """

    id: str
    principal: Principal
    thread_id: str
    state: TurnState
    reason: str | None
    request: str
    key: str | None
    digest: str
    holder: str | None
    fence: int
    lease_until: datetime | None
    cancel_requested: bool
    touched: bool
    last_event: int
    event_at: datetime | None
    doing: str | None
    usage: str | None
    created_at: datetime
    ended_at: datetime | None
    tokens: int = 0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class TurnOrder:
    """A turn to begin, and what is stored with it.

    Attributes:
        id: A new id for the turn.
        thread_id: The thread it belongs to.
        request: The request as JSON text.
        digest: What identifies the request's body.
        holder: The instance that will work on it.
        lease: Seconds until others may take it over, unless it is renewed.
        key: The client's idempotency key.
        new_thread: The thread, when the request creates it.
        message: The user's message. Its attachments must exist and are bound to the thread. One
            that is there already is replaced, in its place.
        items: What a new thread has in front of its message: copies of another one's items. Their
            attachments are bound to it as the message's are.
        removed: Items of the thread that go as the turn begins.
        events: The first rows of its log.
        queue: Wait for the running turn of the thread instead of failing.
        reserves: What is put aside for it, where there are budgets.
    """

    id: str
    thread_id: str
    request: str
    digest: str
    holder: str
    lease: float
    key: str | None = None
    new_thread: ThreadMetadata | None = None
    message: UserMessageItem | None = None
    items: Sequence[ThreadItem] = ()
    removed: Sequence[str] = ()
    events: "Sequence[EventRow]" = ()
    queue: bool = False
    reserves: Reservation | None = None


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """How a turn ends, and what is stored with that.

    Attributes:
        state: The state it ends in.
        reason: Why, in one word.
        usage: Tokens used, as JSON text.
        items: What it adds to the thread, or changes.
        removed: The items it replaces.
        events: The last rows of its log.
        read: The user has seen it to its end: the thread is marked as read.
        spent: What it took of each model, which the sums of user and tenant grow by.
    """

    state: TurnState
    reason: str | None = None
    usage: str | None = None
    items: Sequence[ThreadItem] = ()
    removed: Sequence[str] = ()
    events: "Sequence[EventRow]" = ()
    read: bool = False
    spent: Sequence[Spent] = ()


@dataclass(frozen=True, slots=True)
class EventRow:
    """A stretch of a turn's log: events `first` to `last`, as the text that readers get.

    How the text holds more than one event is the log's business (`chatkeep.turns`).
    """

    first: int
    last: int
    body: str


@dataclass(frozen=True, slots=True)
class TurnKeeping:
    """A sign of life of a turn from its holder.

    Attributes:
        principal: Whose turn it is.
        turn_id: The turn.
        fence: The holder's.
        lease: Seconds until others may take it over, from now on by the database's clock; None
            leaves that as it is.
        rows: To append to its log, in order; those that are there already stay.
        doing: What it waits for, in a few words for operators.
        usage: Tokens used until now, as JSON text; None leaves that as it is.
    """

    principal: Principal
    turn_id: str
    fence: int
    lease: float | None = None
    rows: Sequence[EventRow] = ()
    doing: str | None = None
    usage: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool during a turn, noted before it happens.

    Attributes:
        call_id: The model's name for the call.
        name: The tool.
        started_at: When it was noted.
        ended_at: When the tool had returned or failed; None: nobody knows whether it took effect,
            unless the turn still runs.
    """

    call_id: str
    name: str
    started_at: datetime
    ended_at: datetime | None


type Receipt = Mapping[str, int]
"""How many records were removed, by table."""
