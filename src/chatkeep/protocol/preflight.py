"""Everything that can be refused is refused before the response starts.

The SDK finds out while it streams, when all it can do is to break off a response of status 200.
Whatever passes here can still fail later (another tab may delete the thread in between); then the
stream ends with an error event.
"""

from collections.abc import Collection

from chatkit.types import (
    ClientToolCallItem,
    InferenceOptions,
    ItemsListReq,
    StructuredInputItem,
    ThreadItem,
    ThreadsAddClientToolOutputReq,
    ThreadsAddStructuredInputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsCustomActionReq,
    ThreadsListReq,
    ThreadsRetryAfterItemReq,
    ThreadsSyncCustomActionReq,
    ThreadsUpdateReq,
    UserMessageInput,
    UserMessageItem,
)

from chatkeep.agent.title import MAX_TITLE
from chatkeep.agent.tool_choice import ToolChoices
from chatkeep.context import RequestContext
from chatkeep.errors import ConflictError, InvalidRequestError, UnsupportedError
from chatkeep.files.attachments import Attachments
from chatkeep.models.catalog import Catalog
from chatkeep.ports import Store
from chatkeep.protocol.own_requests import (
    AnyReq,
    BranchThreadReq,
    EditMessageReq,
    is_streaming,
)
from chatkeep.protocol.wire import thread_id_of

MAX_PAGE = 100
"""Rows of a page, at most; a larger `limit` gets this many."""


class Preflight:
    """Checks requests against what is stored and what is allowed.

    Args:
        store: Where conversations are kept.
        catalog: The models to choose from; None: the server's own code knows them.
        attachments: Chatkeep's files; None: the server keeps files itself.
        offered: The optional methods of `ChatKitServer` that the server has: `transcribe`,
            `action`, `sync_action`.
        tool_choices: What messages may choose; None: the server's own code knows it.
    """

    def __init__(
        self,
        store: Store,
        catalog: Catalog | None,
        attachments: Attachments | None,
        offered: Collection[str] = (),
        tool_choices: ToolChoices | None = None,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._attachments = attachments
        self._offered = offered
        self._tool_choices = tool_choices

    async def check(self, request: AnyReq, context: RequestContext) -> None:
        """Return when the request can be served; clamp the size of a page.

        Raises:
            NotFoundError: It names something that does not exist, or is somebody else's.
            ConflictError: The thread, or a file of the message, is not in a state for it.
            InvalidRequestError: It asks for a model or page that cannot be.
            UnsupportedError: This server has nothing that could answer it.
        """
        if request.type == "input.transcribe" and "transcribe" not in self._offered:
            raise UnsupportedError("This server does not transcribe speech.")
        if isinstance(request, ThreadsListReq | ItemsListReq):
            _clamp(request)
        await self._check_input(request, context)
        if isinstance(request, ThreadsUpdateReq):
            check_title(request.params.title, "params.title")
        thread_id = thread_id_of(request)
        if thread_id is None or request.type == "threads.delete":
            return
        thread = await self._store.load_thread(thread_id, context)
        if is_streaming(request):
            if thread.status.type != "active":
                reason = thread.status.reason or f"This conversation is {thread.status.type}."
                raise ConflictError(reason)
            await self._check_stream(request, thread_id, context)
        elif isinstance(request, ThreadsSyncCustomActionReq):
            self._check_action("sync_action", request.params.action.type)

    async def _check_input(self, request: AnyReq, context: RequestContext) -> None:
        match request:
            case ThreadsCreateReq() | ThreadsAddUserMessageReq() | EditMessageReq():
                thread_id = thread_id_of(request)
                await self._check_message(request.params.input, thread_id, context)
            case BranchThreadReq() if request.params.input is not None:
                await self._check_message(request.params.input, None, context)
            case _:
                return

    async def _check_message(
        self, message: UserMessageInput, thread_id: str | None, context: RequestContext
    ) -> None:
        if not message.content and not message.attachments:
            raise InvalidRequestError("params.input: a message needs content or an attachment")
        if self._attachments is not None:
            await self._attachments.check_message(message.attachments, thread_id, context)
        self._check_choices(message.inference_options, context)

    def _check_choices(self, options: InferenceOptions, context: RequestContext) -> None:
        tenant, choice = context.principal.tenant, options.tool_choice
        catalog, chosen = self._catalog, options.model
        if catalog is not None and chosen is not None and catalog.find(chosen, tenant) is None:
            offered = ", ".join(entry.id for entry in catalog.offered(tenant)) or "none"
            raise InvalidRequestError(
                f"params.input.inference_options.model: not offered here; choose from {offered}"
            )
        if choice is not None and self._tool_choices is not None:
            ids = self._tool_choices.offered(context)
            if choice.id not in ids:
                listed = f"choose from {', '.join(ids)}" if ids else "there is nothing to choose"
                raise InvalidRequestError(
                    f"params.input.inference_options.tool_choice: not offered here; {listed}"
                )

    async def _check_stream(self, request: AnyReq, thread_id: str, context: RequestContext) -> None:
        match request:
            case ThreadsRetryAfterItemReq() | EditMessageReq() | BranchThreadReq():
                item = await self._store.load_item(thread_id, request.params.item_id, context)
                if not isinstance(item, UserMessageItem):
                    raise InvalidRequestError("params.item_id: must be a message of the user")
            case ThreadsAddStructuredInputReq():
                item = await self._store.load_item(thread_id, request.params.item_id, context)
                if not isinstance(item, StructuredInputItem) or item.status != "pending":
                    raise ConflictError("These questions are not waiting for an answer.")
            case ThreadsAddClientToolOutputReq():
                await self._check_pending_call(thread_id, context)
            case ThreadsCustomActionReq():
                self._check_action("action", request.params.action.type)
            case _:
                return

    def _check_action(self, method: str, action: str) -> None:
        if method not in self._offered:
            raise UnsupportedError(f"This server has no handler for the action {action!r}.")

    async def _check_pending_call(self, thread_id: str, context: RequestContext) -> None:
        page = await self._store.load_thread_items(thread_id, None, 1, "desc", context)
        newest: ThreadItem | None = page.data[0] if page.data else None
        if not isinstance(newest, ClientToolCallItem) or newest.status != "pending":
            raise ConflictError("No client tool call is waiting for a result.")


def _clamp(request: ThreadsListReq | ItemsListReq) -> None:
    limit = request.params.limit
    if limit is not None:
        if limit < 1:
            raise InvalidRequestError("params.limit: must be at least 1")
        request.params.limit = min(limit, MAX_PAGE)


def check_title(title: str, field: str) -> None:
    """Return when a title can be one.

    Raises:
        InvalidRequestError: It cannot; the message names the field of the request.
    """
    if not title.strip() or len(title) > MAX_TITLE or not title.isprintable():
        raise InvalidRequestError(
            f"{field}: 1 to {MAX_TITLE} characters, without line breaks and control characters"
        )
