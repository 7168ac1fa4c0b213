"""A walk over all operations that finds whatever lets users see or touch each other's rows."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from chatkeep.context import RequestContext
from chatkeep.errors import NotFoundError
from chatkeep.ports import Store
from chatkeep.testing.store_samples import asking, message, thread
from chatkeep.testing.store_tenancy import (
    FOREIGN,
    OPERATIONS,
    OURS,
    UNKNOWN,
    everything,
    furnish,
    outcome,
)

USERS = [FOREIGN["another user"], asking(), FOREIGN["another tenant"]]
STRANGER = asking(user="bob", tenant="umbrella")
"""Shares the user's name with one of them and the tenant with another, and owns nothing."""


async def differences(store: Store) -> AsyncGenerator[str]:
    """Yield the operations that let a user see or touch what is another's."""
    for context in USERS:
        await furnish(store, context, str(context.principal))
    for context in USERS:
        if wrong := await misread(store, context):
            yield wrong
    async for wrong in trespasses(store):
        yield wrong
    await store.save_thread(thread(), STRANGER)
    behind = store.load_thread_items("thr_1", "msg_1", 9, "asc", STRANGER)
    if await outcome(behind) != (NotFoundError, str(NotFoundError())):
        yield "load_thread_items: continued behind another's item"
    for n, context in enumerate(USERS):
        before = [await everything(store, each) for each in USERS[n + 1 :]]
        await store.delete_thread("thr_1", context)
        if [await everything(store, each) for each in USERS[n + 1 :]] != before:
            yield "delete_thread: another's rows"


async def trespasses(store: Store) -> AsyncIterator[str]:
    """Yield the operations with which a stranger reaches the users' rows."""
    before = [await everything(store, context) for context in USERS]
    for name, call in OPERATIONS.items():
        nobody = asking(user=f"nobody {name}", tenant=name)
        unknown = await outcome(call(store, UNKNOWN, nobody))
        if await outcome(call(store, OURS, STRANGER)) != unknown:
            yield f"{name}: the result"
        if [await everything(store, context) for context in USERS] != before:
            yield f"{name}: the rows"
        for row in (await store.load_threads(99, None, "asc", STRANGER)).data:
            await store.delete_thread(row.id, STRANGER)
        await store.delete_attachment("atc_1", STRANGER)


async def difference(store: Store) -> str | None:
    """Return the first difference; looking for more would only take longer."""
    async with aclosing(differences(store)) as found:
        return await anext(found, None)


async def misread(store: Store, context: RequestContext) -> str | None:
    """Return the first read that does not give a user exactly what is his."""
    mark = str(context.principal)
    second = message("msg_2", mark)
    if await store.load_item("thr_1", "msg_2", context) != second:
        return "load_item"
    for order in ("asc", "desc"):
        threads = await store.load_threads(99, None, order, context)
        if [row.metadata["mark"] for row in threads.data] != [mark]:
            return f"load_threads {order}"
        for include_hidden in (True, False):
            items = await store.load_thread_items(
                "thr_1", None, 99, order, context, include_hidden=include_hidden
            )
            if len(items.data) != 2 or second not in items.data:
                return f"load_thread_items {order} {include_hidden}"
    return None
