"""The store as a `ChatKitServer` gets it: it knows for whom, and for which turn, a call is."""

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import iscoroutinefunction, signature
from typing import Any, cast

from chatkit.store import Store as ChatKitStore
from chatkit.types import Page, ThreadItem, ThreadMetadata

from chatkeep.ports import Store
from chatkeep.turns.draft import Draft
from chatkeep.turns.patience import patient
from chatkeep.turns.scope import current

_READS = ("load_", "find_", "search")

_LOOKS_AT_ITEMS = frozenset(
    {"load_thread_items", "load_item", "save_item", "delete_thread_item", "delete_thread_items"}
)

# Where the SDK's methods have their context; the port's other methods are called by us only.
_CONTEXT_AT = {
    name: list(signature(method).parameters).index("context") - 1
    for name, method in vars(ChatKitStore).items()
    if iscoroutinefunction(method)
}


def scoped(store: Store) -> Store:
    """Return the store for code that runs inside of requests and turns."""
    return cast("Store", _ScopedStore(store))


class _ScopedStore:
    """Everything but what is defined here is the store's own, asked for the right person.

    The context of a call is replaced by that of the running request or turn: code of others may
    pass anything, and no mistake of it may reach another user's data.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._calls: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if (call := self._calls.get(name)) is None:
            attribute = getattr(self._store, name)
            call = self._scoped(name, attribute) if iscoroutinefunction(attribute) else attribute
            self._calls[name] = call
        return call

    def _scoped(self, name: str, call: Callable[..., Awaitable[Any]]) -> Any:
        place = _CONTEXT_AT.get(name)

        @wraps(call)
        async def scoped_call(*args: Any, **named: Any) -> Any:
            scope = current()
            if scope is not None and place is not None:
                args = (*args[:place], *args[place + 1 :])
                named["context"] = scope.context
            if scope is None or scope.turn is None:
                return await call(*args, **named)
            if name in _LOOKS_AT_ITEMS:
                await scope.turn.draft.flush()
            answer = await patient(lambda: call(*args, **named))
            if not name.startswith(_READS):
                scope.turn.touched_by_store()
            return answer

        return scoped_call

    async def load_thread_items(
        self,
        thread_id: str,
        after: str | None,
        limit: int,
        order: str,
        context: Any,
        **more: Any,
    ) -> Page[ThreadItem]:
        """Load a page, without what the turn's answer takes the place of."""
        load = self.__getattr__("load_thread_items")
        page: Page[ThreadItem] = await load(thread_id, after, limit, order, context, **more)
        draft = _draft()
        if draft is not None and draft.replaced:
            page.data = [item for item in page.data if item.id not in draft.replaced]
        return page

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: Any) -> None:
        """Store an item; inside of a turn, with what comes next."""
        draft = _draft()
        if draft is None or not draft.add(thread_id, item):
            await self.__getattr__("add_thread_item")(thread_id, item, context)

    async def save_item(self, thread_id: str, item: ThreadItem, context: Any) -> None:
        """Store an item in its place."""
        draft = _draft()
        if draft is None or not (draft.has(item.id) and draft.add(thread_id, item)):
            await self.__getattr__("save_item")(thread_id, item, context)

    async def load_thread(self, thread_id: str, context: Any) -> ThreadMetadata:
        """Load a thread."""
        thread: ThreadMetadata = await self.__getattr__("load_thread")(thread_id, context)
        if (draft := _draft()) is not None:
            draft.begin(thread)
        return thread

    async def save_thread(self, thread: ThreadMetadata, context: Any) -> None:
        """Store a thread; inside of a turn, what was changed of it."""
        draft = _draft()
        if draft is None or not await draft.save_thread(thread):
            await self.__getattr__("save_thread")(thread, context)


def _draft() -> Draft | None:
    scope = current()
    return scope.turn.draft if scope and scope.turn else None
