"""What a thread item says, for a reader: text, and notes on everything else in short."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    ClientToolCallItem,
    CustomTask,
    FileTask,
    GeneratedImageItem,
    SearchTask,
    StructuredInputItem,
    TaskItem,
    ThoughtTask,
    ThreadItem,
    URLSource,
    UserMessageItem,
    UserMessageTagContent,
    WidgetItem,
    WorkflowItem,
)

type Speaker = Literal["user", "assistant"]

_SHORT = 200  # characters of what only needs to be recognised
_SPECIAL = re.compile(r"([!-/:-@\[-`{-~])")


@dataclass(frozen=True, slots=True)
class Passage:
    """What one item says.

    Attributes:
        speaker: Whose it is.
        text: Plain text from the user; Markdown from the assistant.
        notes: What else there is, as one line of Markdown each.
        quote: The passage that the user refers to, plain.
        attachments: The files that the user sent.
    """

    speaker: Speaker
    text: str = ""
    notes: Sequence[str] = ()
    quote: str | None = None
    attachments: Sequence[Attachment] = field(default=())


def passage_of(item: ThreadItem) -> Passage | None:
    """Return what an item says; None for one that says nothing to a reader."""
    match item:
        case UserMessageItem():
            text = "".join(
                f"@{part.text}" if isinstance(part, UserMessageTagContent) else part.text
                for part in item.content
            )
            return Passage(
                "user", text, quote=item.quoted_text or None, attachments=item.attachments
            )
        case AssistantMessageItem():
            text = "\n\n".join(part.text for part in item.content if part.text)
            sources = _sources(item)
            return Passage("assistant", text, [f"Sources: {sources}"] if sources else [])
        case WidgetItem():
            return Passage("assistant", notes=[plain(item.copy_text or "A widget", 10 * _SHORT)])
        case _:
            notes = list(_notes(item))
            return Passage("assistant", notes=notes) if notes else None


def plain(text: str, length: int = _SHORT) -> str:
    """Return text on one line, cut, as Markdown that shows it as it is."""
    line = " ".join(text[: 4 * length].split())
    return _SPECIAL.sub(r"\\\1", line if len(line) <= length else line[: length - 1] + "…")


def link(title: str, url: str) -> str:
    """Return a link in Markdown; only the title when the address is not one of the web."""
    if not re.match(r"https?://", url, re.IGNORECASE) or not url.isprintable():
        return plain(title)
    # Between angle brackets, only these three end or change an address.
    address = url.replace("\\", "%5C").replace("<", "%3C").replace(">", "%3E")
    return f"[{plain(title)}](<{address}>)"


def _notes(item: ThreadItem) -> Iterator[str]:
    match item:
        case ClientToolCallItem():
            arguments = json.dumps(item.arguments, ensure_ascii=False, default=str)
            yield f"Tool {plain(item.name)}: {plain(arguments)}"
        case WorkflowItem():
            yield _summary(item)
            yield from map(_task, item.workflow.tasks)
        case TaskItem():
            yield _task(item.task)
        case StructuredInputItem():
            for each in item.inputs:
                answers = each.answer.values if each.answer else []
                yield f"Question: {plain(each.question)} {plain(', '.join(answers))}".rstrip()
        case GeneratedImageItem():
            yield "A generated image"
        case _:
            return


def _summary(item: WorkflowItem) -> str:
    summary = item.workflow.summary
    if title := getattr(summary, "title", None):
        return plain(title)
    duration = getattr(summary, "duration", None)
    kind = "Thought" if item.workflow.type == "reasoning" else "Worked"
    return f"{kind} for {duration} s" if duration is not None else kind


def _task(task: Any) -> str:
    match task:
        case SearchTask():
            queries = task.title_query or ", ".join(task.queries) or task.title or ""
            found = ", ".join(link(source.title, source.url) for source in task.sources)
            return f"Searched: {plain(queries)} {found}".rstrip()
        case FileTask():
            names = ", ".join(source.filename for source in task.sources)
            return f"Read: {plain(task.title or names)}"
        case ThoughtTask():
            return f"Thought: {plain(task.title or task.content)}"
        case CustomTask():
            return plain(task.title or task.content or "A step")
        case _:
            return plain(task.title or "An image")


def _sources(item: AssistantMessageItem) -> str:
    """Return the different sources of a message, in their order."""
    found: dict[str, None] = {}
    for part in item.content:
        for annotation in part.annotations:
            source = annotation.source
            title = source.title or getattr(source, "filename", "")
            url = source.url if isinstance(source, URLSource) else ""
            found[link(title or url, url)] = None
    return ", ".join(found)
