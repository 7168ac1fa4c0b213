"""Spans of the Agents SDK: none, or to our log; never to its vendor, and never with content."""

import io
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import agents.tracing.processors as vendor
import pytest
import structlog
from agents import Agent, function_tool, trace
from agents.tracing import custom_span, get_trace_provider

from chatkeep.models.scripted import Call, Message, Step, Text
from chatkeep.telemetry.agent_spans import AgentSpan, SpanProcessor, set_up
from chatkeep.telemetry.logging import configure
from chatkeep.testing.provider import ScriptedProvider
from support.live import Connect, StartServer


@pytest.fixture(autouse=True)
def no_vendor(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be sent to the vendor of the SDK, with a key to send it."""
    sent: list[Any] = []
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setattr(vendor.BackendSpanExporter, "export", lambda _, items: sent.append(items))
    return sent


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged, as JSON."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers, root.level
    monkeypatch.setattr(sys, "stderr", stream)
    configure("json", "info")
    yield stream
    root.handlers, root.level = before
    structlog.reset_defaults()
    set_up("off")


@function_tool
def find(what: str) -> str:
    """Find something."""
    if what == "nothing":
        raise ValueError("secret-reason")
    return f"secret-{what}"


def script(messages: Sequence[Message]) -> Iterable[Step]:
    """Call the tool, then answer."""
    if messages[-1].role == "tool":
        return [Text("secret-answer")]
    return [Call("find", {"what": messages[-1].text})]


async def test_steps_are_logged_without_content(
    start_server: StartServer,
    connect: Connect,
    provider: ScriptedProvider,
    logged: io.StringIO,
    no_vendor: list[Any],
) -> None:
    """A line for the agent, for each call of the model and of the tool, with times and tokens."""
    provider.script = script
    agent = Agent(name="Clerk", instructions="secret-instructions", tools=[find])
    client = connect(await start_server(agent, telemetry__agent_spans="log"))

    await client.say("secret-question")
    await client.say("nothing")
    get_trace_provider().force_flush()

    lines = logged.getvalue().splitlines()
    spans = [json.loads(line) for line in lines if '"agent span"' in line]
    by_kind = {span["kind"]: span for span in spans}
    assert by_kind["agent"]["name"] == "Clerk"
    assert [span["failed"] for span in spans if span["kind"] == "function"] == [False, True]
    assert by_kind["function"]["name"] == "find"
    assert by_kind["generation"]["input_tokens"] == 1
    assert all(span["seconds"] >= 0 for span in spans)
    assert len({span["trace"] for span in spans}) == 2
    assert "secret" not in logged.getvalue()
    assert no_vendor == []


async def test_without_the_setting_there_are_none(
    start_server: StartServer,
    connect: Connect,
    provider: ScriptedProvider,
    logged: io.StringIO,
    no_vendor: list[Any],
) -> None:
    """Nor is anything left of what the SDK would do by itself."""
    provider.script = script
    client = connect(await start_server(Agent(name="Clerk", instructions="b", tools=[find])))

    await client.say("secret-question")
    with trace("mine", disabled=False), custom_span("step", disabled=False):
        pass
    get_trace_provider().force_flush()

    assert "agent span" not in logged.getvalue()
    assert no_vendor == []


def test_the_sink_is_all_that_an_exporter_needs() -> None:
    """It gets the step with its place in the run; whatever content a span has stays behind."""
    taken: list[AgentSpan] = []

    class Sink:
        """Keeps spans."""

        def ended(self, span: AgentSpan) -> None:
            """Keep one."""
            taken.append(span)

    set_up("log")
    get_trace_provider().set_processors([SpanProcessor(Sink())])
    try:
        with trace("run") as run, custom_span("outer", {"content": "secret"}) as outer:
            inner = custom_span("inner")
            inner.start(mark_as_current=True)
            inner.set_error({"message": "secret", "data": None})
            inner.finish(reset_current=True)
    finally:
        set_up("off")

    assert [(span.name, span.failed) for span in taken] == [("inner", True), ("outer", False)]
    assert taken[0].parent_id == taken[1].span_id == outer.span_id
    assert {span.trace_id for span in taken} == {run.trace_id}
    assert all(span.started_at and span.seconds is not None for span in taken)
    assert "secret" not in str(taken)
