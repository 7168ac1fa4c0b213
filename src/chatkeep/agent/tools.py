"""Which tools an agent has, as far as its input and its room depend on it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents import Agent, FunctionTool, Handoff

_HANDOFF_CHARS = 200  # of the schema of a hand-off


@dataclass(frozen=True, slots=True)
class ToolsAtHand:
    """The tools of a run.

    Attributes:
        names: Of functions that the agent, and those whom it hands over to, can call.
        choices: What the first call of the run can be made to use: names of the agent's own tools
            and hand-offs.
        open_ended: Whether there are others, of MCP servers for instance, whose names are only
            known in a run.
        size: Characters of the agent's own schemas, as a model gets them.
    """

    names: frozenset[str] = frozenset()
    choices: Sequence[str] = ()
    open_ended: bool = False
    size: int = 0

    @property
    def any(self) -> bool:
        """Whether a request has tools at all; without, providers refuse calls in its input."""
        return bool(self.choices) or self.open_ended

    def has(self, name: str) -> bool:
        """Whether calls of a tool may be part of the input."""
        return self.any and (self.open_ended or name in self.names)


NO_TOOLS = ToolsAtHand()


def tools_of(agent: Agent[Any]) -> ToolsAtHand:
    """Return the tools of an agent. To be asked once, not for each turn."""
    functions = [tool for tool in agent.tools if isinstance(tool, FunctionTool)]
    handoffs = {_name_of(each): each for each in agent.handoffs}
    names: set[str] = set()
    open_ended = _collect(agent, names, set())
    described = [[tool.name, tool.description, tool.params_json_schema] for tool in functions]
    return ToolsAtHand(
        names=frozenset(names),
        choices=(*[tool.name for tool in agent.tools], *handoffs),
        open_ended=open_ended,
        size=len(json.dumps(described, default=str)) + _HANDOFF_CHARS * len(handoffs),
    )


def _collect(agent: Agent[Any], names: set[str], seen: set[int]) -> bool:
    """Add the names of an agent's tools and of those behind it; say whether there are others."""
    if id(agent) in seen:
        return False
    seen.add(id(agent))
    names.update(tool.name for tool in agent.tools)
    open_ended = bool(agent.mcp_servers)
    for handoff in agent.handoffs:
        if isinstance(handoff, Agent):
            open_ended = _collect(handoff, names, seen) or open_ended
        else:
            open_ended = True  # it does not say which agent is behind it
    return open_ended


def _name_of(handoff: Agent[Any] | Handoff[Any, Any]) -> str:
    if isinstance(handoff, Handoff):
        return handoff.tool_name
    return Handoff.default_tool_name(handoff)
