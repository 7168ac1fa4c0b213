"""A whole answer as the events of a stream, with ids of its own."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from agents.items import TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseOutputItem,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseOutputTextAnnotationAddedEvent,
    ResponseReasoningItem,
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
)

from chatkeep.ids import new_id

_PIECE = re.compile(r".{1,48}(?:\s+|$)|.{1,48}", re.DOTALL)


def can_be_replayed(response: Response) -> bool:
    """Whether a response is a complete answer of text, with or without thoughts before it."""
    spoken = False
    for item in response.output:
        if isinstance(item, ResponseOutputMessage):
            texts = [isinstance(part, ResponseOutputText) for part in item.content]
            if not (texts and all(texts)):
                return False
            spoken = True
        elif not isinstance(item, ResponseReasoningItem):
            return False
    complete = response.status in (None, "completed") and response.incomplete_details is None
    return spoken and complete and response.error is None


async def replay(response: Response) -> AsyncGenerator[TResponseStreamEvent]:
    """Yield the events of a response again; it has cost nothing, and says so."""
    fresh = response.model_copy(deep=True, update={"id": new_id("resp"), "usage": None})
    begun = fresh.model_copy(update={"output": [], "status": "in_progress"})
    replaying = _Replaying()
    yield ResponseCreatedEvent(type="response.created", response=begun, sequence_number=0)
    for index, item in enumerate(fresh.output):
        if isinstance(item, ResponseOutputMessage):
            events = replaying.message(item, index)
        elif isinstance(item, ResponseReasoningItem):
            events = replaying.thought(item, index)
        else:
            continue
        for event in events:
            yield event
            await asyncio.sleep(0)  # others get their turn
    yield ResponseCompletedEvent(
        type="response.completed", response=fresh, sequence_number=replaying.next()
    )


class _Replaying:
    def __init__(self) -> None:
        self._number = 0

    def next(self) -> int:
        self._number += 1
        return self._number

    def message(self, item: ResponseOutputMessage, index: int) -> Iterator[TResponseStreamEvent]:
        item.id = new_id("msg")
        begun = item.model_copy(update={"content": [], "status": "in_progress"})
        yield self._added(begun, index)
        for place, part in enumerate(item.content):
            if isinstance(part, ResponseOutputText):
                at = {"item_id": item.id, "output_index": index, "content_index": place}
                yield from self._text(part, at)
        yield self._done(item, index)

    def _text(self, part: ResponseOutputText, at: dict[str, Any]) -> Iterator[TResponseStreamEvent]:
        empty = part.model_copy(update={"text": "", "annotations": []})
        yield ResponseContentPartAddedEvent(
            type="response.content_part.added", part=empty, sequence_number=self.next(), **at
        )
        for piece in _PIECE.findall(part.text):
            yield ResponseTextDeltaEvent(
                type="response.output_text.delta",
                delta=piece,
                logprobs=[],
                sequence_number=self.next(),
                **at,
            )
        for number, annotation in enumerate(part.annotations):
            yield ResponseOutputTextAnnotationAddedEvent.model_validate(
                {
                    "type": "response.output_text.annotation.added",
                    "annotation": annotation.model_dump(),
                    "annotation_index": number,
                    "sequence_number": self.next(),
                    **at,
                }
            )
        yield ResponseTextDoneEvent(
            type="response.output_text.done",
            text=part.text,
            logprobs=[],
            sequence_number=self.next(),
            **at,
        )
        yield ResponseContentPartDoneEvent(
            type="response.content_part.done", part=part, sequence_number=self.next(), **at
        )

    def thought(self, item: ResponseReasoningItem, index: int) -> Iterator[TResponseStreamEvent]:
        item.id = new_id("rs")
        # What only its provider can read belongs to the answer that it was made for.
        item.encrypted_content = None
        yield self._added(item.model_copy(update={"summary": [], "content": None}), index)
        texts = [part.text for part in (*item.summary, *(item.content or ()))]
        for number, text in enumerate(texts):
            for piece in _PIECE.findall(text):
                yield ResponseReasoningSummaryTextDeltaEvent(
                    type="response.reasoning_summary_text.delta",
                    delta=piece,
                    item_id=item.id,
                    output_index=index,
                    summary_index=number,
                    sequence_number=self.next(),
                )
        yield self._done(item, index)

    def _added(self, item: ResponseOutputItem, index: int) -> TResponseStreamEvent:
        return ResponseOutputItemAddedEvent(
            type="response.output_item.added",
            item=item,
            output_index=index,
            sequence_number=self.next(),
        )

    def _done(self, item: ResponseOutputItem, index: int) -> TResponseStreamEvent:
        return ResponseOutputItemDoneEvent(
            type="response.output_item.done",
            item=item,
            output_index=index,
            sequence_number=self.next(),
        )
