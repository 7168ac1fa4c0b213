"""`/share/…`: a thread for everybody who knows the secret, without a script and without a user."""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any

from chatkit.types import Page, ThreadItem, ThreadMetadata, UserMessageItem
from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup
from pydantic import AnyUrl
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from chatkeep.context import RequestContext
from chatkeep.errors import NotFoundError
from chatkeep.files.sharing import SharedFiles
from chatkeep.http.asking import limit_of
from chatkeep.http.files import send, token_of
from chatkeep.http.rendering import as_it_is, to_html
from chatkeep.http.routes import base_url
from chatkeep.http.shares import digest_of
from chatkeep.mime import RASTER
from chatkeep.ports import Share, Store
from chatkeep.transfer.markdown import moment
from chatkeep.transfer.passages import Passage, passage_of

_TEMPLATES = Path(__file__).parent / "templates"
_ROWS = 50  # of a page of HTML
_MARKDOWN = 200_000  # characters of a page that are read as Markdown
_AT_ONCE = 2  # pages that are rendered, of this process: strangers ask for them
_HEADERS = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow"}


@dataclass(frozen=True, slots=True)
class _Shared:
    """A page of a share, for its readers."""

    share: Share
    thread: ThreadMetadata
    items: Page[ThreadItem]


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the template shows of an item."""

    passage: Passage
    html: Markup
    notes: Sequence[Markup]
    images: Mapping[str, str]


class SharePage:
    """Answers whoever knows the secret of a share; nobody is asked who they are."""

    def __init__(self, store: Store, files: SharedFiles, public_url: str | None) -> None:
        self._store = store
        self._files = files
        self._public_url = public_url
        self._rendering = asyncio.Semaphore(_AT_ONCE)
        environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=select_autoescape(default=True),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        style = (_TEMPLATES / "share.css").read_text(encoding="utf-8")
        environment.globals["style"] = Markup(style)  # noqa: S704 - a file of ours
        self._template = environment.get_template("share.html")
        digest = base64.b64encode(sha256(style.encode()).digest()).decode()
        self._headers = _HEADERS | {
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'self' data:; "
                "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
        }

    def routes(self) -> list[Route]:
        """Return where this answers."""
        return [
            Route("/share/{secret}.json", self.document, methods=["GET"]),
            Route("/share/{secret}", self.page, methods=["GET"]),
            Route("/share/{secret}/files/{attachment_id}", self.file, methods=["GET"]),
        ]

    async def page(self, request: Request) -> Response:
        """Answer with a page for people."""
        try:
            shared = await self._load(request, _ROWS)
        except NotFoundError:
            html = self._template.render(gone=True)
            return HTMLResponse(html, HTTPStatus.NOT_FOUND, headers=self._headers)
        # In a thread: what is long to render must not hold up others.
        async with self._rendering:
            entries = await asyncio.to_thread(self._entries, request, shared)
        html = self._template.render(
            title=shared.thread.title or "Conversation",
            shared_on=moment(shared.share.created_at),
            entries=entries,
            first="after" not in request.query_params,
            after=shared.items.after,
        )
        return HTMLResponse(html, headers=self._headers)

    async def document(self, request: Request) -> Response:
        """Answer with a page of the items, as JSON."""
        shared = await self._load(request, limit_of(request.query_params))
        base = base_url(request, self._public_url)
        private = {"exclude_metadata": True}
        body = {
            "thread": shared.thread.model_dump(mode="json", include={"title", "created_at"}),
            "data": [
                self._presented(item, request, shared.share, base).model_dump(
                    mode="json", by_alias=True, exclude_none=True, context=private
                )
                for item in shared.items.data
            ],
            "has_more": shared.items.has_more,
            "after": shared.items.after,
        }
        return JSONResponse(body, headers=_HEADERS)

    async def file(self, request: Request) -> Response:
        """Send a file that a page of the share links to."""
        share = await self._store.find_share(digest_of(request.path_params["secret"]))
        attachment_id = request.path_params["attachment_id"]
        download = await self._files.open(share, attachment_id, token_of(request))
        return await send(request, download)

    async def _load(self, request: Request, limit: int) -> _Shared:
        share = await self._store.find_share(digest_of(request.path_params["secret"]))
        context = RequestContext(share.principal, request.state.request_id)
        thread = await self._store.load_thread(share.thread_id, context)
        after = request.query_params.get("after")
        return _Shared(share, thread, await self._store.load_shared_items(share, after, limit))

    def _entries(self, request: Request, shared: _Shared) -> list[_Entry]:
        root = request.scope.get("root_path", "").rstrip("/")
        entries: list[_Entry] = []
        room = _MARKDOWN
        for item in shared.items.data:
            if (passage := passage_of(item)) is None:
                continue
            text = passage.text if passage.speaker == "assistant" else ""
            room -= len(text) + sum(map(len, passage.notes))
            images = {
                file.id: self._link(request, shared.share, file.id, root)
                for file in passage.attachments
                if file.mime_type in RASTER
            }
            render = to_html if room >= 0 else as_it_is
            notes = [render(note) for note in passage.notes]
            entries.append(_Entry(passage, render(text), notes, images))
        return entries

    def _presented(self, item: ThreadItem, request: Request, share: Share, base: str) -> ThreadItem:
        if not (isinstance(item, UserMessageItem) and item.attachments):
            return item
        files = []
        for file in item.attachments:
            changes: dict[str, Any] = {"upload_descriptor": None}
            if file.mime_type in RASTER:
                changes["preview_url"] = AnyUrl(self._link(request, share, file.id, base))
            files.append(file.model_copy(update=changes))
        return item.model_copy(update={"attachments": files})

    def _link(self, request: Request, share: Share, attachment_id: str, base: str) -> str:
        secret = request.path_params["secret"]
        token = self._files.token(share, attachment_id)
        return f"{base}/share/{secret}/files/{attachment_id}?token={token}"
