"""A name for a new thread: by the model, or from the words of its first message."""

import re

from chatkit.types import UserMessageItem, UserMessageTextContent

from chatkeep.agent.asking import ask
from chatkeep.models.catalog import ModelEntry

MAX_TITLE = 200
"""Characters of a thread's title, at most."""

_MAX_WORDS = 6
_MAX_CHARS = 60
_MAX_QUESTION_CHARS = 2_000

_INSTRUCTIONS = (
    "Write a title for a conversation that begins with the user's message. "
    "At most six words, in the language of the message, no quotation marks, no full stop. "
    "Answer with the title only and do not answer the message."
)


def title_from_words(message: UserMessageItem) -> str | None:
    """Return the first words of the message, or None when it has none."""
    words = _text(message).split()
    if not words:
        return None
    title = " ".join(words[:_MAX_WORDS])[:_MAX_CHARS].rstrip(" ,;:-")
    return f"{title}…" if len(words) > _MAX_WORDS else title


async def title_from_model(entry: ModelEntry, message: UserMessageItem) -> str | None:
    """Return a title by the model, or None when it fails: a title is never worth an error."""
    text = await ask(entry, _INSTRUCTIONS, _text(message)[:_MAX_QUESTION_CHARS], "title")
    return None if text is None else _clean(text)


def _clean(text: str) -> str | None:
    """Return the first line without quotes and Markdown; a whole paragraph is no title.

    What cannot be printed goes: control characters, overrides of the direction, half surrogates.
    """
    text = "".join(c for c in text if c.isprintable() or c == "\n")
    line = next((line for line in text.splitlines() if line.strip()), "")
    line = re.sub(r"[*_#`]|^\s*title:\s*", "", line, flags=re.IGNORECASE).strip(" \t\"'“”„«».")
    return line if line and len(line) <= 2 * _MAX_CHARS else None


def _text(message: UserMessageItem) -> str:
    text = " ".join(
        part.text if isinstance(part, UserMessageTextContent) else f"@{part.text}"
        for part in message.content
    )
    return text if text.strip() else ", ".join(file.name for file in message.attachments)
