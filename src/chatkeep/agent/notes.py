"""What a run tells while it runs, so that a crash leaves no doubt about what it has done."""

from typing import Any, Protocol

from agents import Agent, RunContextWrapper, RunHooks, Tool, Usage
from agents.items import ModelResponse, TResponseInputItem
from agents.tool_context import ToolContext
from openai.types.responses import ResponseUsage

from chatkeep.agent.context import TurnContext
from chatkeep.agent.observing import RunCalls
from chatkeep.errors import BudgetExceededError
from chatkeep.models.calls import Tokens
from chatkeep.models.direct import Direct


class Notes(Protocol):
    """Takes notes of a run."""

    def doing(self, what: str | None) -> None:
        """Note what the run waits for, in a few words for operators."""
        ...

    async def model_begins(self, last: Tokens | None) -> None:
        """Note that a model is about to be asked; `last` is what the step before took.

        Raises:
            BudgetExceededError: It must not be.
        """
        ...

    def over_budget(self, error: BudgetExceededError) -> None:
        """Note that the run ends because of that."""
        ...

    def speak(self, item_id: str, part: int, text: str) -> bool:
        """Show what goes on with the text that was shown last; False: it has to be an event."""
        ...

    def completed(self) -> None:
        """Note that the answer is complete."""
        ...

    async def tool_begins(self, call_id: str, name: str) -> None:
        """Note a call before it happens. What this raises keeps it from happening."""
        ...

    async def tool_ended(self, call_id: str) -> None:
        """Note that a call has ended."""
        ...


class NotingHooks(RunHooks[TurnContext]):
    """Tells what the Agents SDK does, and counts what models do not tell themselves.

    Args:
        notes: Takes the notes.
        calls: What models of ours tell.
        model_id: The model that is asked; None: the agent's own.
        straight: Told which answers are the run's own.
    """

    def __init__(
        self, notes: Notes | None, calls: RunCalls, model_id: str | None, straight: Direct
    ) -> None:
        self._notes = notes
        self._calls = calls
        self._model_id = model_id
        self._straight = straight

    async def on_llm_start(
        self,
        context: RunContextWrapper[TurnContext],
        agent: Agent[Any],
        system_prompt: str | None,
        input_items: list[TResponseInputItem],
    ) -> None:
        """A model is about to be asked."""
        del agent, system_prompt
        self._straight.expect(input_items)
        context.context.memory.next_step()
        self._calls.begins()
        if self._notes is not None:
            self._notes.doing("the model")
            await self._notes.model_begins(self._calls.last)

    async def on_llm_end(
        self, context: RunContextWrapper[TurnContext], agent: Agent[Any], response: ModelResponse
    ) -> None:
        """A model has answered."""
        del context
        usage = response.usage
        self.model_ended(agent, usage if usage.requests or usage.total_tokens else None)

    def model_ended(self, agent: Agent[Any], usage: Usage | ResponseUsage | None) -> None:
        """Note that a model has answered, and what it took as far as that was told."""
        if self._notes is not None:
            self._notes.doing(None)
        if not self._calls.heard and usage is not None:
            tokens = Tokens(
                input=usage.input_tokens,
                cached=usage.input_tokens_details.cached_tokens or 0,
                output=usage.output_tokens,
                reasoning=usage.output_tokens_details.reasoning_tokens or 0,
            )
            self._calls.used(self._model_id or _name_of(agent), tokens)

    async def on_tool_start(
        self, context: RunContextWrapper[TurnContext], agent: Agent[Any], tool: Tool
    ) -> None:
        """A tool is about to be called; the call waits for this."""
        del agent
        if isinstance(context, ToolContext):
            if self._notes is not None:
                await self._notes.tool_begins(context.tool_call_id, tool.name)
            memory = context.context.memory
            memory.begin(context.tool_call_id, tool.name, context.tool_arguments)

    async def on_tool_end(
        self, context: RunContextWrapper[TurnContext], agent: Agent[Any], tool: Tool, result: object
    ) -> None:
        """A tool has returned."""
        del agent
        if isinstance(context, ToolContext):
            turn, call_id = context.context, context.tool_call_id
            asked = turn.client_tool_call
            if asked is not None and asked.name == tool.name:
                turn.memory.forget(call_id)  # an item of its own, which has the client's answer
            else:
                turn.memory.end(call_id, result)
            if self._notes is not None:
                await self._notes.tool_ended(call_id)


def _name_of(agent: Agent[Any]) -> str:
    """Return what the model that an agent brings is called."""
    model: Any = agent.model
    name = model if isinstance(model, str) else getattr(model, "model", None)
    return name if isinstance(name, str) else type(model).__name__
