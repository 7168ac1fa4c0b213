"""Runs without the Agents SDK's runner come to what they come to with it."""

import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import agents
import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    Model,
    ModelProvider,
    ModelSettings,
    RunConfig,
    RunContextWrapper,
    function_tool,
    input_guardrail,
    output_guardrail,
)
from agents.items import TResponseStreamEvent
from agents.run_internal.turn_preparation import get_model_settings
from chatkit.errors import CustomStreamError
from chatkit.types import ThreadMetadata
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFailedEvent,
    ResponseOutputItemDoneEvent,
)
from pydantic import TypeAdapter

from chatkeep.agent import run
from chatkeep.agent.context import TurnContext
from chatkeep.agent.observing import Observing, listening
from chatkeep.agent.plain import is_plain, settings_of
from chatkeep.agent.usage import Usage
from chatkeep.context import Principal, RequestContext
from chatkeep.models.catalog import Catalog, ModelEntry
from chatkeep.models.scripted import ScriptedModel, Text
from chatkeep.stores import open_store

_events: TypeAdapter[Any] = TypeAdapter(ResponseOutputItemDoneEvent)


class Said(ScriptedModel):
    """A provider's model that says what it is told to, once for each call."""

    def __init__(self, *answers: Sequence[dict[str, Any]] | Exception | None) -> None:
        super().__init__("said", lambda _: [Text("That is all.")])
        self.answers = list(answers)
        self.asked: list[Any] = []

    async def stream_response(
        self, *args: Any, **kwargs: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Say the next answer: output items, a failure, or nothing at all."""
        self.asked.append((json.loads(json.dumps(args[:2])), *args[2:], kwargs))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            async for event in super().stream_response(*args, **kwargs):
                yield event
            return
        for number, item in enumerate(answer):
            done = {
                "type": "response.output_item.done",
                "item": item,
                "output_index": number,
                "sequence_number": number,
            }
            yield _events.validate_python(done)
        response = Response.model_construct(id="r", output=[], usage=None)
        if answer:
            yield ResponseCompletedEvent.model_construct(
                type="response.completed", response=response, sequence_number=9
            )
        else:
            yield ResponseFailedEvent.model_construct(
                type="response.failed", response=response, sequence_number=9
            )


def message(text: str) -> dict[str, Any]:
    """A message."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {
        "type": "message",
        "id": "m",
        "role": "assistant",
        "status": "completed",
        "content": content,
    }


REFUSAL = message("") | {"content": [{"type": "refusal", "refusal": "No."}]}
SEARCH = {
    "type": "web_search_call",
    "id": "w",
    "status": "completed",
    "action": {"type": "search", "query": "q"},
}
CALL = {"type": "function_call", "id": "f", "call_id": "c", "name": "gone", "arguments": "{}"}
REASONING = {"type": "reasoning", "id": "t", "summary": []}
PATCH = {
    "type": "apply_patch_call",
    "id": "p",
    "call_id": "c",
    "status": "completed",
    "operation": {"type": "delete_file", "path": "a"},
}

ANSWERS: dict[str, Sequence[Sequence[dict[str, Any]] | Exception | None]] = {
    "streamed": [None],
    "message": [[message("Hello.")]],
    "thoughts": [[REASONING, message("Hello.")]],
    "only thoughts": [[REASONING]],
    "refusal": [[REFUSAL]],
    "work and message": [[SEARCH, message("Hello.")]],
    "work alone": [[SEARCH], [message("Hello.")]],
    "work for ever": [[SEARCH | {"id": f"w{number}"}] for number in range(20)],
    "unknown tool": [[message("Let me see."), CALL]],
    "unknown tools": [[CALL, CALL | {"id": "g", "call_id": "d"}], [message("Sorry.")]],
    "unknown kind": [[PATCH]],
    "failed": [[]],
    "broken": [ConnectionError("no")],
}


@dataclass
class Outcome:
    """What came of a run."""

    events: list[str] = field(default_factory=list)
    error: tuple[str, str, str] | None = None
    asked: list[Any] = field(default_factory=list)
    used: str = ""
    completed: bool = False


class Told:
    """The notes of a run."""

    def __init__(self) -> None:
        self.is_complete = False

    def completed(self) -> None:
        """Note it."""
        self.is_complete = True

    def doing(self, what: str | None) -> None:
        """Nobody asks."""

    async def model_begins(self, last: object) -> None:
        """Every call may be made."""


