"""What goes out, and what comes of a refusal."""

import json
from typing import Any

import httpx2
import pytest
from agents import ModelSettings, ModelTracing
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from chatkeep.errors import ModelRequestError
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


async def ask(model: CompatibleModel) -> str:
    """The streamed answer."""
    arguments: list[Any] = ["", "Hi", ModelSettings(), [], None, [], ModelTracing.DISABLED]
    text = ""
    async for event in model.stream_response(
        *arguments, previous_response_id=None, conversation_id=None, prompt=None
    ):
        if event.type == "response.output_text.delta":
            text += event.delta
    return text


def model_at(server: OldServer) -> CompatibleModel:
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
