"""Model stream → ChatKit events, with an id of our own for every item.

The ids of providers are not used: Chat Completions models give every message of every answer the
same placeholder, and other people's ids must never be our keys. An open item is found by the
provider's id until it is done; then the next one with that id is another item.

Nothing here waits: an event goes in, the events for the client come out.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from agents import StreamEvent
from chatkit.agents import ClientToolCall
from chatkit.store import StoreItemType
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ClientToolCallItem,
    DurationSummary,
    FileSource,
    ThoughtTask,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    URLSource,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)

_THOUGHT_STEP = 120  # characters between two updates of a thought

type Events = Iterable[ThreadStreamEvent]


@dataclass(slots=True)
class _Part:
    pieces: list[str] = field(default_factory=list)
    annotations: list[Annotation] = field(default_factory=list)

    def content(self) -> AssistantMessageContent:
        return AssistantMessageContent(text="".join(self.pieces), annotations=[*self.annotations])


@dataclass(slots=True)
class _Message:
    item: AssistantMessageItem
    parts: dict[int, _Part] = field(default_factory=dict)

    def finished(self) -> AssistantMessageItem | None:
        """Return the item with what was streamed, or None when that was nothing."""
        self.item.content = [self.parts[index].content() for index in sorted(self.parts)]
        spoken = any(part.text.strip() or part.annotations for part in self.item.content)
        return self.item if spoken else None


class EventConverter:
    """Converts the stream of one run.

    Args:
        thread_id: The thread of the items.
        generate_id: Makes an id for a type of item.
    """

    def __init__(self, thread_id: str, generate_id: Callable[[StoreItemType], str]) -> None:
        self._thread_id = thread_id
        self._generate_id = generate_id
        self._messages: dict[str, _Message] = {}
        self._thoughts: WorkflowItem | None = None
        self._thought_index: dict[tuple[str, str, int], int] = {}
        self._shown: dict[int, int] = {}  # characters of each thought that the client has
        self._calls: dict[str, str] = {}

    def convert(self, event: StreamEvent) -> Events:
        """Return the client's events for an event of the Agents SDK; often none."""
        if event.type == "run_item_stream_event" and event.item.type == "tool_call_item":
            self._note_call(event.item.raw_item)
        if event.type != "raw_response_event":
            return ()
        handler = self._HANDLERS.get(event.data.type)
        return () if handler is None else handler(self, event.data)

    def finish(self, client_tool_call: ClientToolCall | None = None) -> Iterator[ThreadStreamEvent]:
        """Return what is due at the end of a run: open items closed, the client's tool called."""
        yield from self.close()
        if client_tool_call is not None:
            generated = self._generate_id("tool_call")
            yield ThreadItemDoneEvent(
                item=ClientToolCallItem(
                    id=generated,
                    thread_id=self._thread_id,
                    created_at=datetime.now(UTC),
                    call_id=self._calls.get(_signature(client_tool_call), generated),
                    name=client_tool_call.name,
                    arguments=client_tool_call.arguments,
                )
            )

    def close(self) -> Iterator[ThreadStreamEvent]:
        """Finish every open item with what it has, so that nothing the user saw is lost."""
        for key in list(self._messages):
            yield from self._finish_message(key)
        yield from self.end_thoughts()

    def end_thoughts(self) -> Iterator[ThreadStreamEvent]:
        """Close the running thoughts, as something else is about to be shown."""
        item, self._thoughts = self._thoughts, None
        self._thought_index, self._shown = {}, {}
        if item is None:
            return
        if not item.workflow.tasks:
            yield ThreadItemRemovedEvent(item_id=item.id)
            return
        seconds = int((datetime.now(UTC) - item.created_at).total_seconds())
        item.workflow.summary = DurationSummary(duration=seconds)
        item.workflow.expanded = False
        yield ThreadItemDoneEvent(item=item)

    def _item_added(self, event: Any) -> Events:
        if event.item.type == "reasoning" and self._thoughts is None:
            self._thoughts = WorkflowItem(
                id=self._generate_id("workflow"),
                thread_id=self._thread_id,
                created_at=datetime.now(UTC),
                workflow=Workflow(type="reasoning", tasks=[]),
            )
            # A copy: an event may wait for its reader while the item goes on changing.
            yield ThreadItemAddedEvent(item=self._thoughts.model_copy(deep=True))
        elif event.item.type == "message":
            yield from self.end_thoughts()
            yield from self._message(event.item.id)[1]

    def _item_done(self, event: Any) -> Events:
        if event.item.type != "message":
            return
        if event.item.id not in self._messages:
            yield from self._whole_message(event.item)
        yield from self._finish_message(event.item.id)

    def _message(self, key: str) -> tuple[_Message, Events]:
        """Return the open message with this provider id, and the event that opened it, if new."""
        if (known := self._messages.get(key)) is not None:
            return known, ()
        item = AssistantMessageItem(
            id=self._generate_id("message"),
            thread_id=self._thread_id,
            created_at=datetime.now(UTC),
            content=[],
        )
        message = self._messages[key] = _Message(item)
        return message, [ThreadItemAddedEvent(item=item.model_copy(deep=True))]

    def _part(self, event: Any) -> tuple[_Message, _Part, list[ThreadStreamEvent]]:
        """Return the part that an event is about, and the events that opened it, if new."""
        message, opened = self._message(event.item_id)
        events = [*opened]
        part = message.parts.get(_content_index(event))
        if part is None:
            part = message.parts[_content_index(event)] = _Part()
            events.append(
                _updated(
                    message.item.id,
                    AssistantMessageContentPartAdded(
                        content_index=_content_index(event),
                        content=AssistantMessageContent(text="", annotations=[]),
                    ),
                )
            )
        return message, part, events

    def _part_added(self, event: Any) -> Events:
        if event.part.type == "reasoning_text":
            return ()
        return self._part(event)[2]

    def _text_delta(self, event: Any) -> Events:
        message, part, events = self._part(event)
        if event.delta:
            part.pieces.append(event.delta)
            events.append(
                _updated(
                    message.item.id,
                    AssistantMessageContentPartTextDelta(
                        content_index=_content_index(event), delta=event.delta
                    ),
                )
            )
        return events

    def _text_done(self, event: Any) -> Events:
        message, part, events = self._part(event)
        update = AssistantMessageContentPartDone(
            content_index=_content_index(event), content=part.content()
        )
        return [*events, _updated(message.item.id, update)]

    def _annotation_added(self, event: Any) -> Events:
        annotation = _annotation(event.annotation)
        if annotation is None:
            return ()
        message, part, events = self._part(event)
        update = AssistantMessageContentPartAnnotationAdded(
            content_index=_content_index(event),
            annotation_index=len(part.annotations),
            annotation=annotation,
        )
        part.annotations.append(annotation)
        return [*events, _updated(message.item.id, update)]

    def _whole_message(self, item: Any) -> Events:
        """Return a message that came in one piece, without deltas."""
        message, opened = self._message(item.id)
        for index, content in enumerate(item.content):
            text = content.text if content.type == "output_text" else content.refusal
            message.parts[index] = _Part([text])
        return opened

    def _finish_message(self, key: str) -> Events:
        message = self._messages.pop(key)
        finished = message.finished()
        if finished is None:
            yield ThreadItemRemovedEvent(item_id=message.item.id)
        else:
            yield ThreadItemDoneEvent(item=finished)

    def _thought_delta(self, event: Any) -> Events:
        if self._thoughts is None:
            return
        tasks = self._thoughts.workflow.tasks
        key = _thought_key(event)
        index = self._thought_index.get(key)
        if index is None:
            index = self._thought_index[key] = len(tasks)
            tasks.append(ThoughtTask(content=event.delta))
            added = WorkflowTaskAdded(task=tasks[index].model_copy(), task_index=index)
            yield _updated(self._thoughts.id, added)
            self._shown[index] = len(event.delta)
        elif isinstance(task := tasks[index], ThoughtTask):
            task.content += event.delta
            # An update repeats the whole thought, so they come further apart as it grows.
            shown = self._shown[index]
            if len(task.content) - shown >= max(_THOUGHT_STEP, shown // 10):
                self._shown[index] = len(task.content)
                updated = WorkflowTaskUpdated(task=task.model_copy(), task_index=index)
                yield _updated(self._thoughts.id, updated)

    def _note_call(self, raw: Any) -> None:
        if getattr(raw, "type", None) == "function_call":
            try:
                arguments = json.loads(raw.arguments or "{}")
            except ValueError:
                return  # the SDK reports bad arguments to the model; no client tool was called
            call = ClientToolCall.model_construct(name=raw.name, arguments=arguments)
            self._calls[_signature(call)] = raw.call_id

    _HANDLERS: ClassVar[dict[str, Callable[["EventConverter", Any], Events]]] = {
        "response.output_item.added": _item_added,
        "response.output_item.done": _item_done,
        "response.content_part.added": _part_added,
        "response.output_text.delta": _text_delta,
        "response.refusal.delta": _text_delta,
        "response.output_text.done": _text_done,
        "response.output_text.annotation.added": _annotation_added,
        "response.reasoning_summary_text.delta": _thought_delta,
        "response.reasoning_text.delta": _thought_delta,
    }


def _content_index(event: Any) -> int:
    """Return which part of its item an event is about; llama.cpp, which has one, does not say."""
    return getattr(event, "content_index", None) or 0


def _updated(item_id: str, update: ThreadItemUpdate) -> ThreadItemUpdatedEvent:
    return ThreadItemUpdatedEvent(item_id=item_id, update=update)


def _signature(call: ClientToolCall) -> str:
    """Tell the calls of one turn apart, as the client's names only its tool and arguments."""
    return json.dumps([call.name, call.arguments], sort_keys=True)


def _thought_key(event: Any) -> tuple[str, str, int]:
    index = getattr(event, "summary_index", None)
    return event.item_id, event.type, _content_index(event) if index is None else index


def _annotation(raw: Any) -> Annotation | None:
    """Return a provider's citation as ours, or None for a kind that has no source."""
    # Chat Completions streams carry annotations as plain dicts, Responses streams as objects.
    fields: dict[str, Any] = raw if isinstance(raw, dict) else raw.model_dump()
    index = fields.get("end_index", fields.get("index"))
    if fields.get("type") == "url_citation":
        url = fields["url"]
        return Annotation(source=URLSource(url=url, title=fields.get("title") or url), index=index)
    if filename := fields.get("filename"):
        return Annotation(source=FileSource(filename=filename, title=filename), index=index)
    return None
