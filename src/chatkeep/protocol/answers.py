"""The requests of the protocol that are answered at once, for any server."""

import structlog
from chatkit.server import DEFAULT_PAGE_SIZE
from chatkit.types import (
    AttachmentsCreateReq,
    AttachmentsDeleteReq,
    ItemsFeedbackReq,
    ItemsListReq,
    NonStreamingReq,
    Page,
    Thread,
    ThreadItem,
    ThreadsDeleteReq,
    ThreadsGetByIdReq,
    ThreadsListReq,
    ThreadsUpdateReq,
    ThreadUpdateParams,
    UserMessageItem,
)
from pydantic import BaseModel

from chatkeep.context import RequestContext
from chatkeep.errors import ChatkeepError, NotFoundError
from chatkeep.files.attachments import Attachments
from chatkeep.ports import Store
from chatkeep.protocol.changes import rename
from chatkeep.protocol.hosting import Host
from chatkeep.turns.scope import Scope, entered

_log = structlog.get_logger(__name__)


class Answers:
    """Answers for one server: lists, single threads, files, feedback and more.

    The SDK's own way is left where it would lose or leak something.

    Args:
        host: The server.
        store: Where conversations are kept.
        attachments: Chatkeep's files.
    """

    def __init__(self, host: Host, store: Store, attachments: Attachments) -> None:
        self._host = host
        self._server = host.server
        self._store = store
        self._attachments = attachments

    async def answer(self, request: NonStreamingReq, context: RequestContext) -> bytes:
        """Return the JSON answer to a request that passed the pre-flight."""
        with entered(Scope(context)):
            return await self._answer(request, context)

    async def mark_read(self, thread_id: str, context: RequestContext) -> None:
        """Note that the user has seen the thread to its end, if that can be noted."""
        try:
            await self._store.mark_read(thread_id, context)
        except ChatkeepError as error:
            _log.info("not marked as read", error=type(error).__name__)

    async def _answer(self, request: NonStreamingReq, context: RequestContext) -> bytes:
        result: BaseModel | None = None
        match request:
            case AttachmentsCreateReq() if self._host.keeps_files:
                # The SDK would store it as it goes out, links included.
                result = await self._attachments.create_attachment(request.params, context)
            case AttachmentsDeleteReq() if self._host.keeps_files:
                await self._attachments.delete_attachment(request.params.attachment_id, context)
            case ThreadsDeleteReq():
                await self._delete_thread(request.params.thread_id, context)
            case ItemsListReq():
                result = await self._list_items(request, context)
            case ThreadsListReq() | ThreadsUpdateReq():
                result = await self._threads(request, context)
            case ThreadsGetByIdReq():
                result = await self._full_thread(request.params.thread_id, context)
                await self.mark_read(request.params.thread_id, context)
            case _:
                return await self._theirs(request, context)
        return self._host.encode(result) if result is not None else b"{}"

    async def _delete_thread(self, thread_id: str, context: RequestContext) -> None:
        files = await self._files_of(thread_id, context)
        await self._store.delete_thread(thread_id, context)
        await self._attachments.discard(files, context)

    async def _theirs(self, request: NonStreamingReq, context: RequestContext) -> bytes:
        if isinstance(request, ItemsFeedbackReq):
            params = request.params
            await self._store.add_feedback(params.thread_id, params.item_ids, params.kind, context)
        theirs = self._host.theirs(context)
        return await self._server._process_non_streaming(request, theirs)  # noqa: SLF001 - pinned

    async def _threads(
        self, request: ThreadsListReq | ThreadsUpdateReq, context: RequestContext
    ) -> Page[Thread] | Thread:
        """Return a page by last activity, without what was put away, or one thread renamed."""
        params = request.params
        if isinstance(params, ThreadUpdateParams):
            renamed = await rename(self._store, params.thread_id, params.title, context)
            return self._host.thread(renamed)
        limit = params.limit or DEFAULT_PAGE_SIZE
        page = await self._store.load_summaries(
            limit, params.after, params.order, context, previews=False
        )
        threads = [self._host.thread(summary.thread) for summary in page.data]
        return Page(data=threads, has_more=page.has_more, after=page.after)

    async def _list_items(self, request: ItemsListReq, context: RequestContext) -> Page[ThreadItem]:
        params = request.params
        # The SDK filters hidden items after paging, which makes short and empty pages.
        page = await self._store.load_thread_items(
            params.thread_id,
            params.after,
            params.limit or DEFAULT_PAGE_SIZE,
            params.order,
            context,
            include_hidden=False,
        )
        page.data = [self._host.presented(item, context) for item in page.data]
        return page

    async def _files_of(self, thread_id: str, context: RequestContext) -> list[str]:
        """Return the ids of all attachments in a thread; none of a thread that is not there."""
        ids: list[str] = []
        after, more = None, True
        while more:
            try:
                page = await self._store.load_thread_items(thread_id, after, 100, "asc", context)
            except NotFoundError:
                break
            messages = [item for item in page.data if isinstance(item, UserMessageItem)]
            ids += [file.id for message in messages for file in message.attachments]
            after, more = page.after, page.has_more
        return ids

    async def _full_thread(self, thread_id: str, context: RequestContext) -> Thread:
        thread = await self._store.load_thread(thread_id, context)
        items = await self._store.load_thread_items(
            thread_id, None, DEFAULT_PAGE_SIZE, "asc", context, include_hidden=False
        )
        items.data = [self._host.presented(item, context) for item in items.data]
        # What an integration, or we, keep in the thread's metadata is not for clients.
        return self._host.thread(Thread(**thread.model_dump(), items=items))
