"""One question to a model beside the conversation, such as for a title."""

import asyncio

import structlog
from agents import ModelSettings
from agents.models.interface import ModelTracing
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from chatkeep.agent.observing import aside
from chatkeep.errors import ModelError
from chatkeep.models.catalog import ModelEntry

LIMIT_SECONDS = 15.0

_log = structlog.get_logger(__name__)


async def ask(entry: ModelEntry, instructions: str, text: str, purpose: str) -> str | None:
    """Return the model's answer, or None when it fails: what is asked here is not worth an error.

    The call is not streamed, so that a streamed call is always an answer.

    Args:
        entry: The model.
        instructions: What it is to do.
        text: What to do it with.
        purpose: A word for the log.
    """
    try:
        with aside():
            async with asyncio.timeout(LIMIT_SECONDS):
                response = await entry.model.get_response(
                    instructions,
                    text,
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
        _log.info("no answer beside", purpose=purpose, model=entry.id, error=type(error).__name__)
        return None
    return "".join(
        part.text
        for item in response.output
        if isinstance(item, ResponseOutputMessage)
        for part in item.content
        if isinstance(part, ResponseOutputText)
    )
