"""Who answers a message: an agent as one model needs it, with what goes into its input."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agents import Agent, ModelSettings, RunConfig

from chatkeep.agent.room import Room, room_of
from chatkeep.agent.run import run_config
from chatkeep.agent.tools import NO_TOOLS, ToolsAtHand, tools_of
from chatkeep.models.catalog import Catalog, ModelEntry


@dataclass(frozen=True, slots=True)
class Answering:
    """An agent with a model.

    Attributes:
        agent: The agent.
        entry: The model; None: the agent's own.
        config: How runs are configured.
        room: What fits into the input.
        tools: The agent's tools.
    """

    agent: Agent[Any]
    entry: ModelEntry | None
    config: RunConfig
    room: Room
    tools: ToolsAtHand

    def choosing(self, tool: str | None) -> "Answering":
        """Return the same, made to begin with a tool or hand-off, if one is named.

        The first call of the model only: those who are handed over to have settings of their own,
        and an agent that had to use a tool once would use it for ever.
        """
        if tool is None:
            return self
        settings = self.agent.model_settings.resolve(ModelSettings(tool_choice=tool))
        agent = self.agent.clone(model_settings=settings, reset_tool_choice=True)
        return replace(self, agent=agent)


class Answerers:
    """The agent with each model of a catalog, and with its own; all that can be known at the start.

    Args:
        agent: The agent.
        catalog: The models.
        is_default_agent: It is Chatkeep's own assistant. A model that is too small for its
            instructions brings its own.
        traced: Whether the Agents SDK makes spans of runs.
    """

    def __init__(
        self, agent: Agent[Any], catalog: Catalog, *, is_default_agent: bool, traced: bool = False
    ) -> None:
        self._traced = traced
        self._catalog = catalog
        self._agent = agent
        self._tools = tools_of(agent)
        self._own = self._of(agent, None)
        self._by_entry: Mapping[str, Answering] = {
            entry.id: self._of(
                agent.clone(instructions=entry.instructions)
                if is_default_agent and entry.instructions
                else agent,
                entry,
            )
            for entry in catalog.entries
        }

    @property
    def choices(self) -> frozenset[str]:
        """The names of the agent's tools and hand-offs."""
        return frozenset(self._tools.choices)

    def choose(self, model_id: str | None, tenant: str | None) -> Answering | None:
        """Return who answers, by the user's choice of a model, which may not be offered any more.

        Without a choice that is the agent's own model, or else the tenant's default; None when the
        tenant is offered none.
        """
        if model_id is None and self._agent.model is not None:
            return self._own
        entry = self._catalog.find(model_id, tenant) or self._catalog.find(None, tenant)
        return self._by_entry[entry.id] if entry else None

    def _of(self, agent: Agent[Any], entry: ModelEntry | None) -> Answering:
        known = entry or self._catalog.default
        tools = self._tools if known.tools else NO_TOOLS
        return Answering(
            agent=agent,
            entry=entry,
            config=run_config(self._catalog, entry, traced=self._traced),
            room=room_of(known, agent, self._tools),
            tools=tools,
        )
