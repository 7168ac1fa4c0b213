"""What goes out, and what comes of a refusal."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest
from agents import ModelSettings, ModelTracing
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Omit
from openai.types.shared import Reasoning

from chatkeep.errors import ModelError, ModelRateLimitError, ModelRequestError
from chatkeep.models.compatible import CompatibleModel
from chatkeep.models.guard import Deadlines
from chatkeep.models.profiles import PROFILES

ANSWER = (
    'data: {"choices":[{"delta":{"content":"Yes"}}]}\n\n'
    'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
)


class OldServer:
    """Refuses a field that it does not know."""

    def __init__(self, unknown: str) -> None:
        self.unknown = unknown
        self.requests: list[dict[str, Any]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer, or refuse."""
        self.requests.append(json.loads(request.content))
        if self.unknown in self.requests[-1]:
            error = {"message": f"{self.unknown}: extra fields not permitted"}
            return httpx2.Response(422, json={"error": error})
        return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, text=ANSWER)


async def ask(model: CompatibleModel, settings: ModelSettings | None = None) -> str:
    """The streamed answer."""
    arguments: list[Any] = [
        "",
        "Hi",
        settings or ModelSettings(),
        [],
        None,
        [],
        ModelTracing.DISABLED,
    ]
    text = ""
    async for event in model.stream_response(
        *arguments, previous_response_id=None, conversation_id=None, prompt=None
    ):
        if event.type == "response.output_text.delta":
            text += event.delta
    return text


def model_at(server: Callable[[httpx2.Request], httpx2.Response]) -> CompatibleModel:
    """A model behind it."""
    http = DefaultAsyncHttpxClient(transport=httpx2.MockTransport(server))
    client = AsyncOpenAI(base_url="http://h/v1", api_key="k", max_retries=0, http_client=http)

    async def prepare() -> tuple[AsyncOpenAI, str]:
        return client, "m"

    return CompatibleModel(prepare, Deadlines(), profile=PROFILES["compatible"])


async def test_a_server_that_cannot_be_asked_for_usage() -> None:
    """It is asked once; from then on without."""
    server = OldServer("stream_options")
    model = model_at(server)
    assert [await ask(model), await ask(model)] == ["Yes", "Yes"]
    assert ["stream_options" in request for request in server.requests] == [True, False, False]


async def test_other_refusals_are_refusals() -> None:
    """They are not asked again."""
    server = OldServer("messages")
    with pytest.raises(ModelRequestError):
        await ask(model_at(server))
    assert len(server.requests) == 1


class Listening:
    """Answers every request, and keeps them."""

    def __init__(self, *refusals: httpx2.Response) -> None:
        self.requests: list[httpx2.Request] = []
        self._refusals = list(refusals)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer."""
        self.requests.append(request)
        if len(self.requests) > 1 and self._refusals:
            return self._refusals.pop(0)
        headers = {"Content-Type": "text/event-stream", "Set-Cookie": "place=a"}
        return httpx2.Response(200, headers=headers, text=ANSWER)


async def test_later_requests_are_what_the_client_would_send() -> None:
    """Nothing differs but the content, its length, and the cookie that came with the first."""
    server = Listening()
    model, other = model_at(server), model_at(server)
    assert [await ask(model) for _ in range(2)] == ["Yes", "Yes"]
    assert await ask(other) == "Yes"  # made by a client again
    first, second, third = server.requests
    assert second.headers.pop("cookie") == "place=a"
    assert first.headers["authorization"] == "Bearer k"
    for later in (second, third):
        assert (later.method, later.url, later.headers) == (first.method, first.url, first.headers)
        assert json.loads(later.content) == json.loads(first.content)
        assert later.extensions == first.extensions


async def test_requests_differ_in_what_was_asked() -> None:
    """Settings, headers and further fields are those of the call, whoever makes the request."""
    server = Listening()
    model = model_at(server)
    settings = [
        ModelSettings(temperature=0.5, reasoning=Reasoning(effort="low")),
        ModelSettings(extra_headers={"X-A": "1"}, extra_body={"seed": 7, "n": Omit()}),
        ModelSettings(extra_headers={"X-A": "1"}, extra_body={"seed": 8, "stop": ["."]}),
        ModelSettings(extra_query={"q": "1"}),
    ]
    for each in [ModelSettings(), *settings]:
        await ask(model, each)
    bodies = [json.loads(request.content) for request in server.requests]
    assert bodies[1] == {**bodies[0], "temperature": 0.5, "reasoning_effort": "low"}
    assert bodies[2] == {**bodies[0], "seed": 7}
    assert bodies[3] == {**bodies[0], "seed": 8, "stop": ["."]}
    assert [request.headers.get("x-a") for request in server.requests[2:]] == ["1", "1", None]
    assert server.requests[4].url.query == b"q=1"
    assert server.requests[3].url.query == b""


async def test_a_later_refusal_is_what_the_client_makes_of_it() -> None:
    """Its status and code are told, and the next request goes out as before."""
    spent = {"error": {"message": "no", "code": "insufficient_quota", "type": "t"}}
    server = Listening(httpx2.Response(429, json=spent), httpx2.Response(302))
    model = model_at(server)
    await ask(model)
    with pytest.raises(ModelRateLimitError) as refused:
        await ask(model)
    assert isinstance(refused.value.__cause__, openai.RateLimitError)
    assert refused.value.__cause__.code == "insufficient_quota"
    with pytest.raises(ModelError):
        await ask(model)
    assert await ask(model) == "Yes"
