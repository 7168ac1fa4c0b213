"""Threads, items and attachments for the store's contract: one of everything that the SDK has."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chatkit.types import (
    ActiveStatus,
    Annotation,
    AssistantMessageContent,
    AssistantMessageItem,
    Attachment,
    AttachmentUploadDescriptor,
    ClientToolCallItem,
    ClosedStatus,
    CustomSummary,
    CustomTask,
    DurationSummary,
    EndOfTurnItem,
    EntitySource,
    FileAttachment,
    FileSource,
    FileTask,
    GeneratedImage,
    GeneratedImageItem,
    HiddenContextItem,
    ImageAttachment,
    ImageTask,
    InferenceOptions,
    LockedStatus,
    SDKHiddenContextItem,
    SearchTask,
    StructuredInputAnswer,
    StructuredInputFreeform,
    StructuredInputItem,
    StructuredInputMultipleChoice,
    StructuredInputMultipleChoiceOption,
    Task,
    TaskItem,
    ThoughtTask,
    ThreadItem,
    ThreadMetadata,
    ToolChoice,
    URLSource,
    UserMessageItem,
    UserMessageTagContent,
    UserMessageTextContent,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.widgets import DynamicWidgetComponent, DynamicWidgetRoot
from pydantic import AnyUrl

from chatkeep.context import Lease, Principal, RequestContext
from chatkeep.ports import TurnKeeping, TurnOrder

MOMENT = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)


def asking(user: str = "ann", tenant: str = "acme") -> RequestContext:
    """Return the context of a request by this user."""
    return RequestContext(Principal(tenant, user, "test"), request_id="req_test")


def thread(thread_id: str = "thr_1", **fields: Any) -> ThreadMetadata:
    """Return a thread."""
    return ThreadMetadata.model_validate({"id": thread_id, "created_at": MOMENT, **fields})


def message(item_id: str, text: str = "", *, thread_id: str = "thr_1") -> AssistantMessageItem:
    """Return an assistant's message."""
    return AssistantMessageItem(
        id=item_id,
        thread_id=thread_id,
        created_at=MOMENT,
        content=[AssistantMessageContent(text=text)],
    )


def hidden(item_id: str, *, thread_id: str = "thr_1") -> HiddenContextItem:
    """Return an item that clients never see."""
    return HiddenContextItem(id=item_id, thread_id=thread_id, created_at=MOMENT, content="hidden")


def sign(
    turn_id: str = "trn_1", fence: int = 1, context: RequestContext | None = None, **fields: Any
) -> TurnKeeping:
    """Return a sign of life of a turn; `fields` are those of `TurnKeeping`."""
    return TurnKeeping((context or asking()).principal, turn_id, fence, **fields)


def leased(context: RequestContext, turn_id: str = "trn_1", fence: int = 1) -> RequestContext:
    """Return the context of work for a turn."""
    return replace(context, lease=Lease(turn_id, fence))


def turn_order(turn_id: str = "trn_1", thread_id: str = "thr_1", **fields: Any) -> TurnOrder:
    """Return a turn to begin, held by `one` for an hour."""
    given = {"request": "{}", "digest": "digest", "holder": "one", "lease": 3600, **fields}
    return TurnOrder(id=turn_id, thread_id=thread_id, **given)


def question(
    item_id: str,
    *attachments: Attachment,
    thread_id: str = "thr_1",
    text: str = "What is in there?",
) -> UserMessageItem:
    """Return a user's message."""
    return UserMessageItem(
        id=item_id,
        thread_id=thread_id,
        created_at=MOMENT,
        content=[UserMessageTextContent(text=text)],
        attachments=list(attachments),
        inference_options=InferenceOptions(),
    )


def file(attachment_id: str = "atc_1", *, thread_id: str | None = None) -> FileAttachment:
    """Return an attachment that is still to be uploaded, with private metadata."""
    return FileAttachment(
        id=attachment_id,
        name="report.pdf",
        mime_type="application/pdf",
        thread_id=thread_id,
        upload_descriptor=AttachmentUploadDescriptor(
            url=AnyUrl("https://files.example/upload?signature=abc"),
            method="PUT",
            headers={"x-size": "12"},
        ),
        metadata={"path": "2026/report.pdf", "pages": 3, "none": None},
    )


def image(attachment_id: str = "atc_2", *, thread_id: str | None = None) -> ImageAttachment:
    """Return an attachment with a preview."""
    return ImageAttachment(
        id=attachment_id,
        name="cat.png",
        mime_type="image/png",
        thread_id=thread_id,
        preview_url=AnyUrl("https://files.example/cat.png"),
    )


