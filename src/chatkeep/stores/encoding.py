"""The SDK's models as JSON text, and back.

Every backend stores this text, so that all of them keep and lose exactly the same: NUL survives
(JSON escapes it), a lone surrogate is a `ValueError` before anything is written.

What can change on its own, or must be searched, is a field of the record beside the text and is
left out of it: a thread's title, an attachment's thread.
"""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    HiddenContextItem,
    SDKHiddenContextItem,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
    WidgetItem,
)
from chatkit.widgets import DynamicWidgetRoot
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

logger = logging.getLogger(__name__)

PREVIEW = 200
"""Characters."""

_ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
_THREAD: TypeAdapter[ThreadMetadata] = TypeAdapter(ThreadMetadata)
_ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)


class ItemRecord(NamedTuple):
    """An item as it is stored."""

    type: str
    hidden: bool
    body: str


class ThreadRecord(NamedTuple):
    """A thread as it is stored."""

    title: str | None
    body: str


class AttachmentRecord(NamedTuple):
    """An attachment as it is stored."""

    thread_id: str | None
    body: str


def encode_item(item: ThreadItem) -> ItemRecord:
    """Return the record of an item. The item is not changed.

    Raises:
        ValueError: The item holds something that JSON cannot.
    """
    utc = item.model_copy(update={"created_at": _utc(item.created_at)})
    hidden = isinstance(item, HiddenContextItem | SDKHiddenContextItem)
    return ItemRecord(item.type, hidden, utc.model_dump_json(by_alias=True))


def decode_item(kind: str, body: str) -> ThreadItem | None:
    """Return a new item; None, and a warning in the log, if this version cannot read it.

    A newer version may have written it: one row must not make its thread unreadable.
    """
    try:
        if kind == "widget":
            return _decode_widget(body)
        return _ITEM.validate_json(body)
    except ValueError:  # not the shape, or no JSON at all
        _warn("item", kind)
        return None


def _decode_widget(body: str) -> WidgetItem:
    # Left to itself, pydantic prefers the SDK's named widget classes, which drop every property
    # they do not know (a Card's border, for one). The dynamic class keeps all.
    fields: Any = from_json(body)
    if not isinstance(fields, dict):
        raise ValueError("not an object")  # noqa: TRY004 - of text, not of Python
    fields["widget"] = DynamicWidgetRoot.model_validate(fields.get("widget"))
    return WidgetItem.model_validate(fields)


def attachments_of(items: Sequence[ThreadItem | None]) -> list[str]:
    """Return the ids of the attachments that items name."""
    messages = [item for item in items if isinstance(item, UserMessageItem)]
    return [file.id for message in messages for file in message.attachments]


def message_text(item: ThreadItem) -> str | None:
    """Return the text of a message of user or assistant; None for other items."""
    match item:
        case UserMessageItem():
            return "\n".join(part.text for part in item.content)
        case AssistantMessageItem():
            return "\n".join(part.text for part in item.content)
        case _:
            return None


def decode_item_text(kind: str, body: str) -> str | None:
    """Return the text of a stored message; None for what is none or cannot be read."""
    item = decode_item(kind, body)
    return None if item is None else message_text(item)


def preview_of(record: str | None) -> str | None:
    """Return the beginning of a message on one line; `record` is its `type:body`, or None."""
    kind, _, body = (record or "").partition(":")
    text = decode_item_text(kind, body) if record else None
    return " ".join(text[: 4 * PREVIEW].split())[:PREVIEW].rstrip() if text else None


def encode_thread(thread: ThreadMetadata) -> ThreadRecord:
    """Return the record of a thread, also of a `Thread` with items. The thread is not changed.

    Raises:
        ValueError: The thread holds something that JSON cannot.
    """
    utc = thread.model_copy(update={"created_at": _utc(thread.created_at)})
    text = _THREAD.dump_json(utc, by_alias=True, exclude={"title"}).decode()
    return ThreadRecord(checked_text(thread.title), text)


def decode_thread(title: str | None, body: str) -> ThreadMetadata | None:
    """Return a new thread; None, and a warning in the log, if this version cannot read it."""
    try:
        thread = _THREAD.validate_json(body)
    except ValidationError:
        _warn("thread", "thread")
        return None
    thread.title = title
    return thread


def encode_attachment(attachment: Attachment) -> AttachmentRecord:
    """Return the record of an attachment, its private metadata included.

    Raises:
        ValueError: The attachment holds something that JSON cannot.
    """
    body = attachment.model_dump_json(by_alias=True, exclude={"thread_id"})
    return AttachmentRecord(checked_text(attachment.thread_id), body)


def decode_attachment(thread_id: str | None, body: str) -> Attachment | None:
    """Return a new attachment; None, and a warning in the log, if this version cannot read it."""
    try:
        attachment = _ATTACHMENT.validate_json(body)
    except ValidationError:
        _warn("attachment", "attachment")
        return None
    attachment.thread_id = thread_id
    return attachment


def checked_text[T: (str, str | None)](text: T) -> T:
    """Return text that every backend can store.

    Raises:
        ValueError: It contains a lone surrogate.
    """
    if text is not None:
        text.encode()
    return text


def milliseconds(moment: datetime) -> int:
    """Return a moment as the databases keep it: milliseconds since 1970."""
    return round(_utc(moment).timestamp() * 1000)


def moment_of(milliseconds: int) -> datetime:
    """Return the moment of a number of milliseconds since 1970, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def now() -> int:
    """Return the present moment, as the databases keep it."""
    return time.time_ns() // 1_000_000


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)  # reads a naive one as local time


def _warn(what: str, kind: str) -> None:
    # Neither the id nor pydantic's message, which quotes the content.
    logger.warning(
        "A stored %s of type %r is left out: this version of Chatkeep cannot read it.", what, kind
    )
