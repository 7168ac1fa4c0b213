"""What the SDKs put off until it is first used, done before the first turn would have to wait.

Their pydantic models build their validators when the first object is made: a fifth of a second of
work, which would else stand still whatever runs beside the first turn of a process.
"""

from importlib import import_module

from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageItem,
    Thread,
    ThreadCreatedEvent,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadUpdatedEvent,
    UserMessageItem,
)
from openai.types.completion_usage import (
    CompletionTokensDetails,
    CompletionUsage,
    PromptTokensDetails,
)
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseTextDeltaEvent,
)
from openai.types.responses.response_usage import (
    InputTokensDetails,
    OutputTokensDetails,
    ResponseUsage,
)
from pydantic import BaseModel

MODELS: tuple[type[BaseModel], ...] = (
    UserMessageItem,
    ThreadMetadata,
    Thread,
    ThreadCreatedEvent,
    ThreadItemAddedEvent,
    ThreadItemUpdatedEvent,
    ThreadItemDoneEvent,
    ThreadUpdatedEvent,
    AssistantMessageContent,
    AssistantMessageItem,
    AssistantMessageContentPartAdded,
    CompletionTokensDetails,
    PromptTokensDetails,
    CompletionUsage,
    InputTokensDetails,
    OutputTokensDetails,
    ResponseUsage,
    ResponseCreatedEvent,
    ResponseOutputItemAddedEvent,
    ResponseContentPartAddedEvent,
    ResponseTextDeltaEvent,
    ResponseContentPartDoneEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputText,
    ResponseOutputMessage,
    Response,
    ResponseCompletedEvent,
)
"""What every turn makes."""

_CLIENT = "openai.resources.chat.completions.completions"
"""What the client loads when it is first used."""


def warm() -> None:
    """Build what is not built. For a thread of its own: pydantic has a lock for it."""
    import_module(_CLIENT)
    for model in MODELS:
        model.model_rebuild()
