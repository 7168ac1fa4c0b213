"""A conversation as Markdown, to read and to keep."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime

from chatkit.types import ThreadItem, ThreadMetadata

from chatkeep.agent.title import MAX_TITLE
from chatkeep.transfer.passages import Passage, Speaker, passage_of, plain

_NAMES: dict[Speaker, str] = {"user": "You", "assistant": "Assistant"}


async def thread_markdown(
    thread: ThreadMetadata, pages: AsyncIterator[Sequence[ThreadItem]]
) -> AsyncIterator[str]:
    """Yield a thread: title, date, then what was said by whom.

    Args:
        thread: The thread.
        pages: Its items, oldest first.
    """
    title = plain(thread.title or "Conversation", MAX_TITLE)
    yield f"# {title}\n\n{moment(thread.created_at)}\n"
    speaker: Speaker | None = None
    async for page in pages:
        parts: list[str] = []
        for item in page:
            if (passage := passage_of(item)) is None:
                continue
            # One answer often consists of several items.
            if passage.speaker != speaker or speaker == "user":
                name, when = _NAMES[passage.speaker], moment(item.created_at)
                parts.append(f"\n## {name} ({when})\n")
            speaker = passage.speaker
            parts += [f"\n{part}\n" for part in _parts(passage)]
        yield "".join(parts)


def moment(when: datetime) -> str:
    """Return a moment for people, in UTC."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _parts(passage: Passage) -> Iterator[str]:
    if passage.quote:
        yield "\n".join(f"> {line}" for line in passage.quote.splitlines())
    if passage.text:
        yield passage.text
    if passage.attachments:
        files = ", ".join(f"{plain(a.name)} ({plain(a.mime_type)})" for a in passage.attachments)
        yield f"Attached: {files}"
    if passage.notes:
        yield "\n".join(f"- {note}" for note in passage.notes)
