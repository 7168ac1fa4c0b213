"""What a run tells while it runs, so that a crash leaves no doubt about what it has done."""

from typing import Any, Protocol

from agents import Agent, RunContextWrapper, RunHooks, Tool
from agents.items import ModelResponse, TResponseInputItem
from agents.tool_context import ToolContext

from chatkeep.agent.context import TurnContext


class Notes(Protocol):
    """Takes notes of a run."""

    def doing(self, what: str | None) -> None:
        """Note what the run waits for, in a few words for operators."""
        ...

    def used(self, requests: int, input_tokens: int, output_tokens: int) -> None:
        """Note the tokens it has taken so far."""
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
    """Tells notes what the Agents SDK does."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    async def on_llm_start(
        self,
        context: RunContextWrapper[TurnContext],
        agent: Agent[Any],
        system_prompt: str | None,
        input_items: list[TResponseInputItem],
    ) -> None:
        """A model is about to be asked."""
        del agent, system_prompt, input_items
        context.context.memory.next_step()
        self._notes.doing("the model")

    async def on_llm_end(
        self, context: RunContextWrapper[TurnContext], agent: Agent[Any], response: ModelResponse
    ) -> None:
        """A model has answered."""
        del agent, response
        usage = context.usage
        self._notes.doing(None)
        self._notes.used(usage.requests, usage.input_tokens, usage.output_tokens)

    async def on_tool_start(
        self, context: RunContextWrapper[TurnContext], agent: Agent[Any], tool: Tool
    ) -> None:
        """A tool is about to be called; the call waits for this."""
        del agent
        if isinstance(context, ToolContext):
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
            await self._notes.tool_ended(call_id)
