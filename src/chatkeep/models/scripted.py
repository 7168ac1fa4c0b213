"""A deterministic model: a script answers instead of weights.

A script is a function from the conversation to steps. The same steps can be played in process
(`ScriptedModel`, behind the tour and demos) or over HTTP as an OpenAI-compatible provider
(`chatkeep.testing.ScriptedProvider`), so that tests exercise the real client against them.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from agents import AgentOutputSchemaBase, Handoff, Model, ModelResponse, ModelSettings, Tool
from agents.items import TResponseInputItem, TResponseStreamEvent
from agents.models.interface import ModelTracing
from agents.usage import Usage
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseFunctionToolCall,
    ResponseOutputItem,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseOutputTextAnnotationAddedEvent,
    ResponseReasoningItem,
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseReasoningSummaryTextDoneEvent,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
    ResponseUsage,
)
from openai.types.responses.response_output_text import Annotation, AnnotationFileCitation
from openai.types.responses.response_prompt_param import ResponsePromptParam
from openai.types.responses.response_reasoning_item import Summary
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

from chatkeep.errors import ModelInterruptedError, ModelUnavailableError
from chatkeep.ids import new_id


@dataclass(frozen=True, slots=True)
class Message:
    """One message as the model sees it: `system`, `user` or `assistant`, and its plain text."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """Say something, in pieces of a word each, `gap` seconds apart."""

    text: str
    gap: float = 0.0

    def pieces(self) -> list[str]:
        """Return the pieces; joined, they are the text."""
        return re.findall(r"\s*\S+|\s+$", self.text)


@dataclass(frozen=True, slots=True)
class Thought:
    """Think aloud before speaking; shown as a thought, not as text."""

    text: str


@dataclass(frozen=True, slots=True)
class Citation:
    """Name the document that the text so far came from."""

    filename: str


@dataclass(frozen=True, slots=True)
class Call:
    """Call a tool; ends the model's turn."""

    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pause:
    """Say nothing for some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Fail:
    """Fail: before the first text with an HTTP status, after it by cutting the stream."""

    status: int = 500
    message: str = "scripted failure"
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None


type Step = Text | Thought | Citation | Call | Pause | Fail
type Script = Callable[[Sequence[Message]], Iterable[Step]]


def echo(messages: Sequence[Message]) -> Iterable[Step]:
    """Answer with what the model saw, so that a test can tell.

    A message may end in directives: `!fail=STATUS`, `!cut` (break off after some words), `!hang`
    (no token for a minute), `!slow` (0.05 s a word), `!long=N` (N words).
    """
    questions = [message.text for message in messages if message.role == "user"]
    newest = questions[-1] if questions else ""
    directives = dict(re.findall(r"!(\w+)=?([0-9]*)", newest))
    gap = 0.05 if "slow" in directives else 0.0
    if "fail" in directives:
        yield Fail(int(directives["fail"] or 500))
    if "hang" in directives:
        yield Pause(60)
    yield Text(f"You said: {newest}", gap)
    if "cut" in directives:
        yield Fail()
    if "long" in directives:
        yield Text("".join(f" word{n}" for n in range(int(directives["long"] or 100))), gap)
    yield Text(f"\n\nThat is message {len(questions)} of this conversation.", gap)


def read_messages(instructions: str | None, input: str | list[TResponseInputItem]) -> list[Message]:
    """Return the conversation as plain messages; what is not text is left out."""
    messages = [Message("system", instructions)] if instructions else []
    if isinstance(input, str):
        return [*messages, Message("user", input)]
    # Each kind of input item is a TypedDict of its own; only messages have a role.
    for item in cast("list[Mapping[str, Any]]", input):
        content = item.get("content")
        if isinstance(content, list):
            content = "".join(str(part.get("text", "")) for part in content)
        if item.get("type") == "function_call_output":
            messages.append(Message("tool", str(item.get("output"))))
        elif isinstance(content, str) and "role" in item:
            messages.append(Message(str(item["role"]), content))
    return messages


class ScriptedModel(Model):
    """Plays a script as a model of the Agents SDK; it is fast, free and always there."""

    def __init__(self, name: str, script: Script) -> None:
        self.name = name
        self.script = script

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> ModelResponse:
        """Play the whole script and return its end."""
        del model_settings, tools, output_schema, handoffs, tracing
        del previous_response_id, conversation_id, prompt
        player = Player(self.name)
        async for _ in player.play(self.script(read_messages(system_instructions, input))):
            pass
        return ModelResponse(output=player.output, usage=player.agents_usage(), response_id=None)

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Play the script as the events of a Responses API stream."""
        del model_settings, tools, output_schema, handoffs, tracing
        del previous_response_id, conversation_id, prompt
        steps = self.script(read_messages(system_instructions, input))
        async for event in Player(self.name).play(steps):
            yield event


