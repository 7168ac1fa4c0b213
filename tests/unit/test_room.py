"""How much of a context is left for the conversation, and for whom calls are part of the input."""

from typing import Any

import pytest
from agents import Agent, ModelSettings, function_tool, handoff

from chatkeep.agent.answering import Answerers
from chatkeep.agent.room import room_of
from chatkeep.agent.tools import NO_TOOLS, ToolsAtHand, tools_of
from chatkeep.models.catalog import Catalog, ModelEntry
from chatkeep.models.scripted import ScriptedModel, echo


def entry(context: int = 10_000, *, tools: bool = True, **settings: Any) -> ModelEntry:
    """Return a model with a context."""
    return ModelEntry(
        id="m",
        label="M",
        description="",
        model=ScriptedModel("m", echo),
        context_tokens=context,
        settings=ModelSettings(**settings),
        tools=tools,
    )


def tool(name: str, description: str = "") -> Any:
    """Return a tool."""

    @function_tool(name_override=name, description_override=description)
    def run(value: str) -> str:
        return value

    return run


def history(agent: Agent[Any], model: ModelEntry) -> int:
    """Return the tokens that are left."""
    return room_of(model, agent, tools_of(agent)).history


def test_a_small_agent_leaves_what_it_always_left() -> None:
    """Seven tenths: estimates are estimates."""
    assert history(Agent(name="a", instructions="Be kind."), entry()) == 7_000


def test_long_instructions_schemas_and_answers_take_their_room() -> None:
    """They share the context with the conversation, which keeps a fifth at least."""
    long = Agent[Any](name="a", instructions="Be kind. " * 2_000)
    described = Agent[Any](name="a", tools=[tool("t", "x" * 9_000)])
    dynamic = Agent[Any](name="a", instructions=lambda *_: "Be kind.")
    verbose = Agent[Any](name="a", model_settings=ModelSettings(max_tokens=2_400))

    assert history(long, entry()) == 2_000
    assert 4_000 < history(described, entry()) < 4_500
    assert history(dynamic, entry(1_500)) == 1_500 - 500 - 375
    assert history(verbose, entry()) == 7_000
    assert history(verbose, entry(max_tokens=100)) == 7_000


@pytest.mark.parametrize(("tokens", "beyond"), [(10_000, False), (16_000, False), (17_000, True)])
def test_only_what_cannot_fit_is_beyond(tokens: int, *, beyond: bool) -> None:
    """An estimate on the safe side must not refuse what the model would take."""
    agent = Agent[Any](name="a")

    assert room_of(entry(), agent, NO_TOOLS).is_beyond(tokens) is beyond


def test_tools_of_those_who_are_handed_over_to() -> None:
    """Their calls may be part of the input, but the first call of a run cannot begin with them."""
    expert = Agent[Any](name="Expert", tools=[tool("look_up")])
    clerk = Agent[Any](name="Clerk", tools=[tool("find")], handoffs=[expert])
    expert.handoffs = [clerk]

    found = tools_of(clerk)

    assert list(found.choices) == ["find", "transfer_to_expert"]
    assert found.has("look_up")
    assert not found.has("gone")
    assert not found.open_ended


def test_hand_offs_that_do_not_say_to_whom() -> None:
    """Any tool may be behind them."""
    found = tools_of(Agent[Any](name="Clerk", handoffs=[handoff(Agent[Any](name="Expert"))]))

    assert list(found.choices) == ["transfer_to_expert"]
    assert found.has("anything")


def chosen(answerers: Answerers, model_id: str | None) -> ToolsAtHand:
    """Return the tools of who answers."""
    answering = answerers.choose(model_id, "t")
    assert answering
    return answering.tools


def test_a_model_that_takes_no_calls() -> None:
    """It is told of them in words, and of no tool that it could be made to use."""
    agent = Agent[Any](name="a", tools=[tool("find")])

    answerers = Answerers(agent, Catalog([entry(tools=False)]), is_default_agent=False)

    assert not chosen(answerers, "m").any
    assert not chosen(answerers, None).has("find")
