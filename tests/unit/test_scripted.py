"""The deterministic model: scripts, and the events they become."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from agents import Agent, ModelSettings, RunConfig, Runner
from agents.models.interface import ModelTracing
from hypothesis import given
from hypothesis import strategies as st

from chatkeep.errors import ModelInterruptedError, ModelUnavailableError
from chatkeep.models.scripted import (
    Call,
    Citation,
    Fail,
    Message,
    Pause,
    ScriptedModel,
    Step,
    Text,
    Thought,
    echo,
    read_messages,
)


async def play(*steps: Step, heard: list[Any] | None = None) -> list[Any]:
    """Return the events of a script."""
    events: list[Any] = [] if heard is None else heard
    model = ScriptedModel("m", lambda _: steps)
    stream = model.stream_response(
        None,
        "hi",
        ModelSettings(),
        [],
        None,
        [],
        ModelTracing.DISABLED,
        previous_response_id=None,
        conversation_id=None,
        prompt=None,
    )
    async for event in stream:
        events.append(event)  # noqa: PERF401 - kept when the script fails
    return events


def said(events: Iterable[Any]) -> str:
    """The streamed text."""
    return "".join(e.delta for e in events if e.type == "response.output_text.delta")


@given(st.text())
def test_the_pieces_of_a_text_are_the_text(text: str) -> None:
    """Nothing is lost or added between words."""
    assert "".join(Text(text).pieces()) == text


async def test_a_stream_is_well_formed() -> None:
    """Numbered without gaps, created first and completed last, every opened item closed."""
    events = await play(Thought("let me see"), Text("Hello there"), Citation("a.md"), Text("!"))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    added = [event.item.id for event in events if event.type == "response.output_item.added"]
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert added == [item.id for item in done]
    assert [item.type for item in done] == ["reasoning", "message"]
    assert events[-1].response.output == done
    assert done[1].content[0].text == said(events) == "Hello there!"
    assert [note.filename for note in done[1].content[0].annotations] == ["a.md"]
    assert done[1].content[0].annotations[0].index == len("Hello there")


async def test_events_are_not_changed_afterwards() -> None:
    """What was sent for an opened message stays empty when its text grows."""
    events = await play(Text("one"), Citation("a"), Text("two"))
    opened = [e for e in events if e.type == "response.output_item.added"]
    assert [event.item.content for event in opened] == [[]]
    parts = [e for e in events if e.type == "response.content_part.added"]
    assert [(e.part.text, e.part.annotations) for e in parts] == [("", [])]


async def test_a_call_ends_the_message_before_it() -> None:
    """Text, a call and text again are three items, in order."""
    events = await play(Text("a"), Call("search", {"q": "x"}), Text("b"))
    done = [e.item for e in events if e.type == "response.output_item.done"]
    assert [item.type for item in done] == ["message", "function_call", "message"]
    assert (done[1].name, done[1].arguments) == ("search", '{"q": "x"}')


async def test_an_empty_script_is_an_empty_answer() -> None:
    """Nothing to say is no failure."""
    assert [e.type for e in await play()] == ["response.created", "response.completed"]


async def test_a_failure_depends_on_what_was_said() -> None:
    """Before any text the model is unavailable, behind it the answer is cut off."""
    with pytest.raises(ModelUnavailableError):
        await play(Fail(500))
    heard: list[Any] = []
    with pytest.raises(ModelInterruptedError):
        await play(Text("one two"), Fail(), Text("three"), heard=heard)
    assert said(heard) == "one two"


async def test_a_script_lets_others_run() -> None:
    """A long answer without gaps gives the loop away at each word."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    task = asyncio.create_task(tick())
    await play(Text("word " * 200))
    task.cancel()
    assert ticks > 150


async def test_a_pause_says_nothing() -> None:
    """A pause is time, not an event."""
    assert [e.type for e in await play(Pause(0.001))] == ["response.created", "response.completed"]


async def test_the_agents_sdk_takes_it_for_a_model() -> None:
    """Streamed or not, a run with it gives the script's text."""
    agent = Agent(name="a", model=ScriptedModel("m", echo))
    config = RunConfig(tracing_disabled=True)
    expected = "You said: hi\n\nThat is message 1 of this conversation."
    assert (await Runner.run(agent, "hi", run_config=config)).final_output == expected
    result = Runner.run_streamed(agent, "hi", run_config=config)
    assert said([e.data async for e in result.stream_events() if e.type == "raw_response_event"])
    assert result.final_output == expected


def spoken(question: str) -> list[Step]:
    """What echo does with a question."""
    return list(
        echo([Message("user", "earlier"), Message("assistant", "x"), Message("user", question)])
    )


def test_echo_says_what_it_saw() -> None:
    """The newest question, and how many there were."""
    assert spoken("hi") == [
        Text("You said: hi"),
        Text("\n\nThat is message 2 of this conversation."),
    ]
    assert list(echo([])) == [
        Text("You said: "),
        Text("\n\nThat is message 0 of this conversation."),
    ]


def test_echo_obeys_directives() -> None:
    """Failing, hanging, breaking off, slowness and length can be asked for."""
    assert spoken("x !fail=503")[0] == Fail(503)
    assert spoken("x !fail")[0] == Fail(500)
    assert spoken("x !hang")[0] == Pause(60)
    assert spoken("x !cut")[1] == Fail()
    assert spoken("x !slow")[0] == Text("You said: x !slow", 0.05)
    assert spoken("x !long=3")[1] == Text(" word0 word1 word2")


@pytest.mark.parametrize("question", ["!fail=abc", "!long=x", "!long=", "!fail=-1", "!", "!=5"])
def test_echo_takes_any_text(question: str) -> None:
    """A directive with a value that is no number means its default."""
    assert spoken(question)


def test_only_messages_are_read() -> None:
    """Calls are no messages, their results are; parts are joined; instructions come first."""
    items: list[Any] = [
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "input_text", "text": "b"}, {"type": "x"}]},
        {"type": "function_call", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "output": "x"},
        {"role": "assistant", "content": None},
    ]
    assert read_messages("be brief", items) == [
        Message("system", "be brief"),
        Message("user", "a"),
        Message("user", "b"),
        Message("tool", "x"),
    ]
    assert read_messages(None, "x") == [Message("user", "x")]
