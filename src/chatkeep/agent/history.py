"""What the model is told of the thread: the newest items that fit, in order."""

from collections import deque
from collections.abc import AsyncIterator

from agents import TResponseInputItem
from chatkit.types import ThreadItem, ThreadMetadata, UserMessageItem

from chatkeep.agent.convert import ItemConverter
from chatkeep.context import RequestContext
from chatkeep.ports import Store

_PAGE = 50
_BYTES_PER_TOKEN = 3
_MESSAGE_TOKENS = 8  # roles and separators around each message


def estimate_tokens(items: list[TResponseInputItem]) -> int:
    """Return about how many tokens the items have, on the safe side.

    English has some four bytes of UTF-8 for a token and other languages nearer three (tokenizers
    differ, and the exact ones are downloads), so three is an estimate that rarely is too low.
    """
    return sum(_MESSAGE_TOKENS + len(str(item).encode()) // _BYTES_PER_TOKEN for item in items)


async def load_history(
    store: Store,
    converter: ItemConverter,
    thread: ThreadMetadata,
    newest: UserMessageItem | None,
    context: RequestContext,
    *,
    budget_tokens: int,
) -> list[TResponseInputItem]:
    """Return the model input for a turn.

    Args:
        store: Where the thread is.
        converter: Items to input.
        thread: The thread.
        newest: The message to answer; what was stored behind it is not looked at (a retry leaves
            the old answer there until the new one exists). None: the whole thread.
        context: Who is asking.
        budget_tokens: Older items are left out when the input would have more tokens. The newest
            one is always kept.
    """
    kept: deque[list[TResponseInputItem]] = deque()
    if newest is not None:
        kept.append(await converter.convert(newest))
    used = sum(map(estimate_tokens, kept))
    before = newest.id if newest else None
    async for item in _newest_first(store, thread.id, before, context):
        converted = await converter.convert(item)
        used += estimate_tokens(converted)
        if kept and used > budget_tokens:
            break
        kept.appendleft(converted)
    return [part for converted in kept for part in converted]


async def _newest_first(
    store: Store, thread_id: str, before: str | None, context: RequestContext
) -> AsyncIterator[ThreadItem]:
    after = before
    while True:
        page = await store.load_thread_items(thread_id, after, _PAGE, "desc", context)
        for item in page.data:
            yield item
        if not page.has_more:
            return
        after = page.after