async def outcome_of(agent: Agent[Any], model: Said, history: list[Any]) -> Outcome:
    """Run an agent and return what came of it; ids and times are alike."""
    catalog = Catalog([ModelEntry(id="m", label="M", description="", model=model)])
    config = run.run_config(catalog, catalog.default)
    told: Any = Told()
    thread = ThreadMetadata.model_validate({"id": "thr_1", "created_at": "2026-01-01T00:00:00Z"})
    principal = Principal("local", "ann", "anonymous")
    context = TurnContext(
        thread=thread,
        store=open_store("memory://", data_dir=Path()),
        request_context=RequestContext(principal=principal, request_id="req_1"),
    )
    context.tell(told)
    outcome, usage = Outcome(), Usage()
    try:
        with listening(Observing(usage, lambda _: None)):
            async for event in run.run_agent(agent, history, context, config, catalog.default):
                outcome.events.append(_alike(event.model_dump_json()))
    except (CustomStreamError, ConnectionError) as error:
        cause = error.__cause__
        outcome.error = (type(error).__name__, str(error), type(cause).__name__)
    outcome.asked = model.asked
    outcome.used = usage.text()
    outcome.completed = told.is_complete
    return outcome


def _alike(text: str) -> str:
    text = re.sub(r'"(created_at)":"[^"]+"', r'"\1":""', text)
    return re.sub(r"\b(msg|wf|shc|cthr|itm|wfl)_[0-9a-z]+", r"\1_", text)


HISTORY = [
    {"type": "message", "role": "user", "content": "Hello"},
    {"type": "message", "role": "assistant", "content": "Hi"},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And now?"}]},
]


@pytest.mark.parametrize("case", ANSWERS)
async def test_a_plain_run_is_what_the_runner_does(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events, failures, requests, usage: whatever the model answers."""
    settings = ModelSettings(temperature=0.2, extra_body={"seed": 7})
    agent = Agent(name="a", instructions=_instructions, model_settings=settings)
    ours = await outcome_of(agent, Said(*ANSWERS[case]), [*HISTORY])
    monkeypatch.setattr(run, "is_plain", lambda *_: False)
    theirs = await outcome_of(agent, Said(*ANSWERS[case]), [*HISTORY])
    assert ours == theirs
    assert ours.asked


def _instructions(context: RunContextWrapper[TurnContext], agent: Agent[Any]) -> str:
    return f"{agent.name} in {context.context.thread.id}"


def _plain() -> tuple[Agent[Any], RunConfig]:
    config = RunConfig(model=Said(), tracing_disabled=True)
    return Agent(name="a", instructions="b"), config


@function_tool
def clock() -> str:
    """Tell the time."""
    return "noon"


@input_guardrail
def fine(context: Any, agent: Any, said: Any) -> GuardrailFunctionOutput:
    """Let everything in."""
    del context, agent, said
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)


@output_guardrail
def good(context: Any, agent: Any, said: Any) -> GuardrailFunctionOutput:
    """Let everything out."""
    del context, agent, said
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)


@pytest.mark.parametrize("model", [None, "gpt-4.1", "gpt-5", Said()])
@pytest.mark.parametrize("settings", [None, ModelSettings(), ModelSettings(top_p=0.5)])
def test_settings_are_those_of_the_runner(
    model: str | Model | None, settings: ModelSettings | None
) -> None:
    """Also those that an agent has without being told, which are for another model."""
    told = {} if settings is None else {"model_settings": settings}
    agent = Agent[Any](name="a", model=model, **told)
    config = RunConfig(model=Said(), tracing_disabled=True)
    assert settings_of(agent) == get_model_settings(agent, config)


class Special(Agent[Any]):
    """An agent of another kind."""


WORK: dict[str, Callable[[], Agent[Any]]] = {
    "tools": lambda: Agent(name="a", tools=[clock]),
    "hand-offs": lambda: Agent(name="a", handoffs=[Agent(name="b")]),
    "input guardrails": lambda: Agent(name="a", input_guardrails=[fine]),
    "output guardrails": lambda: Agent(name="a", output_guardrails=[good]),
    "hooks": lambda: Agent(name="a", hooks=agents.AgentHooks()),
    "output type": lambda: Agent(name="a", output_type=int),
    "prompt": lambda: Agent(name="a", prompt={"id": "p"}),
    "a kind of its own": lambda: Special(name="a"),
    "a timeout": lambda: Agent(name="a", model_settings=ModelSettings(timeout=3)),
    "retries": lambda: Agent(
        name="a", model_settings=ModelSettings(retry=agents.ModelRetrySettings())
    ),
}


@pytest.mark.parametrize("work", WORK)
def test_what_is_the_runners(work: str) -> None:
    """Whatever the agent brings that has to be run."""
    plain, config = _plain()
    assert is_plain(plain, config)
    assert not is_plain(WORK[work](), config)


def test_runs_that_others_look_at_are_the_runners() -> None:
    """Those with spans, and those with a model that is not of the catalog."""
    plain, config = _plain()
    assert not is_plain(plain, RunConfig(model=config.model))
    assert not is_plain(plain, RunConfig(tracing_disabled=True, model_provider=_Other()))
    plain.tools.append(clock)
    assert not is_plain(plain, config)


class _Other(ModelProvider):
    def get_model(self, model_name: str | None) -> Said:
        del model_name
        return Said()
