"""Conversations as files: downloads made while they are sent, and uploads."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from chatkeep.context import Principal, RequestContext
from chatkeep.errors import ConflictError, InvalidRequestError
from chatkeep.files.attachments import Attachments
from chatkeep.http.asking import Asked, Asking
from chatkeep.http.bodies import check_json, disposition, stream_body
from chatkeep.ports import Store
from chatkeep.transfer.export import Format, export_thread, export_user
from chatkeep.transfer.restore import ImportReport, import_threads

_IN_MEMORY = 1_048_576  # bytes of an upload; more of it waits in a temporary file
_AT_ONCE = 2  # imports of this process: each has up to one file in memory
_FORMATS: dict[str, tuple[Format, str, str]] = {
    "json": ("json", "json", "application/json"),
    "markdown": ("markdown", "md", "text/markdown"),
}


@dataclass(frozen=True, slots=True)
class TransferEndpoint:
    """Exports and imports conversations of a user."""

    store: Store
    attachments: Attachments
    asking: Asking
    max_import_bytes: int
    _importing: set[Principal] = field(default_factory=set)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    def routes(self) -> list[Route]:
        """Return where this answers."""
        return [
            Route("/chatkit/export", self.export_all, methods=["GET"]),
            Route("/chatkit/threads/{thread_id}/export", self.export, methods=["GET"]),
            Route("/chatkit/import", self.restore, methods=["POST"]),
        ]

    async def export_all(self, request: Request) -> Response:
        """Send all conversations of a user."""
        asked = await self.asking(request)
        content = export_user(self.store, self.attachments.stream, asked.context)
        return await _download(content, asked, "conversations.json", "application/json")

    async def export(self, request: Request) -> Response:
        """Send one conversation."""
        asked = await self.asking(request)
        thread_id = request.path_params["thread_id"]
        chosen = _FORMATS.get(request.query_params.get("format", "json"))
        if chosen is None:
            raise InvalidRequestError(f"format: {' or '.join(_FORMATS)}")
        chosen_format, suffix, media_type = chosen
        thread = await self.store.load_thread(thread_id, asked.context)
        content = export_thread(
            self.store, self.attachments.stream, thread_id, asked.context, chosen_format
        )
        return await _download(content, asked, f"{_stem(thread.title)}.{suffix}", media_type)

    async def restore(self, request: Request) -> Response:
        """Take a JSON document."""
        asked = await self.asking(request)
        check_json(request)
        report = await self._import(request, asked.context)
        return asked.json({"imported": report.imported, "skipped": report.skipped})

    async def _import(self, request: Request, context: RequestContext) -> ImportReport:
        """Import when it is this one's turn; of a user one at a time, its body included."""
        principal = context.principal
        if principal in self._importing:
            raise ConflictError("Another import of yours is running.")
        self._importing.add(principal)
        try:
            with SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
                async for chunk in stream_body(request, self.max_import_bytes):
                    await asyncio.to_thread(file.write, chunk)
                async with self._turns:
                    return await import_threads(self.store, self.attachments, file, context)
        finally:
            self._importing.discard(principal)


async def _download(
    content: AsyncGenerator[bytes], asked: Asked, name: str, media_type: str
) -> Response:
    # The first chunk is made before the status is sent: an unknown thread is a 404.
    first = await anext(content, b"")
    headers = asked.headers | {"Content-Disposition": disposition("attachment", name)}
    return StreamingResponse(_sent(first, content), headers=headers, media_type=media_type)


async def _sent(first: bytes, content: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(content):
        yield first
        async for chunk in content:
            yield chunk


def _stem(title: str | None) -> str:
    """Return a name that every file system takes."""
    kept = "".join(c if c.isprintable() and c not in '\\/:*?"<>|' else " " for c in title or "")
    return " ".join(kept.split())[:80].strip(". ") or "conversation"
