"""What the model is told of the thread: the newest items that fit, in order."""

from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

from agents import TResponseInputItem
from chatkit.types import ThreadItem, ThreadMetadata, UserMessageItem

from chatkeep.agent.convert import ItemConverter
from chatkeep.context import RequestContext
from chatkeep.ports import Store

_PAGE = 50
_BYTES_PER_TOKEN = 3
_MESSAGE_TOKENS = 8  # roles and separators around each message
_IMAGE_TOKENS = 1_000  # providers count by pixels: some hundred to some thousand
_FILE_SHARE = 0.5  # of the budget, for the text of one message's files
_NO_IMAGE = "[An image was here; this model does not take images.]"


def estimate_tokens(items: list[TResponseInputItem]) -> int:
    """Return about how many tokens the items have, on the safe side.

    English has some four bytes of UTF-8 for a token and other languages nearer three (tokenizers
    differ, and the exact ones are downloads), so three is an estimate that rarely is too low.
    """
    return sum(_MESSAGE_TOKENS + sum(map(_tokens_of, _parts_of(item))) for item in items)


def has_images(items: list[TResponseInputItem]) -> bool:
    """Whether a model that takes text only would refuse this input."""
    return any(_is_image(part) for item in items for part in _parts_of(item))


def without_images(items: list[TResponseInputItem]) -> list[TResponseInputItem]:
    """Return the input with a note instead of each image."""
    plain: list[TResponseInputItem] = []
    for item in items:
        if not has_images([item]):
            plain.append(item)
            continue
        texts = [_NO_IMAGE if _is_image(part) else part["text"] for part in _parts_of(item)]
        changed = cast("dict[str, Any]", item) | {"content": "\n\n".join(texts)}
        plain.append(cast("TResponseInputItem", changed))
    return plain


async def load_history(
    store: Store,
    converter: ItemConverter,
    thread: ThreadMetadata,
    newest: UserMessageItem | None,
    context: RequestContext,
    *,
    budget_tokens: int,
    image_messages: int = 0,
) -> list[TResponseInputItem]:
    """Return the model input for a turn.

    Args:
        store: Where the thread is.
        converter: Items to input.
        thread: The thread.
        newest: The message to answer. It comes last, also when answers to earlier messages were
            stored behind it because it had to wait; messages behind it, which wait themselves,
            are left out. None: the whole thread.
        context: Who is asking.
        budget_tokens: Older items are left out when the input would have more tokens. The newest
            one is always kept.
        image_messages: Of how many messages of the user, the newest ones, images go along.
    """
    text_tokens = int(budget_tokens * _FILE_SHARE)
    asked = 0

    async def convert(item: ThreadItem) -> list[TResponseInputItem]:
        nonlocal asked
        asked += isinstance(item, UserMessageItem)
        images = asked <= image_messages
        return await converter.convert(item, context, images=images, text_tokens=text_tokens)

    kept: deque[list[TResponseInputItem]] = deque()
    if newest is not None:
        kept.append(await convert(newest))
    used = sum(map(estimate_tokens, kept))
    async for item in _newest_first(store, thread.id, newest, context):
        converted = await convert(item)
        used += estimate_tokens(converted)
        if kept and used > budget_tokens:
            break
        kept.appendleft(converted)
    return [part for converted in kept for part in converted]


def _parts_of(item: TResponseInputItem) -> Iterator[Any]:
    """Yield the parts of a message, or the item when it is none."""
    content = cast("dict[str, Any]", item).get("content")
    if isinstance(content, list):
        yield from content
    else:
        yield item


def _is_image(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "input_image"


def _tokens_of(part: Any) -> int:
    return _IMAGE_TOKENS if _is_image(part) else len(str(part).encode()) // _BYTES_PER_TOKEN


async def _newest_first(
    store: Store, thread_id: str, newest: UserMessageItem | None, context: RequestContext
) -> AsyncIterator[ThreadItem]:
    """Yield what is said to the model before a message, or all there is."""
    behind = newest is not None
    after = None
    while True:
        page = await store.load_thread_items(thread_id, after, _PAGE, "desc", context)
        for item in page.data:
            if newest is not None and item.id == newest.id:
                behind = False
            elif not (behind and isinstance(item, UserMessageItem)):
                yield item
        if not page.has_more:
            return
        after = page.after