def every_thread() -> list[ThreadMetadata]:
    """Return threads that together use every field and every status."""
    return [
        thread("thr_plain", status=ActiveStatus()),
        thread(
            "thr_locked",
            title="Ärger 🐈",
            status=LockedStatus(reason="busy"),
            allowed_image_domains=["example.org"],
            metadata={"previous": {"response": "r1", "none": None}, "list": [1, 2.5, True]},
        ),
        thread("thr_closed", title="", status=ClosedStatus()),
    ]


def every_item(thread_id: str = "thr_1") -> list[ThreadItem]:
    """Return items of every type that together use every field."""
    return [*_messages(thread_id), *_interactive(thread_id), *_work(thread_id)]


def _base(item_id: str, thread_id: str) -> dict[str, Any]:
    return {"id": item_id, "thread_id": thread_id, "created_at": MOMENT}


def _messages(thread_id: str) -> list[ThreadItem]:
    sources = [
        URLSource(title="Page", url="https://example.org", attribution="Example"),
        FileSource(title="File", filename="a.pdf", description="d", timestamp="t", group="g"),
        EntitySource(
            title="Station",
            id="e1",
            icon="book-open",
            label="L",
            inline_label="l",
            interactive=True,
            data={"line": "red"},
        ),
    ]
    annotations = [Annotation(source=source, index=n) for n, source in enumerate(sources)]
    return [
        UserMessageItem(
            **_base("msg_user", thread_id),
            content=[
                UserMessageTextContent(text="Look at "),
                UserMessageTagContent(
                    id="tag", text="@red", data={"a": [None, {}]}, group="g", interactive=True
                ),
            ],
            attachments=[file(), image()],
            quoted_text="quoted",
            inference_options=InferenceOptions(tool_choice=ToolChoice(id="search"), model="m"),
        ),
        AssistantMessageItem(
            **_base("msg_assistant", thread_id),
            content=[
                AssistantMessageContent(text="First.", annotations=annotations),
                AssistantMessageContent(text=""),
            ],
        ),
        HiddenContextItem(**_base("msg_hidden", thread_id), content={"any": [1, None, "x"]}),
        SDKHiddenContextItem(**_base("shcx_1", thread_id), content="The user stopped."),
        EndOfTurnItem(**_base("msg_end", thread_id)),
    ]


def _interactive(thread_id: str) -> list[ThreadItem]:
    return [
        ClientToolCallItem(
            **_base("tc_1", thread_id),
            status="completed",
            call_id="call_1",
            name="select",
            arguments={"ids": ["a"], "none": None, "deep": {"x": 1.5}},
            output={"ok": True},
        ),
        WidgetItem(**_base("msg_widget", thread_id), widget=_widget(), copy_text="copy"),
        GeneratedImageItem(
            **_base("msg_image", thread_id),
            image=GeneratedImage(id="img", url="https://files.example/img.png"),
        ),
        StructuredInputItem(
            **_base("msg_input", thread_id),
            status="answered",
            inputs=[
                StructuredInputMultipleChoice(
                    id="q1",
                    question="Which?",
                    options=[StructuredInputMultipleChoiceOption(value="a")],
                    multiple=True,
                    answer=StructuredInputAnswer(values=["a", "own"]),
                ),
                StructuredInputFreeform(
                    id="q2",
                    question="Why?",
                    description="d",
                    answer=StructuredInputAnswer(skipped=True),
                ),
            ],
        ),
    ]


def _widget() -> DynamicWidgetRoot:
    """Return a widget with properties and components that the SDK's own classes do not know."""
    text = DynamicWidgetComponent.model_validate({"type": "Text", "id": "t", "value": "Hi"})
    cell = DynamicWidgetComponent.model_validate({"type": "Table.Cell", "children": [text]})
    table = DynamicWidgetComponent.model_validate({"type": "Table", "children": [cell]})
    return DynamicWidgetRoot.model_validate(
        {"type": "Card", "size": "sm", "border": True, "children": [text, table]}
    )


def _work(thread_id: str) -> list[ThreadItem]:
    tasks: list[Task] = [
        CustomTask(title="t", icon="bolt", content="c", status_indicator="loading"),
        SearchTask(
            title="t",
            title_query="q",
            queries=["q"],
            sources=[URLSource(title="p", url="https://example.org")],
        ),
        ThoughtTask(title="t", content="Hm."),
        FileTask(title="t", sources=[FileSource(title="f", filename="f.pdf")]),
        ImageTask(title="t", status_indicator="complete"),
    ]
    return [
        WorkflowItem(
            **_base("wf_1", thread_id),
            workflow=Workflow(type="reasoning", tasks=tasks, summary=DurationSummary(duration=3)),
        ),
        WorkflowItem(
            **_base("wf_2", thread_id),
            workflow=Workflow(
                type="custom",
                tasks=[],
                summary=CustomSummary(title="Done", icon="check"),
                expanded=True,
            ),
        ),
        *[TaskItem(**_base(f"tsk_{task.type}", thread_id), task=task) for task in tasks],
    ]
