"""Everything in the memory of one process, gone when it ends: for trying out, and for tests."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile, islice

from chatkit.types import (
    Attachment,
    FeedbackKind,
    Page,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
)

from chatkeep.context import RequestContext
from chatkeep.errors import ConflictError, NotFoundError
from chatkeep.ports import Store
from chatkeep.stores.encoding import (
    AttachmentRecord,
    ItemRecord,
    ThreadRecord,
    checked_text,
    decode_attachment,
    decode_item,
    decode_thread,
    encode_attachment,
    encode_item,
    encode_thread,
)
from chatkeep.stores.paging import (
    Order,
    Positioned,
    Scope,
    build_page,
    check_page,
    read_cursor,
    start_of,
)


@dataclass(slots=True)
class _Item:
    seq: int
    record: ItemRecord


@dataclass(slots=True)
class _Thread:
    seq: int
    record: ThreadRecord
    next_seq: int = 1
    # A dict keeps the order of first writes, which is the order of the positions.
    items: dict[str, _Item] = field(default_factory=dict)
    feedback: dict[str, FeedbackKind] = field(default_factory=dict)

    def put(self, item_id: str, record: ItemRecord) -> None:
        if row := self.items.get(item_id):
            row.record = record
            return
        self.items[item_id] = _Item(self.next_seq, record)
        self.next_seq += 1

    def drop(self, item_id: str) -> None:
        self.items.pop(item_id, None)
        self.feedback.pop(item_id, None)


@dataclass(slots=True)
class _Owner:
    next_seq: int = 1
    threads: dict[str, _Thread] = field(default_factory=dict)
    attachments: dict[str, AttachmentRecord] = field(default_factory=dict)

    def thread(self, thread_id: str) -> _Thread:
        try:
            return self.threads[thread_id]
        except KeyError:
            raise NotFoundError from None

    def put(self, thread_id: str, record: ThreadRecord) -> _Thread:
        if row := self.threads.get(thread_id):
            row.record = record
            return row
        row = self.threads[thread_id] = _Thread(self.next_seq, record)
        self.next_seq += 1
        return row


class MemoryStore(Store):
    """A `Store` for one process.

    No method awaits anything, so each is a transaction by itself. Records are encoded as in the
    other backends: what is read is always a copy.
    """

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], _Owner] = {}

    async def open(self) -> None:
        """Do nothing: there is nothing to connect to."""

    async def aclose(self) -> None:
        """Do nothing: what is kept lives as long as this object."""

    async def ping(self) -> None:
        """Do nothing: memory answers."""

    async def load_thread(self, thread_id: str, context: RequestContext) -> ThreadMetadata:
        """Load a thread."""
        return _found(decode_thread(*self._owner(context).thread(thread_id).record))

    async def save_thread(self, thread: ThreadMetadata, context: RequestContext) -> None:
        """Store a thread, new or changed."""
        record = encode_thread(thread)
        self._own(context).put(checked_text(thread.id), record)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: RequestContext
    ) -> Page[ThreadMetadata]:
        """Load a page of the user's threads."""
        limit, direction = check_page(limit, order)
        threads = self._owner(context).threads
        scope = ("threads", *_key(context))
        start = _start(after, direction, scope, threads)
        rows = _behind(threads, start, direction)
        return build_page(
            list(islice(rows, limit + 1)), limit, scope, lambda row: decode_thread(*row.record)
        )

    async def delete_thread(self, thread_id: str, context: RequestContext) -> None:
        """Delete a thread and everything that belongs to it."""
        owner = self._owner(context)
        if owner.threads.pop(thread_id, None) is None:
            return
        owner.attachments = {
            key: record
            for key, record in owner.attachments.items()
            if record.thread_id != thread_id
        }

    async def create_thread(
        self, thread: ThreadMetadata, message: UserMessageItem, context: RequestContext
    ) -> None:
        """Store a new thread and its first message: both, or neither."""
        owner = self._own(context)
        records = encode_thread(thread), encode_item(message)
        checked_text(thread.id)
        checked_text(message.id)
        attachments = [attachment.id for attachment in message.attachments]
        if not owner.attachments.keys() >= set(attachments):
            raise NotFoundError
        if thread.id in owner.threads:
            raise ConflictError
        for key in attachments:
            owner.attachments[key] = owner.attachments[key]._replace(thread_id=thread.id)
        owner.put(thread.id, records[0]).put(message.id, records[1])

    async def title_thread(self, thread_id: str, title: str, context: RequestContext) -> bool:
        """Set the title if the thread has none yet; say whether that happened."""
        thread = self._owner(context).thread(thread_id)
        if thread.record.title is not None:
            return False
        thread.record = thread.record._replace(title=checked_text(title))
        return True

    async def load_thread_items(
        self,
        thread_id: str,
        after: str | None,
        limit: int,
        order: str,
        context: RequestContext,
        *,
        include_hidden: bool = True,
    ) -> Page[ThreadItem]:
        """Load a page of a thread's items."""
        limit, direction = check_page(limit, order)
        items = self._owner(context).thread(thread_id).items
        scope = ("items", *_key(context), thread_id)
        start = _start(after, direction, scope, items)
        rows = (
            row
            for row in _behind(items, start, direction)
            if include_hidden or not row.record.hidden
        )
        return build_page(list(islice(rows, limit + 1)), limit, scope, _decode_row)

    async def add_thread_item(
        self, thread_id: str, item: ThreadItem, context: RequestContext
    ) -> None:
        """Store an item behind the others, or in its place if it is there already."""
        record = encode_item(item)
        self._owner(context).thread(thread_id).put(checked_text(item.id), record)

    async def save_item(self, thread_id: str, item: ThreadItem, context: RequestContext) -> None:
        """Store an item in its place, or behind the others if it is new."""
        await self.add_thread_item(thread_id, item, context)

    async def load_item(self, thread_id: str, item_id: str, context: RequestContext) -> ThreadItem:
        """Load an item."""
        row = _found(self._owner(context).thread(thread_id).items.get(item_id))
        if (item := _decode_row(row)) is None:
            raise NotFoundError
        return item

    async def delete_thread_item(
        self, thread_id: str, item_id: str, context: RequestContext
    ) -> None:
        """Delete an item and its feedback."""
        await self.delete_thread_items(thread_id, [item_id], context)

    async def delete_thread_items(
        self, thread_id: str, item_ids: Sequence[str], context: RequestContext
    ) -> None:
        """Delete several items and their feedback."""
        if thread := self._owner(context).threads.get(thread_id):
            for item_id in item_ids:
                thread.drop(item_id)

    async def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        """Store an attachment's record, new or changed."""
        record = encode_attachment(attachment)
        self._own(context).attachments[checked_text(attachment.id)] = record

    async def load_attachment(self, attachment_id: str, context: RequestContext) -> Attachment:
        """Load an attachment's record."""
        record = _found(self._owner(context).attachments.get(attachment_id))
        if (attachment := decode_attachment(*record)) is None:
            raise NotFoundError
        return attachment

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        """Delete an attachment's record."""
        self._owner(context).attachments.pop(attachment_id, None)

    async def add_feedback(
        self,
        thread_id: str,
        item_ids: Sequence[str],
        kind: FeedbackKind,
        context: RequestContext,
    ) -> None:
        """Keep the user's latest judgement of each item."""
        thread = self._owner(context).thread(thread_id)
        if not thread.items.keys() >= set(item_ids):
            raise NotFoundError
        thread.feedback.update(dict.fromkeys(item_ids, kind))

    async def load_feedback(
        self, thread_id: str, context: RequestContext
    ) -> dict[str, FeedbackKind]:
        """Return the user's judgements in a thread, by item id."""
        return dict(self._owner(context).thread(thread_id).feedback)

    def _owner(self, context: RequestContext) -> _Owner:
        # Asking leaves no trace: there is no end of visitors who never store anything.
        return self._owners.get(_key(context)) or _Owner()

    def _own(self, context: RequestContext) -> _Owner:
        return self._owners.setdefault(_key(context), _Owner())


def _key(context: RequestContext) -> tuple[str, str]:
    return context.principal.tenant, context.principal.user


def _found[T](value: T | None) -> T:
    if value is None:
        raise NotFoundError
    return value


def _decode_row(row: _Item) -> ThreadItem | None:
    return decode_item(row.record.type, row.record.body)


def _start[R: Positioned](after: str | None, order: Order, scope: Scope, rows: dict[str, R]) -> int:
    if after is None:
        return start_of(order)
    if (seq := read_cursor(scope, after)) is not None:
        return seq
    return _found(rows.get(after)).seq


def _behind[R: Positioned](rows: dict[str, R], start: int, order: Order) -> Iterator[R]:
    if order == "asc":
        return dropwhile(lambda row: row.seq <= start, rows.values())
    backwards: Iterable[R] = reversed(rows.values())
    return dropwhile(lambda row: row.seq >= start, backwards)
