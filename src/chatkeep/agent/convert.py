"""Thread items → model input.

The SDK's converter with its traps taken out: assistant text as plain strings (Chat Completions
models of agents ≥ 0.19 reject the SDK's own form on turn two), nothing that raises on tags,
attachments or context of any type, quotations kept in every turn, and bounds on what widgets and
hidden context may add.

Text that a model or a tool wrote reaches the model in the user's role, as the SDK does it, but
named for what it is: it is data, not instructions.
"""

import json
from collections.abc import Sequence
from typing import Any, cast

import structlog
from agents import TResponseInputItem
from chatkit.agents import ThreadItemConverter
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    ClientToolCallItem,
    GeneratedImageItem,
    HiddenContextItem,
    SDKHiddenContextItem,
    ThreadItem,
    UserMessageItem,
    UserMessageTagContent,
    WidgetItem,
)
from openai.types.responses import (
    EasyInputMessageParam,
    ResponseInputImageParam,
    ResponseInputTextParam,
)

from chatkeep.agent.files import FileParts, Part, note
from chatkeep.agent.memory import RememberedCall, pair, remembered
from chatkeep.agent.shaping import text_of
from chatkeep.agent.tools import NO_TOOLS, ToolsAtHand
from chatkeep.context import RequestContext
from chatkeep.ids import call_id_of

MAX_CONTEXT_CHARS = 8_000
"""Characters that one widget, task or hidden item may add to the input."""

MAX_CLIENT_OUTPUT = 32_000
"""Characters of what a client's tool has returned, in the input."""

_UNKNOWN_OUTCOME = "The tool {name} was called. Whether this took effect is unknown."

_EMPTY = "[The user sent an empty message.]"

_SAID = (UserMessageItem, AssistantMessageItem)

_log = structlog.get_logger(__name__)


class ItemConverter(ThreadItemConverter):
    """Converts one stored item at a time, and never fails on one.

    Args:
        files: Turns attachments into parts of a message; None: only their names are told.
    """

    def __init__(self, files: FileParts | None = None) -> None:
        self._files = files

    async def convert(
        self,
        item: ThreadItem,
        context: RequestContext | None = None,
        *,
        images: bool = False,
        text_tokens: int | None = None,
        tools: ToolsAtHand = NO_TOOLS,
    ) -> list[TResponseInputItem]:
        """Return the input items for a thread item; none for one that cannot be converted.

        An item that was stored once must not make every later turn of its thread fail.

        Args:
            item: The item.
            context: Whose thread it is; without, attachments are only named.
            images: Whether attached images go along, or a note of each.
            text_tokens: The room for text of attachments, when there is less than usual.
            tools: Whose calls may be in the input; of others the model is told in words.
        """
        try:
            match item:
                case HiddenContextItem() if (calls := remembered(item.content)) is not None:
                    return _calls(item.id, calls, tools)
                case ClientToolCallItem():
                    return _client_call(item, tools)
                case GeneratedImageItem():
                    return _generated(item, images=images)
                case _:
                    pass
            if self._files and context and isinstance(item, UserMessageItem) and item.attachments:
                parts = await self._files.parts(
                    item.attachments, context, images=images, text_tokens=text_tokens
                )
                return [_join(await self._text_of(item), parts)]
            converted = await self._thread_item_to_input_item(item, is_last_message=True)
            return [_plain(each, bounded=not isinstance(item, _SAID)) for each in converted]
        except Exception as error:  # noqa: BLE001 - whatever was stored: recorded, and left out
            _log.warning("item left out of model input", type=item.type, error=type(error).__name__)
            return []

    async def user_message_to_input(
        self, item: UserMessageItem, is_last_message: bool = True
    ) -> list[TResponseInputItem]:
        """Return one message: quotation, text, and what tags and attachments stand for."""
        del is_last_message
        notes = [
            (await self.attachment_to_message_content(attachment))["text"]
            for attachment in item.attachments
        ]
        texts = [await self._text_of(item), *notes]
        return [_message("user", "\n\n".join(text for text in texts if text.strip()) or _EMPTY)]

    async def _text_of(self, item: UserMessageItem) -> str:
        """Return what the user wrote: quotation, text and tags."""
        parts: list[str] = []
        if item.quoted_text:
            parts.append(f"The user refers to this passage:\n<Quote>\n{item.quoted_text}\n</Quote>")
        tags = [part for part in item.content if isinstance(part, UserMessageTagContent)]
        parts.append(
            "".join(
                f"@{part.text}" if isinstance(part, UserMessageTagContent) else part.text
                for part in item.content
            )
        )
        unique = {tag.id: tag for tag in tags}.values()
        parts += [(await self.tag_to_message_content(tag))["text"] for tag in unique]
        return "\n\n".join(part for part in parts if part)

    async def assistant_message_to_input(self, item: AssistantMessageItem) -> TResponseInputItem:
        """Return the answer as plain text, which every provider takes back."""
        return _message("assistant", "".join(part.text for part in item.content))

    async def tag_to_message_content(self, tag: UserMessageTagContent) -> ResponseInputTextParam:
        """Return what the client said about an @-mention."""
        data = _bounded(json.dumps(tag.data, ensure_ascii=False, default=str))
        return _text(f"@{tag.text} is the entity with id {tag.id}. Data from the client: {data}")

    async def attachment_to_message_content(self, attachment: Attachment) -> ResponseInputTextParam:
        """Return a note that names the file."""
        return _text(note(attachment))

    async def hidden_context_to_input(self, item: HiddenContextItem) -> TResponseInputItem:
        """Return hidden context of any type."""
        return _hidden(item.content)

    async def sdk_hidden_context_to_input(self, item: SDKHiddenContextItem) -> TResponseInputItem:
        """Return the SDK's own notes."""
        return _hidden(item.content)

    async def widget_to_input(self, item: WidgetItem) -> TResponseInputItem:
        """Return the widget's text to copy, or else its JSON, within bounds."""
        shown = item.copy_text or item.widget.model_dump_json(exclude_none=True, exclude_unset=True)
        return _message("user", f"This widget was shown to the user:\n{_bounded(shown)}")


