"""`/files`: uploads and downloads by signed links, and uploads by signed-in users."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus

from chatkit.types import AttachmentCreateParams
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from chatkeep.context import RequestContext
from chatkeep.errors import LinkError
from chatkeep.files.attachments import Attachments, Download
from chatkeep.http.bodies import disposition, stream_body
from chatkeep.http.problems import HTTPProblem
from chatkeep.http.routes import base_url, identify
from chatkeep.ports import Authenticator

_CHUNK = 262_144
_FORM_BYTES = 65_536  # names and boundaries around the file
_POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class FilesEndpoint:
    """Answers requests below `/files`."""

    attachments: Attachments
    authenticators: Sequence[Authenticator]
    public_url: str | None

    async def upload(self, request: Request, attachment_id: str) -> Response:
        """Take the bytes of an attachment by its upload link."""
        content = stream_body(request, self.attachments.limits.max_bytes)
        await self.attachments.receive(attachment_id, token_of(request), content)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def add(self, request: Request) -> Response:
        """Take a file of a form, from a user; answer with the attachment."""
        identity = await identify(request, self.authenticators)
        context = RequestContext(
            principal=identity.principal,
            request_id=request.state.request_id,
            base_url=base_url(request, self.public_url),
        )
        file = await self._file_of_form(request)
        try:
            params = AttachmentCreateParams(
                name=file.filename or "", size=file.size or 0, mime_type=file.content_type or ""
            )
            attachment = await self.attachments.add(params, _chunks(file), context)
        finally:
            await file.close()
        # As the SDK serialises what goes out: no private metadata.
        body = attachment.model_dump_json(
            by_alias=True, exclude_none=True, context={"exclude_metadata": True}
        )
        headers = {"Set-Cookie": identity.set_cookie} if identity.set_cookie else {}
        headers["Cache-Control"] = "no-store"
        return Response(body, headers=headers, media_type="application/json")

    async def download(self, request: Request, attachment_id: str) -> Response:
        """Send the file of a download link."""
        return await send(request, await self.attachments.open(attachment_id, token_of(request)))

    async def _file_of_form(self, request: Request) -> UploadFile:
        kind = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
        if kind != "multipart/form-data":
            raise HTTPProblem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the file as multipart/form-data."
            )
        body = stream_body(request, self.attachments.limits.max_bytes + _FORM_BYTES)
        parser = MultiPartParser(
            request.headers,
            body,
            max_files=1,
            max_fields=10,
            max_part_size=_FORM_BYTES,
        )
        try:
            form = await parser.parse()
        except MultiPartException as error:
            raise HTTPProblem(
                HTTPStatus.BAD_REQUEST, "This is not a form with one file."
            ) from error
        except BaseException:  # a client that left, too: cleaned up, and passed on
            for spooled in parser._files_to_close_on_error:  # noqa: SLF001 - for its own errors only, it does so itself
                spooled.close()
            raise
        # Of Starlette's parser, not FastAPI's subclass of the same name.
        file: object = form.get("file")
        if not isinstance(file, UploadFile):
            await form.close()
            raise HTTPProblem(HTTPStatus.BAD_REQUEST, "The form has no file in its field 'file'.")
        return file


async def send(request: Request, download: Download) -> Response:
    """Answer with a file, or only its headers when the client has it."""
    headers = _download_headers(download)
    known = request.headers.get("if-none-match", "").split(",")
    if any(one.strip().removeprefix("W/") == headers["ETag"] for one in known):
        await download.content.aclose()
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    headers["Content-Length"] = str(download.size)
    if request.method == "HEAD":
        await download.content.aclose()
        return Response(headers=headers, media_type=download.mime_type)
    # The first chunk is fetched before the status is sent: a missing file is a 404.
    first = await anext(download.content, b"")
    return StreamingResponse(_sent(first, download), headers=headers, media_type=download.mime_type)


def token_of(request: Request) -> str:
    """Return the signed part of a link."""
    token = request.query_params.get("token")
    if token is None:
        raise LinkError
    return token


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(_CHUNK):
        yield chunk


async def _sent(first: bytes, download: Download) -> AsyncIterator[bytes]:
    async with aclosing(download.content) as content:
        yield first
        async for chunk in content:
            yield chunk


def _download_headers(download: Download) -> dict[str, str]:
    """Return headers under which not even a hostile file can do anything."""
    kind = "inline" if download.inline else "attachment"
    return {
        "Content-Disposition": disposition(kind, download.name),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": _POLICY,
        "Cache-Control": "private, max-age=3600",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "ETag": f'"{download.sha256}"',
    }
