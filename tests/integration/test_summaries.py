"""Summaries and messages that are too long, through the whole application."""

from collections.abc import Iterable, Sequence

import pytest

from chatkeep.agent.summary import KEY
from chatkeep.errors import SettingsError
from chatkeep.models.scripted import Message, Step, Text
from chatkeep.testing.provider import ScriptedProvider
from support.live import Connect, StartServer, whose

_SMALL = {"models__context_tokens": 1_024, "models__tour": False}


def terse(messages: Sequence[Message]) -> Iterable[Step]:
    """Say little, or summarise."""
    asked_for_summary = "Write a summary" in messages[0].text
    return [Text("They count sheep.") if asked_for_summary else Text("Yes.")]


async def test_the_model_goes_on_with_a_summary(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """It is asked for without a stream, kept with the thread, and no client gets it."""
    provider.script = terse
    server = await start_server(models__summaries="on", **_SMALL)
    client = connect(server)
    thread_id = (await client.say("sheep number 0 " * 20)).thread_id
    number = 0
    while len(provider.requests) == len(provider.streamed):
        number += 1
        last = await client.say(f"sheep number {number} " * 20, thread_id)
        assert number < 30

    sent = str(provider.streamed[-1]["messages"])
    assert "They count sheep." in sent
    assert "sheep number 0 " not in sent
    thread = await server.chatkeep.store.load_thread(thread_id, await whose(server))
    assert thread.metadata[KEY]["text"] == "They count sheep."
    seen = [
        str(last.events),
        str(await client.call("threads.get_by_id", thread_id=thread_id)),
        str(await client.call("threads.list")),
        (await client.http.get(f"/chatkit/threads/{thread_id}/export")).text,
    ]
    assert not any("They count sheep." in each for each in seen)


async def test_a_message_that_is_too_long_is_told_so(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """No provider is asked, trying again is not offered, and the next message is answered."""
    client = connect(await start_server(**_SMALL))

    refused = await client.say("word " * 3_000)
    answered = await client.say("short", refused.thread_id)

    assert refused.error
    assert "too long for the model" in refused.error["message"]
    assert refused.error["allow_retry"] is False
    assert len(provider.requests) == 1
    assert "You said: short" in answered.text


async def test_a_model_for_summaries_that_is_not_there(start_server: StartServer) -> None:
    """It stops the start, and the list of models is named."""
    with pytest.raises(SettingsError, match=r"models\.summary_model: .*tour"):
        await start_server(models__summary_model="gone")
