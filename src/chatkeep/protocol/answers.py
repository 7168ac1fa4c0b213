"""The requests of the protocol that are answered at once.

Private methods of the SDK are overridden where it would lose or leak something; the versions are
pinned, and `tests/unit/test_sdk_pins.py` fails when one of those methods moves.
"""

import structlog
from chatkit.server import DEFAULT_PAGE_SIZE, ChatKitServer
from chatkit.types import (
    AttachmentsCreateReq,
    AttachmentsDeleteReq,
    FeedbackKind,
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

from chatkeep.context import RequestContext
from chatkeep.errors import ChatkeepError, NotFoundError
from chatkeep.files.attachments import Attachments
from chatkeep.ports import Store
from chatkeep.protocol.changes import rename

_log = structlog.get_logger(__name__)


class AnsweringServer(ChatKitServer[RequestContext]):
    """The SDK's server, as far as lists, single threads, files and feedback go.

    `respond`, which answers messages, is for a subclass.
    """

    store: Store

    def __init__(self, store: Store, attachments: Attachments) -> None:
        super().__init__(store, attachments)
        self._attachments = attachments

    async def answer(self, request: NonStreamingReq, context: RequestContext) -> bytes:
        """Return the JSON answer to a request that passed the pre-flight."""
        return await self._process_non_streaming(request, context)

    async def mark_read(self, thread_id: str, context: RequestContext) -> None:
        """Note that the user has seen the thread to its end, if that can be noted."""
        try:
            await self.store.mark_read(thread_id, context)
        except ChatkeepError as error:
            _log.info("not marked as read", error=type(error).__name__)

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: RequestContext
    ) -> None:
        """Keep the user's judgement."""
        await self.store.add_feedback(thread_id, item_ids, feedback, context)

    async def _process_non_streaming(
        self, request: NonStreamingReq, context: RequestContext
    ) -> bytes:
        match request:
            case AttachmentsCreateReq():
                # The SDK would store it as it goes out, links included.
                created = await self._attachments.create_attachment(request.params, context)
                return self._serialize(created)
            case AttachmentsDeleteReq():
                await self._attachments.delete_attachment(request.params.attachment_id, context)
                return b"{}"
            case ThreadsDeleteReq():
                files = await self._files_of(request.params.thread_id, context)
                answer = await super()._process_non_streaming(request, context)
                await self._attachments.discard(files, context)
                return answer
            case ItemsListReq():
                return await self._list_items(request, context)
            case ThreadsListReq() | ThreadsUpdateReq():
                return self._serialize(await self._threads(request, context))
            case _:
                answer = await super()._process_non_streaming(request, context)
                if isinstance(request, ThreadsGetByIdReq):
                    await self.mark_read(request.params.thread_id, context)
                return answer

    async def _threads(
        self, request: ThreadsListReq | ThreadsUpdateReq, context: RequestContext
    ) -> Page[Thread] | Thread:
        """Return a page by last activity, without what was put away, or one thread renamed."""
        params = request.params
        if isinstance(params, ThreadUpdateParams):
            renamed = await rename(self.store, params.thread_id, params.title, context)
            return self._to_thread_response(renamed)
        limit = params.limit or DEFAULT_PAGE_SIZE
        page = await self.store.load_summaries(limit, params.after, params.order, context)
        threads = [self._to_thread_response(summary.thread) for summary in page.data]
        return Page(data=threads, has_more=page.has_more, after=page.after)

    async def _list_items(self, request: ItemsListReq, context: RequestContext) -> bytes:
        params = request.params
        # The SDK filters hidden items after paging, which makes short and empty pages.
        page = await self.store.load_thread_items(
            params.thread_id,
            params.after,
            params.limit or DEFAULT_PAGE_SIZE,
            params.order,
            context,
            include_hidden=False,
        )
        page.data = [self._presented(item, context) for item in page.data]
        return self._serialize(page)

    def _presented(self, item: ThreadItem, context: RequestContext) -> ThreadItem:
        """Return the item as it goes out: with links to its files that are good from now on."""
        if not (isinstance(item, UserMessageItem) and item.attachments):
            return item
        attachments = [self._attachments.present(file, context) for file in item.attachments]
        return item.model_copy(update={"attachments": attachments})

    async def _files_of(self, thread_id: str, context: RequestContext) -> list[str]:
        """Return the ids of all attachments in a thread; none of a thread that is not there."""
        ids: list[str] = []
        after, more = None, True
        while more:
            try:
                page = await self.store.load_thread_items(thread_id, after, 100, "asc", context)
            except NotFoundError:
                break
            messages = [item for item in page.data if isinstance(item, UserMessageItem)]
            ids += [file.id for message in messages for file in message.attachments]
            after, more = page.after, page.has_more
        return ids

    async def _load_full_thread(self, thread_id: str, context: RequestContext) -> Thread:
        thread = await self.store.load_thread(thread_id, context)
        items = await self.store.load_thread_items(
            thread_id, None, DEFAULT_PAGE_SIZE, "asc", context, include_hidden=False
        )
        items.data = [self._presented(item, context) for item in items.data]
        return Thread(**thread.model_dump(), items=items)