class Player:
    """Turns steps into stream events and remembers what came out."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.output: list[ResponseOutputItem] = []
        self.words = 0
        self._number = 0
        self._message: ResponseOutputMessage | None = None

    async def play(self, steps: Iterable[Step]) -> AsyncIterator[TResponseStreamEvent]:
        """Yield the events of a whole response.

        Raises:
            ModelError: The script fails here.
        """
        yield ResponseCreatedEvent(
            type="response.created", response=self._response("in_progress"), sequence_number=0
        )
        for step in steps:
            async for event in self._play_step(step):
                yield event
        for event in self._close():
            yield event
        yield ResponseCompletedEvent(
            type="response.completed",
            response=self._response("completed"),
            sequence_number=self._next(),
        )

    async def _play_step(self, step: Step) -> AsyncIterator[TResponseStreamEvent]:
        for event in self._prelude(step):
            yield event
        match step:
            case Text():
                for piece in step.pieces():
                    # Even without a gap others get their turn: a script must not hold the loop.
                    await asyncio.sleep(step.gap)
                    yield self._say(piece)
            case Citation():
                yield self._cite(step)
            case Pause():
                await asyncio.sleep(step.seconds)
            case Fail():
                raise ModelUnavailableError if self._message is None else ModelInterruptedError

    def _prelude(self, step: Step) -> Iterable[TResponseStreamEvent]:
        """Return what must come first, and the whole of a step that takes no time."""
        match step:
            case Text() | Citation():
                return self._open()
            case Call():
                return [*self._close(), *self._call(step)]
            case Thought():
                return [*self._close(), *self._think(step)]
            case _:
                return ()

    def agents_usage(self) -> Usage:
        """Return the usage so far, in the Agents SDK's terms: a token a word."""
        return Usage(requests=1, output_tokens=self.words, total_tokens=self.words)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _response(self, status: Any) -> Response:
        usage = ResponseUsage(
            input_tokens=0,
            input_tokens_details=InputTokensDetails(cached_tokens=0, cache_write_tokens=0),
            output_tokens=self.words,
            output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
            total_tokens=self.words,
        )
        return Response(
            id=new_id("resp"),
            created_at=0,
            model=self.model,
            object="response",
            output=list(self.output),
            parallel_tool_calls=False,
            tool_choice="auto",
            tools=[],
            status=status,
            usage=usage,
        )

    def _open(self) -> Iterable[TResponseStreamEvent]:
        if self._message is not None:
            return
        self._message = ResponseOutputMessage(
            id=new_id("msg"), type="message", role="assistant", status="in_progress", content=[]
        )
        yield self._added(self._message.model_copy(deep=True))
        part = ResponseOutputText(type="output_text", text="", annotations=[])
        self._message.content.append(part)
        yield ResponseContentPartAddedEvent(
            type="response.content_part.added",
            part=part.model_copy(deep=True),
            **self._place(self._message),
        )

    def _place(self, message: ResponseOutputMessage) -> dict[str, Any]:
        return {
            "item_id": message.id,
            "output_index": len(self.output),
            "content_index": 0,
            "sequence_number": self._next(),
        }

    def _part(self) -> tuple[ResponseOutputMessage, ResponseOutputText]:
        message = self._message
        if message is None or not isinstance(part := message.content[0], ResponseOutputText):
            raise RuntimeError("no message is open")
        return message, part

    def _say(self, piece: str) -> TResponseStreamEvent:
        message, part = self._part()
        part.text += piece
        self.words += 1
        return ResponseTextDeltaEvent(
            type="response.output_text.delta", delta=piece, logprobs=[], **self._place(message)
        )

    def _cite(self, step: Citation) -> TResponseStreamEvent:
        message, part = self._part()
        note: Annotation = AnnotationFileCitation(
            type="file_citation",
            file_id=step.filename,
            filename=step.filename,
            index=len(part.text),
        )
        part.annotations.append(note)
        # The event has classes of its own for the same thing.
        place = self._place(message) | {"annotation": note.model_dump()}
        return ResponseOutputTextAnnotationAddedEvent(
            type="response.output_text.annotation.added",
            annotation_index=len(part.annotations) - 1,
            **place,
        )

    def _close(self) -> Iterable[TResponseStreamEvent]:
        if self._message is None:
            return
        message, part = self._part()
        message.status = "completed"
        yield ResponseTextDoneEvent(
            type="response.output_text.done", text=part.text, logprobs=[], **self._place(message)
        )
        yield ResponseContentPartDoneEvent(
            type="response.content_part.done", part=part, **self._place(message)
        )
        yield self._done(message)
        self._message = None

    def _think(self, step: Thought) -> Iterable[TResponseStreamEvent]:
        thought = ResponseReasoningItem(id=new_id("rs"), type="reasoning", summary=[])
        place: dict[str, Any] = {
            "item_id": thought.id,
            "output_index": len(self.output),
            "summary_index": 0,
        }
        yield self._added(thought.model_copy(deep=True))
        for piece in Text(step.text).pieces():
            yield ResponseReasoningSummaryTextDeltaEvent(
                type="response.reasoning_summary_text.delta",
                delta=piece,
                sequence_number=self._next(),
                **place,
            )
        yield ResponseReasoningSummaryTextDoneEvent(
            type="response.reasoning_summary_text.done",
            text=step.text,
            sequence_number=self._next(),
            **place,
        )
        thought.summary.append(Summary(type="summary_text", text=step.text))
        yield self._done(thought)

    def _call(self, step: Call) -> Iterable[TResponseStreamEvent]:
        call = ResponseFunctionToolCall(
            id=new_id("fc"),
            call_id=new_id("call"),
            type="function_call",
            name=step.tool,
            arguments=json.dumps(step.arguments),
        )
        yield self._added(call)
        yield self._done(call)

    def _added(self, item: ResponseOutputItem) -> TResponseStreamEvent:
        return ResponseOutputItemAddedEvent(
            type="response.output_item.added",
            item=item,
            output_index=len(self.output),
            sequence_number=self._next(),
        )

    def _done(self, item: ResponseOutputItem) -> TResponseStreamEvent:
        self.output.append(item)
        return ResponseOutputItemDoneEvent(
            type="response.output_item.done",
            item=item,
            output_index=len(self.output) - 1,
            sequence_number=self._next(),
        )
