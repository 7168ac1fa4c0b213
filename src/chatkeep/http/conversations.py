"""`/chatkit/threads` and `/chatkit/search`: what the protocol has no request for."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chatkeep.errors import InvalidRequestError
from chatkeep.http.asking import Asking, flag_of, limit_of
from chatkeep.http.bodies import read_json
from chatkeep.ports import SearchHit, Store, ThreadSummary
from chatkeep.protocol.changes import rename
from chatkeep.protocol.preflight import check_title
from chatkeep.transfer.summary import load_summary

_MAX_CHANGE = 16_384  # bytes
_MAX_QUERY = 1_000


class _Change(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    archived: bool | None = None
    read: bool | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class ConversationsEndpoint:
    """Answers with lists of conversations, changes them, and finds them."""

    store: Store
    asking: Asking

    def routes(self) -> list[Route]:
        """Return where this answers."""
        return [
            Route("/chatkit/threads", self.list, methods=["GET"]),
            Route("/chatkit/threads/{thread_id}", self.change, methods=["PATCH"]),
            Route("/chatkit/search", self.search, methods=["GET"]),
        ]

    async def list(self, request: Request) -> Response:
        """Answer with a page of conversations, the newest activity first."""
        asked = await self.asking(request)
        query = request.query_params
        page = await self.store.load_summaries(
            limit_of(query),
            query.get("after"),
            "desc",
            asked.context,
            archived=flag_of(query, "archived"),
        )
        data = [_summary(each) for each in page.data]
        return asked.json({"data": data, "has_more": page.has_more, "after": page.after})

    async def change(self, request: Request) -> Response:
        """Put away or take back, mark as read, rename; answer with the thread as it is now."""
        asked = await self.asking(request)
        thread_id = request.path_params["thread_id"]
        change = _parse(await read_json(request, _MAX_CHANGE))
        if change.title is not None:
            check_title(change.title, "title")
            await rename(self.store, thread_id, change.title, asked.context)
        if change.read:
            await self.store.mark_read(thread_id, asked.context)
        if change.archived is not None:
            await self.store.archive_thread(thread_id, change.archived, asked.context)
        return asked.json(_summary(await load_summary(self.store, thread_id, asked.context)))

    async def search(self, request: Request) -> Response:
        """Answer with a page of what was found, the newest first."""
        asked = await self.asking(request)
        query = request.query_params
        text = query.get("q", "")
        if len(text) > _MAX_QUERY:
            raise InvalidRequestError(f"q: at most {_MAX_QUERY} characters")
        page = await self.store.search(text, limit_of(query), query.get("after"), asked.context)
        data = [_hit(each) for each in page.data]
        return asked.json({"data": data, "has_more": page.has_more, "after": page.after})


def _parse(body: bytes) -> _Change:
    try:
        change = _Change.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:100] or "body"
        raise InvalidRequestError(f"{place}: {first['msg']}") from error
    if change.read is False:
        raise InvalidRequestError("read: can only become true")
    return change


def _summary(summary: ThreadSummary) -> dict[str, Any]:
    thread = summary.thread.model_dump(mode="json", include={"id", "title", "created_at", "status"})
    return thread | {
        "preview": summary.preview,
        "active_at": summary.active_at.isoformat(),
        "unread": summary.unread,
        "archived": summary.archived,
    }


def _hit(hit: SearchHit) -> dict[str, Any]:
    return {
        "thread_id": hit.thread_id,
        "item_id": hit.item_id,
        "title": hit.title,
        "snippet": hit.snippet,
        "marks": hit.marks,
    }
