"""Where requests go out: the Agents SDK's models call this in the place of a client.

They use three of its members, `chat.completions.create`, `responses.create` and nothing else of
what goes over the wire; `tests/unit/test_sdk_pins.py` fails when that changes. So one place adapts
what is sent, and reads what comes.
"""

from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai
from openai import AsyncOpenAI, Omit

from chatkeep.errors import ModelUnavailableError
from chatkeep.models.answers import Answer
from chatkeep.models.call_memory import CallMemory
from chatkeep.models.chunks import ChunkStream, whole
from chatkeep.models.direct import Hand
from chatkeep.models.guard import Limits, Pace
from chatkeep.models.metering import Meter
from chatkeep.models.normalising import Normaliser
from chatkeep.models.posting import Posts
from chatkeep.models.profiles import Profile
from chatkeep.models.reading import EventSource
from chatkeep.models.requests import adapted, headers
from chatkeep.models.responses import ResponseReader, ResponseStream

_REFUSED = (400, 422)


@dataclass(frozen=True, slots=True)
class Call:
    """What belongs to one call of a model.

    Attributes:
        profile: What the provider takes.
        pace: The deadlines.
        meter: What it takes.
        memory: What goes back with calls of tools; of the model, not of the call.
        limits: How much of an answer is taken.
        posts: Sends the requests; of the model, as well.
        hand: Hands the answer over while it comes; None: it goes through the SDK.
    """

    profile: Profile
    pace: Pace
    meter: Meter
    memory: CallMemory
    limits: Limits
    posts: Posts = field(default_factory=Posts)
    hand: Hand | None = None


class Gateway:
    """A client, as far as the SDK uses one."""

    def __init__(self, client: AsyncOpenAI, call: Call) -> None:
        self.chat = _Chat(client, call)
        self.responses = _Responses(client, call)


class _Chat:
    def __init__(self, client: AsyncOpenAI, call: Call) -> None:
        self._client = client
        self._call = call

    @property
    def completions(self) -> "_Chat":
        return self

    async def create(self, **fields: Any) -> Any:
        call = self._call
        endpoint: Any = self._client.chat.completions
        sent = adapted(fields, call.profile, self._client.api_key, call.memory)
        call.meter.request = sent["messages"]
        if sent.get("stream"):
            try:
                async with call.pace.limit():
                    response = await call.posts.send(self._client, endpoint, sent)
            except openai.APIStatusError as error:
                if call.memory.refuses_usage or not _about_usage(error):
                    raise
                call.memory.refuses_usage = True  # an older server; it is not asked again
                return await self.create(**fields)
            answer = self._answer(response)
            return ChunkStream(response, answer, call.meter, call.memory, call.hand)
        async with call.pace.limit(), endpoint.with_streaming_response.create(**sent) as raw:
            answer = self._answer(raw.http_response)
            try:
                return await whole(answer, sent["model"], call.meter, call.memory)
            finally:
                await answer.aclose()

    def _answer(self, response: httpx2.Response) -> Answer:
        call = self._call
        call.meter.reached = True
        source = EventSource(response, call.pace, call.limits)
        return Answer(source, Normaliser(call.limits), call.meter)


def _about_usage(error: openai.APIStatusError) -> bool:
    """Whether a server refused the request for the field that asks for its usage."""
    return error.status_code in _REFUSED and "stream_options" in str(error)


class _Responses:
    def __init__(self, client: AsyncOpenAI, call: Call) -> None:
        self._client = client
        self._call = call

    async def create(self, **fields: Any) -> Any:
        call = self._call
        endpoint: Any = self._client.responses
        sent = {name: value for name, value in fields.items() if not isinstance(value, Omit)}
        own = headers(call.profile, self._client.api_key)
        sent["extra_headers"] = {**own, **(sent.get("extra_headers") or {})}
        call.meter.request = sent.get("input")
        if sent.get("stream"):
            async with call.pace.limit():
                response = await call.posts.send(self._client, endpoint, sent)
            return self._stream(response, call.hand)
        last = None
        async with call.pace.limit(), endpoint.with_streaming_response.create(**sent) as raw:
            async for event in self._stream(raw.http_response):
                last = event
        if last is None:
            raise ModelUnavailableError
        return last.response

    def _stream(self, response: httpx2.Response, hand: Hand | None = None) -> ResponseStream:
        call = self._call
        call.meter.reached = True
        source = EventSource(response, call.pace, call.limits)
        return ResponseStream(response, source, ResponseReader(call.meter, call.limits), hand)
