"""Parts of an import, as the SDK's types, or refused with the place where they are wrong."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn, get_args

from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    FeedbackKind,
    HiddenContextItem,
    SDKHiddenContextItem,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
)
from chatkit.widgets import DynamicWidgetRoot
from pydantic import BaseModel, TypeAdapter, ValidationError

from chatkeep.agent.title import MAX_TITLE
from chatkeep.errors import ChatkeepError, InvalidRequestError, TooLargeError
from chatkeep.files.attachments import Attachments, new_attachment
from chatkeep.files.keys import is_attachment_id
from chatkeep.transfer.reading import Part

_THREAD = TypeAdapter(ThreadMetadata)
_WIDGET = TypeAdapter(DynamicWidgetRoot)
_ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
_ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)
_FEEDBACK: TypeAdapter[dict[str, FeedbackKind]] = TypeAdapter(dict[str, FeedbackKind])
_MAX_PLACE = 300  # the keys in it are the sender's
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class File:
    """An attachment to restore: what it is declared to be, and its bytes."""

    id: str
    declared: AttachmentCreateParams
    content: bytes


@dataclass(slots=True)
class ThreadCheck:
    """Reads the parts of one thread and compares them with each other."""

    attachments: Attachments
    thread: ThreadMetadata | None = None
    items: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)

    def read_thread(self, part: Part) -> ThreadMetadata:
        """Return the thread: what an integration or an operator set is not restored."""
        thread = _parse(_THREAD, part)
        _check_id(thread.id, part.path)
        title = "".join(c for c in thread.title or "" if c.isprintable()).strip()[:MAX_TITLE]
        self.thread = ThreadMetadata(
            id=thread.id,
            title=title or None,
            created_at=_moment(thread.created_at, part.path),
            status=thread.status,
        )
        return self.thread

    def read_item(self, part: Part) -> ThreadItem:
        """Return an item."""
        value = part.value
        if isinstance(value, dict) and value.get("type") == "widget":
            # As stores do it: the SDK's named classes drop what they do not know.
            inner = Part(part.kind, f"{part.path}.widget", value.get("widget"))
            value = value | {"widget": _parse(_WIDGET, inner)}
        item = _parse(_ITEM, Part(part.kind, part.path, value))
        if isinstance(item, HiddenContextItem | SDKHiddenContextItem):
            _refuse(part.path, "items of this type are not imported")
        _check_id(item.id, part.path)
        if self.thread is None or item.thread_id != self.thread.id:
            _refuse(f"{part.path}.thread_id", "is not that of the thread")
        if item.id in self.items:
            _refuse(f"{part.path}.id", "is there twice")
        self.items.add(item.id)
        item.created_at = _moment(item.created_at, part.path)
        if isinstance(item, UserMessageItem):
            item.attachments = [_named(each, item, part.path) for each in item.attachments]
            self.named.update(each.id for each in item.attachments)
        return _storable(item, part.path)

    def read_archived(self, part: Part) -> bool:
        """Return whether the thread was put away."""
        if not isinstance(part.value, bool):
            _refuse(part.path, "must be true or false")
        return part.value

    def read_feedback(self, part: Part) -> dict[FeedbackKind, list[str]]:
        """Return the items of each judgement."""
        judged = _parse(_FEEDBACK, part)
        if not judged.keys() <= self.items:
            _refuse(part.path, "judges an item that is not there")
        kinds: Sequence[FeedbackKind] = get_args(FeedbackKind)
        by_kind = {kind: [of for of, each in judged.items() if each == kind] for kind in kinds}
        return {kind: ids for kind, ids in by_kind.items() if ids}

    def read_file(self, part: Part) -> File | None:
        """Return an attachment; None for one whose bytes were not there."""
        value = part.value if isinstance(part.value, dict) else {}
        record = _parse(_ATTACHMENT, Part(part.kind, f"{part.path}.record", value.get("record")))
        if record.id not in self.named:
            _refuse(f"{part.path}.record.id", "no message names it, or it is there twice")
        self.named.discard(record.id)
        content = value.get("content")
        if content is None:
            return None
        if not isinstance(content, str):
            _refuse(f"{part.path}.content", "must be base64 or null")
        try:
            if len(content) * 3 // 4 > self.attachments.limits.max_bytes + 2:
                raise TooLargeError(f"A file may have {self.attachments.limits.max_bytes} bytes.")
            data = base64.b64decode(content, validate=True)
            declared = AttachmentCreateParams(
                name=record.name, size=len(data), mime_type=record.mime_type
            )
            self.attachments.check(declared, data)
        except (binascii.Error, ValueError):
            _refuse(f"{part.path}.content", "must be base64 or null")
        except ChatkeepError as error:
            raise type(error)(f"{part.path}: {error}") from error
        return File(record.id, declared, data)


def _parse[T](adapter: TypeAdapter[T], part: Part) -> T:
    """Return what a part says; the message of a refusal has places and kinds, no content."""
    try:
        return adapter.validate_python(part.value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join([part.path, *map(str, first["loc"])])
        raise InvalidRequestError(f"{place[:_MAX_PLACE]}: {first['msg']}") from None
    except RecursionError:
        _refuse(part.path, "is nested too deeply")


def _named(attachment: Attachment, item: ThreadItem, path: str) -> Attachment:
    """Return the attachment of a message as it is stored, whatever links it came with."""
    if not is_attachment_id(attachment.id):
        _refuse(f"{path}.attachments", "this is no id of an attachment")
    fresh = new_attachment(attachment.id, attachment.name, attachment.mime_type)
    return fresh.model_copy(update={"thread_id": item.thread_id})


def _check_id(id: str, path: str) -> None:
    if not _ID.fullmatch(id):
        _refuse(f"{path}.id", "1 to 128 letters, digits, '_' and '-'")


def _moment(moment: datetime, path: str) -> datetime:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not _FIRST <= moment <= _LAST:
        _refuse(f"{path}.created_at", "is no moment of our time")
    return moment


def _storable[T: BaseModel](value: T, path: str) -> T:
    try:
        value.model_dump_json().encode()
    except ValueError:  # half a surrogate pair, somewhere inside
        _refuse(path, "holds something that is no text")
    return value


def _refuse(path: str, why: str) -> NoReturn:
    raise InvalidRequestError(f"{path}: {why}")
