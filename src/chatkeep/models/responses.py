"""An answer by the Responses API: its events checked, bounded, and complete at the end.

The events are constructed, not validated, as the SDKs do; those that come for every token are plain
objects, as an instance of the client's classes costs some 50 µs.
"""

import json
import re
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
from openai._models import construct_type  # what the client makes its own events with
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseOutputItemDoneEvent,
    ResponseStreamEvent,
)

from chatkeep.errors import ModelError, ModelInterruptedError, ModelUnavailableError
from chatkeep.ids import new_id
from chatkeep.models.arguments import repaired
from chatkeep.models.calls import Finish
from chatkeep.models.direct import Begun, Hand, TextDelta
from chatkeep.models.errors import of_object
from chatkeep.models.guard import Limits, SurrogateJoiner
from chatkeep.models.metering import Meter
from chatkeep.models.reading import EventSource
from chatkeep.models.sse import Event
from chatkeep.models.usage import tokens_of

_SPOKEN = frozenset({"response.output_text.delta", "response.refusal.delta"})
_DELTAS = _SPOKEN | {"response.reasoning_summary_text.delta", "response.reasoning_text.delta"}
_ERRORS = frozenset({"error", "response.error"})
_REASONS: dict[str, Finish] = {"max_output_tokens": "length", "content_filter": "content_filter"}
_NOTHING_SAID: dict[Finish, str] = {
    "length": "The model used up its tokens before it came to an answer.",
    "content_filter": "The model provider's content filter withheld the answer.",
}
_BEFORE_THE_FIRST = frozenset({"response.created", "response.in_progress", "response.queued"})
_GOOD_CALL_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class ResponseReader:
    """Reads the payloads of one answer."""

    def __init__(self, meter: Meter, limits: Limits) -> None:
        self.complete = False
        self._meter = meter
        self._limits = limits
        self._begun = False
        self._joiners: defaultdict[str, SurrogateJoiner] = defaultdict(SurrogateJoiner)
        self._call_ids: dict[Any, str] = {}

    def feed(self, event: Event) -> Iterator[Any]:
        """Yield the events that a payload stands for.

        Raises:
            ModelError: The answer failed, or this is none.
            ValueError: The provider sent what is no JSON.
        """
        payload = json.loads(event.data)
        if not isinstance(payload, dict):
            raise ModelInterruptedError if self._begun else ModelUnavailableError
        kind = payload.setdefault("type", event.name or None)
        if kind in _DELTAS:
            self._begun = True
            yield self._delta(kind, payload)
            return
        if _ESCAPED_SURROGATE.search(event.data):
            payload = _encodable(payload)
        if kind in _ERRORS or (payload.get("error") and not kind):
            raise of_object(payload.get("error") or payload, started=self._meter.started)
        yield from self._other(kind, payload)

    def end(self) -> None:
        """Check that the answer has ended.

        Raises:
            ModelInterruptedError: It broke off.
            ModelUnavailableError: There was none: what answers there is no provider.
        """
        if not self.complete:
            raise ModelInterruptedError if self._begun else ModelUnavailableError

    def _other(self, kind: Any, payload: dict[str, Any]) -> Iterator[Any]:
        response = payload if payload.get("object") == "response" else payload.get("response")
        if isinstance(response, dict):
            self._begun = True
            yield from self._response(kind, response, payload)
        elif isinstance(kind, str) and kind.startswith("response."):
            self._begun = True
            if isinstance(item := payload.get("item"), dict):
                self._repair(item, payload.get("output_index"))
            yield construct_type(type_=ResponseStreamEvent, value=payload)

    def _delta(self, kind: str, payload: dict[str, Any]) -> TextDelta:
        text = payload.get("delta")
        text = self._joiners[kind].feed(text) if isinstance(text, str) else ""
        meter = self._meter
        meter.characters += len(text)
        if meter.characters > self._limits.characters:
            raise ModelInterruptedError("The answer is longer than this server takes.")
        meter.started = meter.started or (kind in _SPOKEN and bool(text))
        return TextDelta(
            kind,
            payload.get("item_id") or "",
            text,
            payload.get("content_index") or 0,
            payload.get("summary_index"),
        )

    def _response(
        self, kind: Any, response: dict[str, Any], payload: dict[str, Any]
    ) -> Iterator[Any]:
        """Yield what an event with the whole response says, which may be its end."""
        if isinstance(usage := response.get("usage"), Mapping):
            self._meter.tokens = tokens_of(usage) or self._meter.tokens
        status = response.get("status")
        if kind == "response.failed" or status == "failed":
            raise of_object(response.get("error"), started=self._meter.started)
        if kind not in ("response.completed", "response.incomplete", None):
            yield construct_type(type_=ResponseStreamEvent, value=payload)
            return
        output = [item for item in response.get("output") or [] if isinstance(item, dict)]
        for index, item in enumerate(output):
            self._repair(item, index)
        if kind == "response.incomplete" or status == "incomplete":
            output = self._cut_off(response, output)
        response |= {"output": output, "status": "completed"}
        whole: Any = construct_type(type_=Response, value=response)
        if kind is None:  # it did not stream
            for index, item in enumerate(whole.output):
                yield ResponseOutputItemDoneEvent.model_construct(
                    type="response.output_item.done",
                    item=item,
                    output_index=index,
                    sequence_number=0,
                )
        self.complete = True
        yield ResponseCompletedEvent.model_construct(
            type="response.completed",
            response=whole,
            sequence_number=payload.get("sequence_number", 0),
        )

    def _cut_off(
        self, response: dict[str, Any], output: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return what can be kept of an answer that ended early."""
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        why = _REASONS.get(str(reason))
        if why is None:
            raise of_object(None, started=self._meter.started)
        kept = [
            item
            for item in output
            if item.get("type") != "function_call" or item.get("status") != "incomplete"
        ]
        if not any(item.get("type") != "reasoning" for item in kept):
            raise ModelError(_NOTHING_SAID[why])
        self._meter.ended_early(why)
        return kept

    def _repair(self, item: dict[str, Any], index: Any) -> None:
        """Give a tool call a name that no other one has, and arguments that can be read."""
        if item.get("type") != "function_call":
            return
        call_id = str(item.get("call_id") or "")
        if not _GOOD_CALL_ID.fullmatch(call_id):
            key = item.get("id") or index
            item["call_id"] = self._call_ids.setdefault(key, new_id("tc"))
        arguments = item.get("arguments")
        if item.get("status") == "completed" and isinstance(arguments, str):
            item["arguments"] = repaired(arguments) or arguments


class ResponseStream:
    """Stands where the SDK has an `AsyncStream` of events: it iterates and closes it.

    The pieces of a text that one read of the socket brought are joined. An answer that is handed
    over while it comes is two events here: that it has begun, and its end.

    Args:
        response: The provider's response.
        source: Its events.
        reader: Reads them.
        hand: Hands the answer over; None: it goes through the SDK, event by event.
    """

    def __init__(
        self,
        response: httpx2.Response,
        source: EventSource,
        reader: ResponseReader,
        hand: Hand | None = None,
    ) -> None:
        self.response = response
        self._source = source
        self._reader = reader
        self._hand = hand
        self._first: Any = None
        self._ready: deque[Any] = deque()
        self._failure: Exception | None = None

    def __aiter__(self) -> "ResponseStream":
        return self

    async def __anext__(self) -> Any:
        if self._hand is None:
            return await self._next()
        if self._first is not None:
            event, self._first = self._first, None
            async with self._source.in_time():
                return await self._hand_over(event, self._hand)
        event = await self._next()
        while event.type in _BEFORE_THE_FIRST:
            event = await self._next()
        if isinstance(event, ResponseCompletedEvent):
            return event
        self._first = event
        return Begun()

    async def close(self) -> None:
        """Close the provider's socket."""
        await self._source.aclose()

    async def _hand_over(self, event: Any, hand: Hand) -> ResponseCompletedEvent:
        """Hand the events over as they come; return the end, with all finished items."""
        hand.spoken = True
        items = []
        while not isinstance(event, ResponseCompletedEvent):
            if event.type == "response.output_item.done":
                items.append(event.item)
            await hand.take(event)
            event = await self._next()
        event.response.output = event.response.output or items  # some leave them out
        return event

    async def _next(self) -> Any:
        while not self._ready:
            if self._failure is not None:
                raise self._failure
            if self._reader.complete:
                await self._source.drain()
                raise StopAsyncIteration
            events = await self._source.read()
            try:
                if not events:
                    self._reader.end()
                for event in events:
                    if event.data.strip():
                        for each in self._reader.feed(event):
                            self._add(each)
            except Exception as failure:  # noqa: BLE001 - raised above, behind what came before it
                self._failure = failure
        return self._ready.popleft()

    def _add(self, event: Any) -> None:
        last = self._ready[-1] if self._ready else None
        if isinstance(event, TextDelta) and isinstance(last, TextDelta) and last.joins(event):
            last.delta += event.delta
        else:
            self._ready.append(event)


def _encodable(value: Any) -> Any:
    """Return the value with pairs of surrogates joined and halves replaced."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {name: _encodable(within) for name, within in value.items()}
    return [_encodable(within) for within in value] if isinstance(value, list) else value
