"""A hosted `ChatKitServer` that shows every kind of item, one for each word that it is told."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from chatkit.server import ChatKitServer
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    CustomSummary,
    CustomTask,
    EntitySource,
    FileSource,
    FileTask,
    GeneratedImage,
    GeneratedImageItem,
    GeneratedImageUpdated,
    SearchTask,
    StructuredInputFreeform,
    StructuredInputItem,
    StructuredInputMultipleChoice,
    StructuredInputMultipleChoiceOption,
    TaskItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    URLSource,
    UserMessageItem,
    Workflow,
    WorkflowItem,
)

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mNQaCjAihiGlg"
    "QAfk5EAXo/ld4AAAAASUVORK5CYII="
)
RICH = """The root of $x^2 - 2$ is

$$
x = \\sqrt{2}
$$

```python
def root(n: float) -> float:
    return n**0.5  # by a power
```
"""
CITED = "Paris has the Eiffel Tower, which is on the map. [Open the room](chatkit-link://open-room?id=7)"


class Showcase(ChatKitServer[Any]):
    """Shows what the message names."""

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Yield the events for a word, or read the answers out."""
        page = await self.store.load_thread_items(thread.id, None, 20, "desc", context)
        asked = [item for item in page.data if isinstance(item, StructuredInputItem)]
        word = _text(input_user_message)
        if input_user_message is None and asked:
            said = "; ".join(_answered(asked[0]))
            yield self._done(self._message(thread, f"Noted: {said}"))
            return
        make: dict[str, Callable[[ThreadMetadata], Sequence[ThreadStreamEvent]]] = {
            "cite": self._cite,
            "ask": self._ask,
            "draw": self._draw,
            "work": self._work,
            "rich": lambda thread: [self._done(self._message(thread, RICH))],
        }
        for event in make[word](thread):
            yield event

    def _base(self, thread: ThreadMetadata, kind: Any) -> dict[str, Any]:
        made = self.store.generate_item_id(kind, thread, None)
        return {"id": made, "thread_id": thread.id, "created_at": datetime.now(UTC)}

    def _message(
        self, thread: ThreadMetadata, text: str, annotations: Sequence[Annotation] = ()
    ) -> AssistantMessageItem:
        content = AssistantMessageContent(text=text, annotations=[*annotations])
        return AssistantMessageItem(**self._base(thread, "message"), content=[content])

    @staticmethod
    def _done(item: Any) -> ThreadItemDoneEvent:
        return ThreadItemDoneEvent(item=item)

    def _cite(self, thread: ThreadMetadata) -> list[ThreadStreamEvent]:
        tower = URLSource(
            title="Eiffel Tower",
            url="https://example.org/tower",
            description="A tower of iron.",
            timestamp="1889-03-31",
        )
        city = EntitySource(
            id="city_1", title="Paris", inline_label="Paris, FR", interactive=True, data={"n": "1"}
        )
        notes = [
            Annotation(source=city, index=5),
            Annotation(source=tower, index=26),
            Annotation(source=FileSource(title="Map", filename="map.pdf")),
        ]
        whole = self._message(thread, CITED, notes)
        empty = whole.model_copy(update={"content": []})
        part = AssistantMessageContentPartAdded(
            content_index=0, content=AssistantMessageContent(text="")
        )
        return [
            ThreadItemAddedEvent(item=empty),
            ThreadItemUpdatedEvent(item_id=whole.id, update=part),
            *[
                ThreadItemUpdatedEvent(
                    item_id=whole.id,
                    update=AssistantMessageContentPartTextDelta(content_index=0, delta=letter),
                )
                for letter in CITED
            ],
            self._done(whole),
        ]

    def _ask(self, thread: ThreadMetadata) -> list[ThreadStreamEvent]:
        options = [StructuredInputMultipleChoiceOption(value=each) for each in ("Tea", "Coffee")]
        item = StructuredInputItem(
            **self._base(thread, "message"),
            inputs=[
                StructuredInputMultipleChoice(id="drink", question="To drink?", options=options),
                StructuredInputMultipleChoice(
                    id="cake", question="Which cakes?", options=options, multiple=True
                ),
                StructuredInputFreeform(id="name", question="Your name?", description="In full."),
            ],
        )
        return [self._done(item)]

    def _draw(self, thread: ThreadMetadata) -> list[ThreadStreamEvent]:
        item = GeneratedImageItem(**self._base(thread, "message"))
        image = GeneratedImage(id="img_1", url=PIXEL)
        return [
            ThreadItemAddedEvent(item=item),
            ThreadItemUpdatedEvent(
                item_id=item.id, update=GeneratedImageUpdated(image=image, progress=0.5)
            ),
            self._done(item.model_copy(update={"image": image})),
        ]

    def _work(self, thread: ThreadMetadata) -> list[ThreadStreamEvent]:
        tasks = [
            SearchTask(title="Looking around", queries=["towers"], status_indicator="complete"),
            FileTask(title="Reading", sources=[FileSource(title="Map", filename="map.pdf")]),
            CustomTask(title="Weighing", content="It is **heavy**."),
        ]
        workflow = Workflow(
            type="custom", tasks=tasks, summary=CustomSummary(title="Found it"), expanded=True
        )
        return [
            self._done(WorkflowItem(**self._base(thread, "workflow"), workflow=workflow)),
            self._done(TaskItem(**self._base(thread, "task"), task=CustomTask(title="Sent it"))),
            self._done(self._message(thread, "Done.")),
        ]


def _text(message: UserMessageItem | None) -> str:
    return "".join(part.text for part in message.content) if message else ""


def _answered(item: StructuredInputItem) -> list[str]:
    return [
        f"{asked.id}={'+'.join(asked.answer.values) if asked.answer else ''}"
        for asked in item.inputs
    ]
