"""The bridge to the Agents SDK: our deltas as the chunks that it reads.

They are plain objects with the fields that its stream handler looks at. Instances of the client's
own classes cost some 50 µs for each token, also when they are not validated.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx2
from openai.types.chat import ChatCompletion
from openai.types.completion_usage import (
    CompletionTokensDetails,
    CompletionUsage,
    PromptTokensDetails,
)

from chatkeep.models.answers import Answer
from chatkeep.models.call_memory import CallMemory
from chatkeep.models.calls import Tokens
from chatkeep.models.direct import Hand
from chatkeep.models.metering import Meter
from chatkeep.models.normalising import Citation, Delta, Ending
from chatkeep.models.telling import Telling
from chatkeep.models.tool_calls import ToolCall


class ChunkStream:
    """Stands where the SDK has an `AsyncStream` of chunks: it iterates and closes it.

    An answer that is handed over while it comes is two chunks here: an empty one as it begins, and
    all of it at its end.

    Args:
        response: The provider's response, if it came as one.
        answer: What it says.
        meter: What the call takes.
        memory: What goes back with calls of tools.
        hand: Hands the answer over; None: it goes through the SDK, piece by piece.
    """

    def __init__(
        self,
        response: httpx2.Response | None,
        answer: Answer,
        meter: Meter,
        memory: CallMemory,
        hand: Hand | None = None,
    ) -> None:
        self.response = response
        self._answer = answer
        self._meter = meter
        self._memory = memory
        self._hand = hand
        self._first: Delta | None = None
        self._ended = False

    def __aiter__(self) -> "ChunkStream":
        return self

    async def __anext__(self) -> SimpleNamespace:
        if self._ended:
            raise StopAsyncIteration
        piece: Delta | Ending
        if self._first is not None and self._hand is not None:
            async with self._answer.in_time():
                piece = await self._hand_over(self._first, self._hand)
        else:
            piece = await self._answer.read()
        if isinstance(piece, Ending):
            self._ended = True
            self._memory.remember(piece)
            return _last_chunk(piece, self._answer.thoughts_in, self._meter.tokens)
        if self._hand is not None:
            self._first = piece
            return _chunk(_delta(Delta(), None))
        return _chunk(_delta(piece, self._answer.thoughts_in))

    async def _hand_over(self, first: Delta, hand: Hand) -> Ending:
        """Hand the pieces over as they come; return the ending, with all that was said."""
        telling, take, hand.spoken = Telling(), hand.take, True
        pieces: list[Delta] = []
        piece: Delta | Ending = first
        while isinstance(piece, Delta):
            pieces.append(piece)
            for event in telling.piece(piece):
                await take(event)
            piece = await self._answer.read()
        for event in telling.end(piece.rest, piece.citations):
            await take(event)
        return replace(piece, rest=_joined([*pieces, piece.rest]))

    async def close(self) -> None:
        """Close the provider's socket."""
        await self._answer.aclose()


async def whole(answer: Answer, model: str, meter: Meter, memory: CallMemory) -> ChatCompletion:
    """Return an answer as the SDK takes one that was not streamed."""
    pieces = []
    while isinstance(piece := await answer.read(), Delta):
        pieces.append(piece)
    said = _joined([*pieces, piece.rest])
    memory.remember(piece)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": said.text or None,
        "refusal": said.refusal or None,
        "tool_calls": [_message_call(call) for call in piece.calls] or None,
        "annotations": [_annotation(citation) for citation in piece.citations] or None,
    }
    if said.thought:
        message[_field(answer.thoughts_in)] = said.thought
    usage = _usage(meter.tokens)
    choice = {"index": 0, "message": message, "finish_reason": piece.finish, "logprobs": None}
    return ChatCompletion.model_validate(
        {
            "id": "",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [choice],
            "usage": None if usage is None else usage.model_dump(),
        }
    )


def _joined(pieces: Sequence[Delta]) -> Delta:
    return Delta(
        text="".join(piece.text for piece in pieces),
        thought="".join(piece.thought for piece in pieces),
        refusal="".join(piece.refusal for piece in pieces),
    )


def _field(thoughts_in: str | None) -> str:
    """Return the field in which the SDK reads thoughts, and gives them back to the provider."""
    return "reasoning" if thoughts_in in ("reasoning", "reasoning_details") else "reasoning_content"


def _chunk(delta: SimpleNamespace, finish: str | None = None, usage: Any = None) -> SimpleNamespace:
    choice = SimpleNamespace(index=0, delta=delta, finish_reason=finish, logprobs=None)
    return SimpleNamespace(choices=[choice], usage=usage)


def _delta(piece: Delta, thoughts_in: str | None, **more: Any) -> SimpleNamespace:
    delta = SimpleNamespace(content=piece.text or None, tool_calls=None, **more)
    if piece.refusal:
        delta.refusal = piece.refusal
    if piece.thought:
        setattr(delta, _field(thoughts_in), piece.thought)
    return delta


def _last_chunk(ending: Ending, thoughts_in: str | None, tokens: Tokens | None) -> SimpleNamespace:
    citations = [_annotation(citation) for citation in ending.citations]
    delta = _delta(ending.rest, thoughts_in, annotations=citations)
    delta.tool_calls = [_fragment(index, call) for index, call in enumerate(ending.calls)] or None
    return _chunk(delta, ending.finish, _usage(tokens))


def _fragment(index: int, call: ToolCall) -> SimpleNamespace:
    function = SimpleNamespace(name=call.name, arguments=call.arguments)
    return SimpleNamespace(index=index, id=call.id, type="function", function=function)


def _message_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _annotation(citation: Citation) -> dict[str, Any]:
    fields = {
        "url": citation.url,
        "title": citation.title,
        "start_index": citation.start,
        "end_index": citation.end,
    }
    return {"type": "url_citation", "url_citation": fields}


def _usage(tokens: Tokens | None) -> CompletionUsage | None:
    if tokens is None:
        return None
    return CompletionUsage(
        prompt_tokens=tokens.input,
        completion_tokens=tokens.output,
        total_tokens=tokens.input + tokens.output,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=tokens.cached),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=tokens.reasoning),
    )
