"""Model stream → ChatKit events, with an id of our own for every item.

The ids of providers are not used: Chat Completions models give every message of every answer the
same placeholder, and other people's ids must never be our keys. An open item is found by the
provider's id until it is done; then the next one with that id is another item.

Nothing here waits: an event goes in, the events for the client come out.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar

from agents import StreamEvent
from chatkit.agents import ClientToolCall
from chatkit.store import StoreItemType
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ClientToolCallItem,
    DurationSummary,
    GeneratedImage,
    GeneratedImageItem,
    GeneratedImageUpdated,
    Task,
    ThoughtTask,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)

from chatkeep.agent.citations import annotation_of
from chatkeep.agent.hosted_tools import image_url, task_of
from chatkeep.agent.open_message import OpenMessage, OpenPart
from chatkeep.models.direct import TextDelta

_SPOKEN = frozenset({"response.output_text.delta", "response.refusal.delta"})
_THOUGHT_STEP = 120  # characters between two updates of a thought

type Events = Iterable[ThreadStreamEvent]


class EventConverter:
    """Converts the stream of one run.

    Args:
        thread_id: The thread of the items.
        generate_id: Makes an id for a type of item.
    """

    def __init__(self, thread_id: str, generate_id: Callable[[StoreItemType], str]) -> None:
        self._thread_id = thread_id
        self._generate_id = generate_id
        self._messages: dict[str, OpenMessage] = {}
        self._thoughts: WorkflowItem | None = None
        self._thought_index: dict[tuple[str, str, int], int] = {}
        self._shown: dict[int, int] = {}  # characters of each thought that the client has
        self._hosted: dict[str, int] = {}  # provider's tools at work, by the index of their task
        self._images: dict[str, GeneratedImageItem] = {}
        self._calls: dict[str, str] = {}
        self._of_call: list[str] = []  # the items that the model's present call has shown

    def convert(self, event: StreamEvent) -> Events:
        """Return the client's events for an event of the Agents SDK; often none."""
        if event.type == "run_item_stream_event" and event.item.type == "tool_call_item":
            self._note_call(event.item.raw_item)
        return self.take(event.data) if event.type == "raw_response_event" else ()

    def take(self, event: Any) -> Events:
        """Return the client's events for one of a model, which may come without the SDK."""
        handler = self._HANDLERS.get(event.type)
        return () if handler is None else handler(self, event)

    def place_of(self, event: TextDelta) -> tuple[str, int] | None:
        """Return the item and the part of it that a piece goes on with; None if it begins one."""
        message = self._messages.get(event.item_id) if event.type in _SPOKEN else None
        if message is None or event.content_index not in message.parts:
            return None
        return message.item.id, event.content_index

    def heard(self, event: TextDelta) -> None:
        """Note a piece that has been shown already, in its place."""
        self._messages[event.item_id].parts[event.content_index].pieces.append(event.delta)

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
        for item in self._images.values():
            yield ThreadItemRemovedEvent(item_id=item.id)
        self._images.clear()

    def end_thoughts(self) -> Iterator[ThreadStreamEvent]:
        """Close the running thoughts, as something else is about to be shown."""
        item, self._thoughts = self._thoughts, None
        self._thought_index, self._shown, self._hosted = {}, {}, {}
        if item is None:
            return
        if not item.workflow.tasks:
            yield ThreadItemRemovedEvent(item_id=item.id)
            return
        for task in item.workflow.tasks:
            if task.status_indicator == "loading":
                task.status_indicator = "complete"  # nothing more will be heard of it
        seconds = int((datetime.now(UTC) - item.created_at).total_seconds())
        item.workflow.summary = DurationSummary(duration=seconds)
        item.workflow.expanded = False
        yield ThreadItemDoneEvent(item=item)

    def _call_begins(self, _: Any) -> Events:
        self._of_call.clear()
        return ()

    def _withdrawn(self, _: Any) -> Events:
        """Take back what the model's present call has shown: another model answers instead."""
        self._messages.clear()
        self._images.clear()
        self._thoughts = None
        self._thought_index, self._shown, self._hosted = {}, {}, {}
        taken, self._of_call = self._of_call, []
        return [ThreadItemRemovedEvent(item_id=item_id) for item_id in taken]

    def _item_added(self, event: Any) -> Events:
        if event.item.type == "reasoning":
            yield from self._begin_thoughts()[1]
        elif event.item.type == "message":
            yield from self.end_thoughts()
            yield from self._message(event.item.id)[1]
        elif event.item.type == "image_generation_call":
            yield from self.end_thoughts()
            yield from self._image(event.item.id)[1]
        elif (task := task_of(event.item, done=False)) is not None:
            thoughts, opened = self._begin_thoughts()
            yield from opened
            yield self._add_task(thoughts, event.item.id, task)

    def _item_done(self, event: Any) -> Events:
        if event.item.type == "message":
            if event.item.id not in self._messages:
                yield from self._whole_message(event.item)
            yield from self._finish_message(event.item.id)
        elif event.item.type == "image_generation_call":
            yield from self._finish_image(event.item)
        elif (task := task_of(event.item, done=True)) is not None:
            index = self._hosted.pop(event.item.id, None)
            if index is not None and self._thoughts is not None:
                self._thoughts.workflow.tasks[index] = task
                yield _updated(
                    self._thoughts.id,
                    WorkflowTaskUpdated(task=task.model_copy(deep=True), task_index=index),
                )

    def _begin_thoughts(self) -> tuple[WorkflowItem, Events]:
        """Return the open thoughts, and the event that opened them, if new."""
        if self._thoughts is not None:
            return self._thoughts, ()
        item = self._thoughts = WorkflowItem(
            id=self._generate_id("workflow"),
            thread_id=self._thread_id,
            created_at=datetime.now(UTC),
            workflow=Workflow(type="reasoning", tasks=[]),
        )
        self._of_call.append(item.id)
        # A copy: an event may wait for its reader while the item goes on changing.
        return item, [ThreadItemAddedEvent(item=item.model_copy(deep=True))]

    def _add_task(self, thoughts: WorkflowItem, key: str, task: Task) -> ThreadStreamEvent:
        tasks = thoughts.workflow.tasks
        self._hosted[key] = len(tasks)
        tasks.append(task)
        added = WorkflowTaskAdded(task=task.model_copy(deep=True), task_index=len(tasks) - 1)
        return _updated(thoughts.id, added)

    def _image(self, key: str) -> tuple[GeneratedImageItem, Events]:
        """Return the image that is being made under this provider id, opened if new."""
        if (known := self._images.get(key)) is not None:
            return known, ()
        item = self._images[key] = GeneratedImageItem(
            id=self._generate_id("message"),
            thread_id=self._thread_id,
            created_at=datetime.now(UTC),
        )
        self._of_call.append(item.id)
        return item, [ThreadItemAddedEvent(item=item.model_copy())]

    def _partial_image(self, event: Any) -> Events:
        item, opened = self._image(event.item_id)
        url = image_url(event.partial_image_b64, getattr(event, "output_format", None))
        update = GeneratedImageUpdated(image=GeneratedImage(id=item.id, url=url))
        return [*opened, _updated(item.id, update)]

    def _finish_image(self, raw: Any) -> Events:
        item, opened = self._image(raw.id)
        del self._images[raw.id]
        if not raw.result:
            return [*opened, ThreadItemRemovedEvent(item_id=item.id)]
        url = image_url(raw.result, getattr(raw, "output_format", None))
        item.image = GeneratedImage(id=item.id, url=url)
        return [*opened, ThreadItemDoneEvent(item=item)]

    def _message(self, key: str) -> tuple[OpenMessage, Events]:
        """Return the open message with this provider id, and the event that opened it, if new."""
        if (known := self._messages.get(key)) is not None:
            return known, ()
        item = AssistantMessageItem(
            id=self._generate_id("message"),
            thread_id=self._thread_id,
            created_at=datetime.now(UTC),
            content=[],
        )
        message = self._messages[key] = OpenMessage(item)
        self._of_call.append(item.id)
        return message, [ThreadItemAddedEvent(item=item.model_copy(deep=True))]

    def _part(self, event: Any) -> tuple[OpenMessage, OpenPart, list[ThreadStreamEvent]]:
        """Return the part that an event is about, and the events that opened it, if new."""
        message, opened = self._message(event.item_id)
        events = [*opened]
        part = message.parts.get(_content_index(event))
        if part is None:
            part = message.parts[_content_index(event)] = OpenPart()
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

    def _part_done(self, event: Any) -> Events:
        """Show the citations of chat completions, which have no event of their own."""
        events: list[ThreadStreamEvent] = []
        message = self._messages.get(event.item_id)
        known = message.parts.get(_content_index(event)) if message else None
        if known is not None and not known.annotations:
            for raw in getattr(event.part, "annotations", None) or ():
                events += self._annotate(event, raw)
        return events

    def _annotation_added(self, event: Any) -> Events:
        return self._annotate(event, event.annotation)

    def _annotate(self, event: Any, raw: Any) -> Events:
        annotation = annotation_of(raw)
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
            message.parts[index] = OpenPart([text])
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
        "response.created": _call_begins,
        "chatkeep.begun": _call_begins,
        "chatkeep.withdrawn": _withdrawn,
        "response.output_item.added": _item_added,
        "response.output_item.done": _item_done,
        "response.content_part.added": _part_added,
        "response.output_text.delta": _text_delta,
        "response.refusal.delta": _text_delta,
        "response.output_text.done": _text_done,
        "response.output_text.annotation.added": _annotation_added,
        "response.content_part.done": _part_done,
        "response.image_generation_call.partial_image": _partial_image,
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
