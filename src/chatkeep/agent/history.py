"""What the model is told of the thread: the newest items that fit, in order."""

from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from agents import TResponseInputItem
from chatkit.types import ThreadItem, ThreadMetadata, UserMessageItem

from chatkeep.agent.convert import ItemConverter
from chatkeep.agent.tools import NO_TOOLS, ToolsAtHand
from chatkeep.context import RequestContext
from chatkeep.ports import Store

_PAGE = 50
_BYTES_PER_TOKEN = 3
_MESSAGE_TOKENS = 8  # roles and separators around each message
_IMAGE_TOKENS = 1_000  # providers count by pixels: some hundred to some thousand
_FILE_SHARE = 0.5  # of the budget, for the text of one message's files
_NO_IMAGE = "[An image was here; this model does not take images.]"


def estimate_tokens(items: Iterable[TResponseInputItem]) -> int:
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


@dataclass(frozen=True, slots=True)
class Exchange:
    """A message of the user with all that follows it, which belongs together.

    Attributes:
        last: The id of its last item.
        ended_at: When that item was made; a message that takes the place of another one has its
            id and not its time.
        input: What the model is told of it.
        tokens: How many that has, about.
    """

    last: str
    ended_at: datetime
    input: Sequence[TResponseInputItem]
    tokens: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a thread's history.

    Attributes:
        thread: The thread.
        newest: The message to answer. It comes last, also when answers to earlier messages were
            stored behind it because it had to wait; messages behind it, which wait themselves,
            are left out. None: the whole thread.
        budget_tokens: Older exchanges are left out when there would be more tokens. The newest one
            is always kept.
        image_messages: Of how many messages of the user, the newest ones, images go along.
        tools: The tools whose calls may be in the input.
        until: The item whose exchange, and all older ones, are not wanted.
        file_tokens: The room that texts of one message's files may take half of, when it is not
            the budget.
    """

    thread: ThreadMetadata
    newest: UserMessageItem | None
    budget_tokens: int
    image_messages: int = 0
    tools: ToolsAtHand = NO_TOOLS
    until: str | None = None
    file_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """Exchanges of a thread.

    Attributes:
        exchanges: The newest that fit, oldest first.
        complete: Whether that is all there is, or all behind `until`.
        reached: The time of the item `until`, when it was come to.
    """

    exchanges: Sequence[Exchange]
    complete: bool
    reached: datetime | None = None


async def load_exchanges(
    store: Store, converter: ItemConverter, wanted: Wanted, context: RequestContext
) -> Loaded:
    """Return the newest exchanges that fit, and what is known of those before."""
    loading = _Loading(converter, wanted, context)
    if wanted.newest is not None:
        await loading.add(wanted.newest)
    reached = None
    async for item in _newest_first(store, wanted.thread.id, wanted.newest, context):
        if item.id == wanted.until:
            reached = item.created_at
            break
        await loading.add(item)
        if loading.is_full:
            return Loaded(loading.exchanges(), complete=False)
    return Loaded(loading.exchanges(), complete=loading.close(), reached=reached)


class _Loading:
    """Gathers items, newest first, to exchanges, until they are too much."""

    def __init__(self, converter: ItemConverter, wanted: Wanted, context: RequestContext) -> None:
        self._converter = converter
        self._wanted = wanted
        self._context = context
        self._text_tokens = int((wanted.file_tokens or wanted.budget_tokens) * _FILE_SHARE)
        self._asked = 0
        self._kept: deque[Exchange] = deque()
        self._used = 0
        self._last: ThreadItem | None = None  # of the exchange that is being gathered
        self._open: deque[list[TResponseInputItem]] = deque()
        self._open_tokens = 0

    @property
    def is_full(self) -> bool:
        """Whether what is gathered is more than is wanted, beside the newest exchange."""
        return bool(self._kept) and self._used + self._open_tokens > self._wanted.budget_tokens

    async def add(self, item: ThreadItem) -> None:
        """Add the next older item; a message of the user is the first one of its exchange."""
        is_message = isinstance(item, UserMessageItem)
        self._asked += is_message
        converted = await self._converter.convert(
            item,
            self._context,
            images=self._asked <= self._wanted.image_messages,
            text_tokens=self._text_tokens,
            tools=self._wanted.tools,
        )
        self._last = self._last or item
        self._open.appendleft(converted)
        self._open_tokens += estimate_tokens(converted)
        if is_message:
            self.close()

    def close(self) -> bool:
        """End the exchange that is being gathered, at its beginning, and keep it if it fits."""
        if self._last is None:
            return True
        if self.is_full:
            return False
        parts = [part for converted in self._open for part in converted]
        exchange = Exchange(self._last.id, self._last.created_at, parts, self._open_tokens)
        self._kept.appendleft(exchange)
        self._used += self._open_tokens
        self._last, self._open, self._open_tokens = None, deque(), 0
        return True

    def exchanges(self) -> Sequence[Exchange]:
        """Return what is kept, oldest first."""
        return list(self._kept)


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