def _plain(item: TResponseInputItem, *, bounded: bool) -> TResponseInputItem:
    """Return a message of text parts, as the SDK makes them, with its text as it is.

    Args:
        item: The message.
        bounded: Whether it tells of something shown, which must not fill the input.
    """
    fields = cast("dict[str, Any]", item)
    if isinstance(fields.get("content"), list):
        text = text_of(fields["content"])
        return _message(fields["role"], _bounded(text) if bounded else text)
    return item


def _join(text: str, parts: list[Part]) -> TResponseInputItem:
    """Return one message; as plain text, which every provider takes, when there is no image."""
    if not any(part["type"] == "input_image" for part in parts):
        texts = [text, *(part["text"] for part in parts if part["type"] == "input_text")]
        return _message("user", "\n\n".join(text for text in texts if text.strip()) or _EMPTY)
    content = [_text(text), *parts] if text else parts
    return EasyInputMessageParam(type="message", role="user", content=list(content))


def _calls(
    item_id: str, calls: Sequence[RememberedCall], tools: ToolsAtHand
) -> list[TResponseInputItem]:
    """Return calls of the server's tools with their outputs.

    A call without an output would be refused, and so would one of a tool that the model does not
    have: both are told of in words.
    """
    converted: list[TResponseInputItem] = []
    for number, call in enumerate(calls):
        if call.output is None:
            converted.append(_hidden(_UNKNOWN_OUTCOME.format(name=call.name)))
        elif tools.has(call.name):
            # Providers use their ids again and again.
            call_id = call_id_of(item_id, str(number))
            converted += pair(call_id, call.name, call.arguments, call.output)
        else:
            converted.append(_told(call.name, call.arguments, call.output))
    return converted


def _client_call(item: ClientToolCallItem, tools: ToolsAtHand) -> list[TResponseInputItem]:
    """Return a call of the client's tool with its output; none for one that has no output yet."""
    if item.status == "pending":
        return []
    arguments = json.dumps(item.arguments, ensure_ascii=False, default=str)
    output = _bounded(json.dumps(item.output, ensure_ascii=False, default=str), MAX_CLIENT_OUTPUT)
    if tools.any:  # it may be another tool of the agent that calls it
        return pair(item.call_id, item.name, arguments, output)
    return [_told(item.name, arguments, output)]


def _told(name: str, arguments: str, output: str) -> TResponseInputItem:
    return _hidden(
        f"The tool {name}, which is not there any more, was called with {_bounded(arguments)} "
        f"and returned:\n{output}"
    )


def _generated(item: GeneratedImageItem, *, images: bool) -> list[TResponseInputItem]:
    """Return an image that the assistant made, if images go along and it can be fetched."""
    url = item.image.url if item.image else ""
    text = _text("This image was generated by the assistant.")
    if not (images and url.startswith(("https://", "data:image/"))):
        return [_message("user", "An image was generated by the assistant and shown to the user.")]
    image = ResponseInputImageParam(type="input_image", detail="auto", image_url=url)
    return [EasyInputMessageParam(type="message", role="user", content=[text, image])]


def _message(role: Any, text: str) -> TResponseInputItem:
    return EasyInputMessageParam(type="message", role=role, content=text)


def _text(text: str) -> ResponseInputTextParam:
    return ResponseInputTextParam(type="input_text", text=text)


def _hidden(content: Any) -> TResponseInputItem:
    shown = content if isinstance(content, str) else _json(content)
    return _message(
        "user",
        "Context for the assistant, not shown to the user:\n"
        f"<HiddenContext>\n{_bounded(shown)}\n</HiddenContext>",
    )


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, default=str)


def _bounded(text: str, length: int = MAX_CONTEXT_CHARS) -> str:
    return text if len(text) <= length else text[:length] + " […]"
