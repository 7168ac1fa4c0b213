"""The run of an agent that gives the Agents SDK's runner nothing to do but to ask a model once.

For that the runner copies the input, describes every agent of the run, looks for sandboxes, and
starts a handful of tasks, which together takes longer than the request to the model. An agent with
tools, hand-offs, guardrails, hooks, an output type or a prompt of the provider's is the runner's.
What it does for the others is done here; `tests/unit/test_plain_runs.py` compares the two.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from functools import lru_cache
from typing import Any, cast

from agents import (
    Agent,
    Model,
    ModelSettings,
    ModelTracing,
    RawResponsesStreamEvent,
    RunConfig,
    RunContextWrapper,
    RunResultStreaming,
    StreamEvent,
    TResponseInputItem,
)
from agents.exceptions import MaxTurnsExceeded, ModelBehaviorError, ModelRefusalError
from agents.items import ItemHelpers, TResponseOutputItem, TResponseStreamEvent
from agents.models import get_default_model_settings
from openai.types.responses import Response

from chatkeep.agent.context import TurnContext
from chatkeep.agent.notes import NotingHooks

type Run = RunResultStreaming | PlainRun

type _Events = AsyncGenerator[TResponseStreamEvent]

_FAILURES = frozenset({"response.failed", "response.incomplete", "response.error", "error"})

_PROVIDERS_WORK = frozenset(
    {"web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"}
)
"""What a request may have a provider do without a tool of the agent, by further fields."""


def is_plain(agent: Agent[Any], config: RunConfig) -> bool:
    """Whether a run of the agent is one call of a model of ours."""
    settings = agent.model_settings
    return (
        type(agent) is Agent
        and isinstance(config.model, Model)
        and config.tracing_disabled
        and not (agent.tools or agent.handoffs or agent.mcp_servers)
        and not (agent.input_guardrails or agent.output_guardrails)
        and agent.hooks is None
        and agent.prompt is None
        and agent.output_type in (None, str)
        and settings.retry is None
        and settings.timeout is None
    )


def run_plain(
    agent: Agent[Any],
    input_items: list[TResponseInputItem],
    *,
    context: TurnContext,
    max_turns: int,
    hooks: NotingHooks,
    run_config: RunConfig,
) -> "PlainRun":
    """Start a run, as `Runner.run_streamed` does: its task inherits the context variables."""
    return PlainRun(agent, input_items, context, max_turns, hooks, run_config)


def settings_of(agent: Agent[Any]) -> ModelSettings:
    """Return how a model of ours is called for an agent.

    What an agent has by default is meant for the SDK's default model. The runner makes it anew
    whenever it has to tell whether an agent has it.
    """
    name = agent.model
    if isinstance(name, Model):
        return agent.model_settings
    given = agent.model_settings
    return ModelSettings() if given == _meant_for(name) else given


@lru_cache(maxsize=32)
def _meant_for(name: str | None) -> ModelSettings:
    return get_default_model_settings(name)


class PlainRun:
    """A run, as far as `RunResultStreaming` is used.

    Attributes:
        run_loop_task: What asks the model.
    """

    def __init__(
        self,
        agent: Agent[Any],
        input_items: list[TResponseInputItem],
        context: TurnContext,
        max_turns: int,
        hooks: NotingHooks,
        config: RunConfig,
    ) -> None:
        # As the runner's: the model is held back by how much waits in it.
        self._event_queue: asyncio.Queue[StreamEvent | None] = asyncio.Queue()
        self._agent = agent
        self._input = input_items
        self._context: RunContextWrapper[TurnContext] = RunContextWrapper(context)
        self._max_turns = max_turns
        self._hooks = hooks
        self._config = config
        self.run_loop_task = asyncio.create_task(self._run(), name="plain-run")
        self.run_loop_task.add_done_callback(self._ended)

    async def stream_events(self) -> AsyncGenerator[StreamEvent]:
        """Yield what the model says.

        Raises:
            ModelError: The model failed.
            AgentsException: Its answer is none.
        """
        queue = self._event_queue
        while (event := await queue.get()) is not None:
            try:
                yield event
            finally:
                queue.task_done()
        if not self.run_loop_task.cancelled():
            self.run_loop_task.result()

    def cancel(self) -> None:
        """Stop asking."""
        self.run_loop_task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # raised to those who read to the end; nobody else is to be told
        self._event_queue.put_nowait(None)

    async def _run(self) -> None:
        agent, context, hooks = self._agent, self._context, self._hooks
        for _ in range(self._max_turns):
            instructions = await agent.get_system_prompt(context)
            await hooks.on_llm_start(context, agent, instructions, self._input)
            response = await self._ask(instructions)
            hooks.model_ended(agent, response.usage)
            if not _goes_on(response.output):
                return
            said = (item.model_dump(exclude_unset=True) for item in response.output)
            self._input = [
                *self._input,
                *cast("Iterable[TResponseInputItem]", said),
                *_told_of_calls(response.output),
            ]
        raise MaxTurnsExceeded(f"Max turns ({self._max_turns}) exceeded")

    async def _ask(self, instructions: str | None) -> Response:
        """Have the model answer; return the end of it."""
        response: Response | None = None
        items: list[TResponseOutputItem] = []
        async with aclosing(self._asked(instructions)) as events:
            async for event in events:
                self._event_queue.put_nowait(RawResponsesStreamEvent(data=event))
                if event.type == "response.completed":
                    response = event.response
                elif event.type == "response.output_item.done":
                    items.append(event.item)
                elif event.type in _FAILURES:
                    raise ModelBehaviorError("The model broke its answer off.")
        if response is None:
            raise ModelBehaviorError("The answer has no end.")
        response.output = response.output or items  # some leave them out
        return response

    def _asked(self, instructions: str | None) -> _Events:
        model, settings = self._config.model, settings_of(self._agent)
        assert isinstance(model, Model)  # noqa: S101 - made sure by `is_plain`
        stream = model.stream_response(
            instructions,
            self._input,
            settings,
            [],
            None,
            [],
            ModelTracing.DISABLED,
            previous_response_id=None,
            conversation_id=None,
            prompt=None,
        )
        return cast("_Events", stream)


def _goes_on(output: Sequence[TResponseOutputItem]) -> bool:
    """Whether the model has yet to speak: it waits for a tool, or its provider has worked for it.

    Raises, as the runner does:
        ModelBehaviorError: It uses what only a tool could do that the agent does not have.
        ModelRefusalError: It refuses.
    """
    called = worked = False
    message = None
    for item in output:
        match item.type:
            case "message":
                message = item
            case "reasoning" | "compaction":
                pass
            case "function_call":
                called = True
            case kind if kind in _PROVIDERS_WORK:
                worked = True
            case kind:
                raise ModelBehaviorError(f"The model sent a {kind}, and the agent has no tools.")
    if called:
        return True
    if message is not None and (refusal := ItemHelpers.extract_refusal(message)):
        raise ModelRefusalError(refusal)
    return worked and message is None


def _told_of_calls(output: Sequence[TResponseOutputItem]) -> list[TResponseInputItem]:
    """Return what the model is told of calls of tools that it has made up."""
    return [
        cast(
            "TResponseInputItem",
            ItemHelpers.tool_call_output_item(item, f"Tool '{item.name}' not found."),
        )
        for item in output
        if item.type == "function_call"
    ]
