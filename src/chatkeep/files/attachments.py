"""Attachments: from the promise of a file to its bytes, and back to the browser.

A record is made first and its bytes come later (two-phase), or both come at once (direct). The
record in the `Store` decides: an attachment is complete when the record names the key of its
bytes, and not before. What is stored knows neither host names nor signatures; `present` adds them
whenever an attachment goes out.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import structlog
from chatkit.store import AttachmentStore
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    AttachmentUploadDescriptor,
    FileAttachment,
    ImageAttachment,
)
from pydantic import AnyUrl

from chatkeep.context import Principal, RequestContext
from chatkeep.errors import (
    ChatkeepError,
    ConflictError,
    FileTypeError,
    InvalidRequestError,
    NotFoundError,
    TooLargeError,
)
from chatkeep.files.checking import Checked
from chatkeep.files.keys import (
    Place,
    attachment_prefix,
    is_attachment_id,
    new_key,
    owner_prefix,
)
from chatkeep.files.signing import Grant, LinkSigner, Operation
from chatkeep.files.sniffing import HEAD_BYTES, matches
from chatkeep.ids import new_item_id
from chatkeep.mime import RASTER, declared_type, is_among
from chatkeep.ports import FileStorage, Store

MAX_PER_MESSAGE = 10
"""Attachments that one message may name."""

_MAX_NAME = 255
_NO_ROOM = "There is no room for this file; delete conversations with files first."
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FileLimits:
    """What users may upload, and how long links are good."""

    max_bytes: int
    allowed_types: tuple[str, ...]
    quota_bytes: int
    upload_seconds: float
    download_seconds: float


@dataclass(frozen=True, slots=True)
class Download:
    """A file on its way out. `inline` files are safe to show, the others are only saved."""

    name: str
    mime_type: str
    size: int
    sha256: str
    inline: bool
    content: AsyncGenerator[bytes]


class Attachments(AttachmentStore[RequestContext]):
    """The SDK's attachment store, and what the routes below `/files` do.

    Args:
        store: Where the records are.
        storage: Where the bytes are.
        signer: Makes and reads links.
        limits: What may be uploaded.
    """

    def __init__(
        self, store: Store, storage: FileStorage, signer: LinkSigner, limits: FileLimits
    ) -> None:
        self._store = store
        self._storage = storage
        self._signer = signer
        self.limits = limits
        self._receiving: set[str] = set()

    def generate_attachment_id(self, mime_type: str, context: RequestContext) -> str:
        """Return an id with 128 random bits (the SDK's default has 32)."""
        del mime_type, context
        return new_item_id("attachment")

    async def create_attachment(
        self, input: AttachmentCreateParams, context: RequestContext
    ) -> Attachment:
        """Store the record of a file to come, and return it with the link to upload to.

        Raises:
            InvalidRequestError: The name or the size cannot be.
            TooLargeError: The file, or the user's files together, would be too large.
            FileTypeError: Files of this type are not taken.
        """
        attachment = await self._create(input, context)
        link = self._link("upload", attachment, context)
        descriptor = AttachmentUploadDescriptor(
            url=AnyUrl(link),
            method="PUT",
            headers={"Content-Type": attachment.mime_type},
        )
        presented = self.present(attachment, context)
        return presented.model_copy(update={"upload_descriptor": descriptor})

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        """Delete an attachment, its record first: bytes without one are swept. Idempotent.

        A message that it belongs to keeps its name.
        """
        try:
            await self._store.load_attachment(attachment_id, context)
        except NotFoundError:
            return  # whatever was asked for, it is no prefix of ours to delete
        await self._store.delete_attachment(attachment_id, context)
        await self.discard([attachment_id], context)

    async def add(
        self, input: AttachmentCreateParams, content: AsyncIterator[bytes], context: RequestContext
    ) -> Attachment:
        """Store a file whose bytes are here already; return it as it goes out.

        Raises:
            ChatkeepError: As `create_attachment` and `receive`; nothing is kept then.
        """
        return self.present(await self._add(input, content, context), context)

    def check(self, input: AttachmentCreateParams, content: bytes) -> None:
        """Return when a file may be stored, as far as can be told without looking.

        Raises:
            ChatkeepError: As `add`.
        """
        _, mime_type = self._declared(input)
        if not matches(mime_type, content[:HEAD_BYTES]):
            raise FileTypeError("This file is not of the type that it was declared to be.")

    async def restore(
        self,
        attachment_id: str,
        input: AttachmentCreateParams,
        content: bytes,
        thread_id: str,
        context: RequestContext,
    ) -> None:
        """Store a file under an id that it had before, as a part of a thread.

        Raises:
            ConflictError: The user has an attachment with this id.
            ChatkeepError: As `add`.
        """
        if not is_attachment_id(attachment_id):
            raise InvalidRequestError("This is no id of an attachment.")
        try:
            await self._store.load_attachment(attachment_id, context)
        except NotFoundError:
            pass
        else:
            raise ConflictError("There is an attachment with this id already.")
        # Bound from the start: what a kill leaves goes with the thread.
        attachment = await self._create(input, context, attachment_id, thread_id)
        try:
            await self._keep(attachment, _once(content), context)
        except ChatkeepError:
            await self._store.delete_attachment(attachment_id, context)
            raise

    async def duplicate(self, attachment: Attachment, context: RequestContext) -> Attachment:
        """Return a copy of a complete file, with an id of its own and part of no thread yet.

        Raises:
            NotFoundError: Its bytes are not there any more.
            ChatkeepError: As `add`.
        """
        record = await self._store.load_attachment(attachment.id, context)
        size = int(_metadata(record).get("size") or 0)
        declared = AttachmentCreateParams(name=record.name, size=size, mime_type=record.mime_type)
        return await self._add(declared, self.stream(record, context), context)

    async def receive(self, attachment_id: str, token: str, content: AsyncIterator[bytes]) -> None:
        """Store the bytes that a link was made for; once.

        Raises:
            LinkError: The link is not good for this.
            NotFoundError: The attachment has been deleted.
            ConflictError: The bytes are here, or on their way.
            TooLargeError: There are more bytes than declared.
            InvalidRequestError: There are fewer.
            FileTypeError: They are not what they were declared to be.
        """
        grant = self._signer.read(token, "upload", attachment_id)
        context = _context_of(grant)
        attachment = await self._store.load_attachment(attachment_id, context)
        if _metadata(attachment).get("key") or attachment_id in self._receiving:
            raise ConflictError("This file has been uploaded already.")
        if _metadata(attachment).get("size") != grant.size:
            raise ConflictError("This link is for another file.")
        self._receiving.add(attachment_id)
        try:
            await self._check_quota(grant.size, context)
            await self._keep(attachment, content, context)
        finally:
            self._receiving.discard(attachment_id)

    async def open(self, attachment_id: str, token: str) -> Download:
        """Return the file that a link is for.

        Raises:
            LinkError: The link is not good for this.
            NotFoundError: The file is not there (any more).
        """
        grant = self._signer.read(token, "download", attachment_id)
        attachment = await self._store.load_attachment(attachment_id, _context_of(grant))
        return self.download_of(attachment)

    def download_of(self, attachment: Attachment) -> Download:
        """Return the file of a stored record.

        Raises:
            NotFoundError: It has not been uploaded.
        """
        metadata = _metadata(attachment)
        if not metadata.get("key"):
            raise NotFoundError
        return Download(
            name=attachment.name,
            mime_type=attachment.mime_type,
            size=metadata["size"],
            sha256=metadata["sha256"],
            inline=attachment.mime_type in RASTER,
            content=self._storage.read(metadata["key"]),
        )

    async def read(self, attachment: Attachment, context: RequestContext, at_most: int) -> bytes:
        """Return the first bytes of a file, for the model.

        Raises:
            NotFoundError: The file is not there (any more).
            StorageUnavailableError: It cannot be read now.
        """
        data = bytearray()
        async with aclosing(self.stream(attachment, context)) as content:
            async for chunk in content:
                data += chunk
                if len(data) >= at_most:
                    break
        return bytes(data[:at_most])

    async def stream(
        self, attachment: Attachment, context: RequestContext
    ) -> AsyncGenerator[bytes]:
        """Yield the bytes of a file of the user. Raises as `read`, before the first of them."""
        record = await self._store.load_attachment(attachment.id, context)
        key = _metadata(record).get("key")
        if not key:
            raise NotFoundError
        async with aclosing(self._storage.read(key)) as content:
            async for chunk in content:
                yield chunk

    async def check_message(
        self, attachment_ids: Sequence[str], thread_id: str | None, context: RequestContext
    ) -> None:
        """Return when a message, of a new thread (None) or an old one, may name these attachments.

        Raises:
            InvalidRequestError: There are too many, or one twice.
            NotFoundError: One is unknown, or somebody else's.
            ConflictError: One is not complete, or is part of another thread.
        """
        if len(attachment_ids) > MAX_PER_MESSAGE:
            raise InvalidRequestError(
                f"params.input.attachments: a message may have {MAX_PER_MESSAGE} attachments"
            )
        if len(set(attachment_ids)) < len(attachment_ids):
            raise InvalidRequestError("params.input.attachments: one is named twice")
        for attachment_id in attachment_ids:
            attachment = await self._store.load_attachment(attachment_id, context)
            if not _metadata(attachment).get("key"):
                raise ConflictError("A file of this message has not been uploaded yet.")
            # In its own thread it may be there from a message that could not be stored.
            if attachment.thread_id not in (None, thread_id):
                raise ConflictError("A file of this message is part of another conversation.")

    def present(self, attachment: Attachment, context: RequestContext) -> Attachment:
        """Return a copy to be sent to the client, with links that are good from now on."""
        changes: dict[str, Any] = {"upload_descriptor": None}
        if isinstance(attachment, ImageAttachment):
            changes["preview_url"] = AnyUrl(self.download_link(attachment, context))
        return attachment.model_copy(update=changes)

    def download_link(self, attachment: Attachment, context: RequestContext) -> str:
        """Return a link to the bytes, which is good for `download_seconds`."""
        return self._link("download", attachment, context)

    async def discard(self, attachment_ids: Sequence[str], context: RequestContext) -> None:
        """Delete the bytes of attachments whose records are gone; what fails is swept later."""
        for attachment_id in attachment_ids:
            try:
                await self._delete_bytes(attachment_id, context)
            except ChatkeepError as error:
                _log.warning("bytes left to the sweeper", error=type(error).__name__)

    async def _create(
        self,
        input: AttachmentCreateParams,
        context: RequestContext,
        attachment_id: str | None = None,
        thread_id: str | None = None,
    ) -> Attachment:
        """Store the record of a file that may be uploaded."""
        name, mime_type = self._declared(input)
        await self._check_quota(input.size, context)
        attachment_id = attachment_id or self.generate_attachment_id(mime_type, context)
        attachment = new_attachment(attachment_id, name, mime_type)
        attachment.metadata = {"size": input.size}
        attachment.thread_id = thread_id
        await self._store.save_attachment(attachment, context)
        return attachment

    async def _add(
        self, input: AttachmentCreateParams, content: AsyncIterator[bytes], context: RequestContext
    ) -> Attachment:
        """Store a file, or nothing of it."""
        attachment = await self._create(input, context)
        try:
            return await self._keep(attachment, content, context)
        except ChatkeepError:
            await self._store.delete_attachment(attachment.id, context)
            raise

    def _declared(self, input: AttachmentCreateParams) -> tuple[str, str]:
        """Return name and type of a file that may be uploaded."""
        name = _checked_name(input.name)
        if input.size < 1:
            raise InvalidRequestError("params.size: a file has at least 1 byte")
        if input.size > self.limits.max_bytes:
            raise TooLargeError(f"A file may have {self.limits.max_bytes} bytes.")
        mime_type = declared_type(input.mime_type, name)
        if not is_among(mime_type, self.limits.allowed_types):
            raise FileTypeError(
                f"Files of this type are not taken. Allowed: {', '.join(self.limits.allowed_types)}"
            )
        return name, mime_type

    async def _check_quota(self, size: int, context: RequestContext) -> None:
        """Return when the user's files and some more bytes are not too many.

        Raises:
            TooLargeError: They are.
        """
        used = 0
        prefix = owner_prefix(context.principal.tenant, context.principal.user)
        async with aclosing(self._storage.list(prefix)) as files:
            async for file in files:
                used += file.size
        if used + size > self.limits.quota_bytes:
            raise TooLargeError(_NO_ROOM)

    async def _keep(
        self, attachment: Attachment, content: AsyncIterator[bytes], context: RequestContext
    ) -> Attachment:
        """Store the bytes, then complete the record."""
        checked = Checked(content, _metadata(attachment)["size"], attachment.mime_type)
        key = new_key(_place(attachment.id, context))
        await self._storage.put(key, checked.chunks())
        try:
            # Again: uploads at the same time, here or elsewhere, have all found room.
            await self._check_quota(0, context)
        except ChatkeepError:
            await self._storage.delete(key)
            raise
        metadata = _metadata(attachment) | {"key": key, "sha256": checked.sha256}
        complete = attachment.model_copy(update={"metadata": metadata, "upload_descriptor": None})
        try:
            won = await self._store.replace_attachment(attachment, complete, context)
        except NotFoundError:  # deleted meanwhile
            await self._storage.delete(key)
            raise
        if not won:
            await self._storage.delete(key)
            raise ConflictError("This file has been uploaded already.")
        return complete

    async def _delete_bytes(self, attachment_id: str, context: RequestContext) -> None:
        prefix = attachment_prefix(_place(attachment_id, context))
        files = [file async for file in self._storage.list(prefix)]
        await asyncio.gather(*(self._storage.delete(file.key) for file in files))

    def _link(self, operation: Operation, attachment: Attachment, context: RequestContext) -> str:
        principal = context.principal
        grant = Grant(
            operation,
            principal.tenant,
            principal.user,
            attachment.id,
            _metadata(attachment).get("size", 0),
        )
        limits = self.limits
        seconds = limits.upload_seconds if operation == "upload" else limits.download_seconds
        token = self._signer.sign(grant, seconds)
        return f"{context.base_url}/files/{attachment.id}?token={token}"


def new_attachment(attachment_id: str, name: str, mime_type: str) -> Attachment:
    """Return an attachment as it is stored: with no link, which could go stale."""
    if mime_type in RASTER:
        url = AnyUrl(f"chatkeep:{attachment_id}")  # the type needs one
        return ImageAttachment(id=attachment_id, name=name, mime_type=mime_type, preview_url=url)
    return FileAttachment(id=attachment_id, name=name, mime_type=mime_type)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _metadata(attachment: Attachment) -> dict[str, Any]:
    return attachment.metadata or {}


def _place(attachment_id: str, context: RequestContext) -> Place:
    return Place(context.principal.tenant, context.principal.user, attachment_id)


def _context_of(grant: Grant) -> RequestContext:
    return RequestContext(Principal(grant.tenant, grant.user, "link"), request_id="")


def _checked_name(name: str) -> str:
    """Return a name that can be shown, stored and sent in a header."""
    name = name.strip()
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        # Also lone surrogates, and marks that turn the direction of what follows.
        raise InvalidRequestError(
            f"params.name: a name has 1 to {_MAX_NAME} characters and no control characters"
        )
    return name
