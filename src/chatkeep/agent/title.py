"""A name for a new thread: by the model, or from the words of its first message."""

import asyncio
import re

import structlog
from agents import ModelSettings
from agents.models.interface import ModelTracing
from chatkit.types import UserMessageItem, UserMessageTextContent
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from chatkeep.agent.observing import aside
from chatkeep.errors import ModelError
from chatkeep.models.catalog import ModelEntry

MAX_TITLE = 200
"""Characters of a thread's title, at most."""

_MAX_WORDS = 6
_MAX_CHARS = 60
_MAX_QUESTION_CHARS = 2_000
_LIMIT_SECONDS = 15.0

_INSTRUCTIONS = (
    "Write a title for a conversation that begins with the user's message. "
    "At most six words, in the language of the message, no quotation marks, no full stop. "
    "Answer with the title only and do not answer the message."
)

_log = structlog.get_logger(__name__)


def title_from_words(message: UserMessageItem) -> str | None:
    """Return the first words of the message, or None when it has none."""
    words = _text(message).split()
    if not words:
        return None
    title = " ".join(words[:_MAX_WORDS])[:_MAX_CHARS].rstrip(" ,;:-")
    return f"{title}…" if len(words) > _MAX_WORDS else title


async def title_from_model(entry: ModelEntry, message: UserMessageItem) -> str | None:
    """Return a title by the model, or None when it fails: a title is never worth an error.

    The call is not streamed, so that a streamed call is always an answer.
    """
    try:
        with aside():
            async with asyncio.timeout(_LIMIT_SECONDS):
                response = await entry.model.get_response(
                    _INSTRUCTIONS,
                    _text(message)[:_MAX_QUESTION_CHARS],
                    ModelSettings(),
                    [],
                    None,
                    [],
                    ModelTracing.DISABLED,
                    previous_response_id=None,
                    conversation_id=None,
                    prompt=None,
                )
    except (ModelError, TimeoutError) as error:
        _log.info("no title from the model", model=entry.id, error=type(error).__name__)
        return None
    text = "".join(
        part.text
        for item in response.output
        if isinstance(item, ResponseOutputMessage)
        for part in item.content
        if isinstance(part, ResponseOutputText)
    )
    return _clean(text)


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
