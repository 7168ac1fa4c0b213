"""How many tokens of a model's context are left for the conversation."""

from dataclasses import dataclass
from typing import Any

from agents import Agent

from chatkeep.agent.tools import ToolsAtHand
from chatkeep.models.catalog import ModelEntry

_CHARS_PER_TOKEN = 3
_CHARS_PER_TOKEN_AT_MOST = 5
_DYNAMIC_TOKENS = 500  # for instructions that a function makes in the run
_LARGEST_SHARE = 0.7  # estimates are estimates
_SMALLEST_SHARE = 0.2
_ANSWER_SHARE = 0.25
_ANSWER_TOKENS = 4_096


@dataclass(frozen=True, slots=True)
class Room:
    """What a model has room for.

    Attributes:
        context: Tokens of question, history and answer together.
        history: Of these, those for the conversation, its newest message included.
    """

    context: int
    history: int

    def is_beyond(self, tokens: int) -> bool:
        """Whether so many tokens, by our estimate, cannot be in the context, if all goes well."""
        return tokens * _CHARS_PER_TOKEN > self.context * _CHARS_PER_TOKEN_AT_MOST


def room_of(entry: ModelEntry, agent: Agent[Any], tools: ToolsAtHand) -> Room:
    """Return the room beside the agent's instructions, the schemas of its tools and the answer.

    To be asked once for each model, not for each turn.
    """
    instructions = agent.instructions
    if isinstance(instructions, str):
        fixed = len(instructions.encode(errors="replace")) // _CHARS_PER_TOKEN
    else:
        fixed = _DYNAMIC_TOKENS if instructions is not None else 0
    fixed += tools.size // _CHARS_PER_TOKEN
    context = entry.context_tokens
    limit = agent.model_settings.max_tokens or entry.settings.max_tokens
    answer = min(limit or _ANSWER_TOKENS, int(context * _ANSWER_SHARE))
    left = min(context - fixed - answer, int(context * _LARGEST_SHARE))
    return Room(context, max(left, int(context * _SMALLEST_SHARE)))
