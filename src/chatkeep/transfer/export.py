"""Conversations as a document, made page by page.

The JSON document, in this order:

    {"chatkeep_export": 1, "threads": [
      {"thread": …, "archived": …, "items": […], "feedback": {item id: kind},
       "attachments": [{"record": …, "content": base64, or null when the bytes are not there}]}]}

`thread`, `items` and `record` are the SDK's types as clients get them: hidden items, and what an
integration keeps in `metadata`, are not the user's to see.
"""

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Literal

from chatkit.types import Attachment, ThreadItem, ThreadMetadata, UserMessageItem
from pydantic import BaseModel

from chatkeep.context import RequestContext
from chatkeep.errors import NotFoundError
from chatkeep.ports import Store, ThreadSummary
from chatkeep.transfer.markdown import thread_markdown
from chatkeep.transfer.summary import load_summary

VERSION = 1
"""Of the JSON document."""

type Format = Literal["json", "markdown"]

type ReadFile = Callable[[Attachment, RequestContext], AsyncGenerator[bytes]]
"""Yields an attachment's bytes; `NotFoundError` before the first of them when there are none.

`Attachments.stream` is one.
"""

_PAGE = 100


async def export_user(
    store: Store, read: ReadFile, context: RequestContext
) -> AsyncGenerator[bytes]:
    """Yield the JSON document of all threads of a user, archived ones first.

    Threads come by their last activity, oldest first, so that an import in this order restores
    it. What is written while the document is made may be in it or not.

    Raises:
        ChatkeepError: Store or storage failed; what has been yielded is no whole document.
    """
    yield _head()
    first = True
    async for summary in _summaries(store, context):
        if not first:
            yield b","
        first = False
        async for chunk in _thread_json(store, read, summary, context):
            yield chunk
    yield b"]}\n"


async def export_thread(
    store: Store,
    read: ReadFile,
    thread_id: str,
    context: RequestContext,
    format: Format = "json",
) -> AsyncGenerator[bytes]:
    """Yield one thread of a user, as a JSON document like that of `export_user`, or as Markdown.

    Raises:
        NotFoundError: There is no such thread; before anything is yielded.
        ChatkeepError: As `export_user`.
    """
    summary = await load_summary(store, thread_id, context)
    if format == "markdown":
        pages = _items(store, thread_id, context)
        async for text in thread_markdown(summary.thread, pages):
            yield text.encode(errors="replace")
        return
    yield _head()
    async for chunk in _thread_json(store, read, summary, context):
        yield chunk
    yield b"]}\n"


def _head() -> bytes:
    return b'{"chatkeep_export": %d, "threads": [' % VERSION


async def _summaries(store: Store, context: RequestContext) -> AsyncIterator[ThreadSummary]:
    """Yield every thread once, also one that is put away or taken back meanwhile."""
    seen: set[str] = set()
    for archived in (True, False, True):
        after, more = None, True
        while more:
            page = await store.load_summaries(_PAGE, after, "asc", context, archived=archived)
            for summary in page.data:
                if summary.thread.id not in seen:
                    seen.add(summary.thread.id)
                    yield summary
            after, more = page.after, page.has_more


async def _items(
    store: Store, thread_id: str, context: RequestContext
) -> AsyncIterator[list[ThreadItem]]:
    """Yield the pages of a thread; none of one that is deleted meanwhile."""
    after, more = None, True
    while more:
        try:
            page = await store.load_thread_items(
                thread_id, after, _PAGE, "asc", context, include_hidden=False
            )
        except NotFoundError:
            return
        yield page.data
        after, more = page.after, page.has_more


async def _thread_json(
    store: Store, read: ReadFile, summary: ThreadSummary, context: RequestContext
) -> AsyncGenerator[bytes]:
    thread_id = summary.thread.id
    archived = json.dumps(summary.archived)
    yield f'\n{{"thread": {_thread(summary.thread)}, "archived": {archived}, "items": ['.encode()
    separator = ""
    attachments: list[Attachment] = []
    async for page in _items(store, thread_id, context):
        lines = [f"\n{_text(item)}" for item in page]
        if lines:
            yield (separator + ",".join(lines)).encode()
            separator = ","
        messages = [item for item in page if isinstance(item, UserMessageItem)]
        attachments += [file for message in messages for file in message.attachments]
    yield f'], "feedback": {await _feedback(store, thread_id, context)}, "attachments": ['.encode()
    separator = ""
    for attachment in {each.id: each for each in attachments}.values():
        try:
            record = await store.load_attachment(attachment.id, context)
        except NotFoundError:
            continue  # deleted; the message keeps its name
        yield f'{separator}\n{{"record": {_text(record)}, "content": '.encode()
        separator = ","
        async for chunk in _content(read, record, context):
            yield chunk
        yield b"}"
    yield b"]}"


async def _feedback(store: Store, thread_id: str, context: RequestContext) -> str:
    try:
        return json.dumps(await store.load_feedback(thread_id, context))
    except NotFoundError:
        return "{}"


async def _content(
    read: ReadFile, attachment: Attachment, context: RequestContext
) -> AsyncGenerator[bytes]:
    """Yield the bytes of an attachment as a JSON string, or null."""
    async with aclosing(read(attachment, context)) as content:
        try:
            rest = await anext(content, b"")
        except NotFoundError:
            yield b"null"
            return
        yield b'"'
        async for chunk in content:
            whole = len(rest) - len(rest) % 3
            yield base64.b64encode(rest[:whole])
            rest = rest[whole:] + chunk
        yield base64.b64encode(rest) + b'"'


def _thread(thread: ThreadMetadata) -> str:
    return thread.model_dump_json(by_alias=True, exclude={"metadata"})


def _text(value: BaseModel) -> str:
    private: dict[str, Any] = {"exclude_metadata": True}
    return value.model_dump_json(by_alias=True, context=private)
