"""OpenAI's own API flavour, end to end: the same promises as for chat completions."""

from collections.abc import Iterable, Sequence

import pytest_asyncio
from agents import Agent, function_tool

from chatkeep.models.scripted import Call, Citation, Fail, Message, Step, Text, Thought
from chatkeep.testing.client import ChatKitClient
from chatkeep.testing.provider import ScriptedProvider
from support.live import Connect, StartServer


@function_tool
def clock() -> str:
    """Tell the time."""
    return "noon"


@pytest_asyncio.fixture
async def openai(start_server: StartServer, connect: Connect) -> ChatKitClient:
    """A browser at a server that speaks the Responses API."""
    agent = Agent(name="a", instructions="b", tools=[clock])
    return connect(
        await start_server(agent, models__provider="openai", models__openai_api_key="key")
    )


async def test_three_turns_with_ids_of_our_own(
    openai: ChatKitClient, provider: ScriptedProvider
) -> None:
    """Each turn sees the newest message; items have our ids; streamed text is stored text."""
    answer = await openai.say("one")
    for number, word in ((2, "two"), (3, "three")):
        answer = await openai.say(word, answer.thread_id)
        assert answer.text.startswith(f"You said: {word}\n")
        assert f"message {number} of" in answer.text
        assert answer.streamed == answer.text

    items = await openai.items(answer.thread_id)
    assert len({item["id"] for item in items}) == 6
    assert all("stream" in request and "input" in request for request in provider.requests)


async def test_thoughts_tools_and_citations(
    openai: ChatKitClient, provider: ScriptedProvider
) -> None:
    """Reasoning, text, tool, text with a source: all shown, all stored, and turn two works."""

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        if messages[-1].role == "tool":
            return [Text(f"It is {messages[-1].text}."), Citation("clock.md")]
        return [Thought("I need a clock."), Text("Let me look."), Call("clock")]

    provider.script = script
    answer = await openai.say("what time is it?")
    again = await openai.say("and now?", answer.thread_id)

    items = await openai.items(answer.thread_id)
    kinds = ["user_message", "workflow", "assistant_message", "assistant_message"]
    assert [item["type"] for item in items] == kinds * 2
    assert answer.texts == again.texts == ["Let me look.", "It is noon."]
    assert items[3]["content"][0]["annotations"][0]["source"]["filename"] == "clock.md"


async def test_a_failure_and_a_cut_are_errors_with_retry(
    openai: ChatKitClient, provider: ScriptedProvider
) -> None:
    """A refused request and a stream without its end give one error; the partial is kept."""
    provider.script = lambda _: [Fail(401)]
    refused = await openai.say("hello")
    provider.script = lambda _: [Text("half an ans")]
    provider.finish = False
    cut = await openai.say("hello", refused.thread_id)

    assert refused.error
    assert "credentials" in refused.error["message"]
    assert cut.error
    assert cut.error["allow_retry"]
    assert (await openai.texts(cut.thread_id))[-1] == ("assistant_message", "half an ans")
