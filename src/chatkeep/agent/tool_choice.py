"""Tools that a user may choose for a message: `inference_options.tool_choice`."""

from collections.abc import Callable, Mapping

from agents import Agent
from chatkit.types import UserMessageItem

from chatkeep.agent.tools import ToolsAtHand, tools_of
from chatkeep.context import RequestContext
from chatkeep.errors import SettingsError

type Offer = Mapping[str, str] | Callable[[RequestContext], Mapping[str, str]]
"""What may be chosen: ids, as clients send them, to names of tools or hand-offs of the agent; or
what returns that for who is asking."""


class ToolChoices:
    """What may be chosen.

    Args:
        agent: The agent; None: there is nothing to choose.
        offer: What is offered; None: the agent's own tools and hand-offs, by their names.

    Raises:
        SettingsError: The offer names something that the agent does not have.
    """

    def __init__(self, agent: Agent[object] | None, offer: Offer | None = None) -> None:
        self._tools = tools_of(agent) if agent is not None else ToolsAtHand()
        self._offer = offer
        if isinstance(offer, Mapping) and (unknown := set(offer.values()) - self._known(offer)):
            names = ", ".join(sorted(unknown))
            raise SettingsError(f"tool_choices: the agent has no tool or hand-off {names}")

    def offered(self, context: RequestContext) -> Mapping[str, str]:
        """Return what this user may choose: ids to names."""
        if self._offer is None:
            return {name: name for name in self._tools.choices}
        offer = self._offer if isinstance(self._offer, Mapping) else self._offer(context)
        known = self._known(offer)
        return {chosen: name for chosen, name in offer.items() if name in known}

    def chosen(self, message: UserMessageItem | None, context: RequestContext) -> str | None:
        """Return the tool that a stored message chooses; it may not be offered any more."""
        choice = message.inference_options.tool_choice if message else None
        return self.offered(context).get(choice.id) if choice else None

    def _known(self, offer: Mapping[str, str]) -> set[str]:
        """Return the names of an offer that the agent can have."""
        if self._tools.open_ended:
            return set(offer.values())
        return set(self._tools.choices)
