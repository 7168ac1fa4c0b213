"""One turn of an agent: model input in, ChatKit events out.

The run has a task of its own that fills a bounded queue; whoever consumes `run_agent` empties it.
When the consumer stops, for whatever reason, the run is cancelled, which closes the provider's
socket, and has ended before `run_agent` returns: nothing is left running.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from typing import Any

import structlog
from agents import (
    Agent,
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    OutputGuardrailTripwireTriggered,
    RunConfig,
    Runner,
    RunResultStreaming,
    StreamEvent,
    TResponseInputItem,
)
from agents.exceptions import AgentsException, ModelRefusalError
from chatkit.errors import CustomStreamError
from chatkit.types import (
    ClientEffectEvent,
    HiddenContextItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    WorkflowItem,
)

from chatkeep.agent.context import TurnContext
from chatkeep.agent.events import EventConverter
from chatkeep.agent.memory import ToolMemory
from chatkeep.agent.notes import NotingHooks
from chatkeep.agent.observing import RunCalls, listening
from chatkeep.agent.shortcut import Shortcut, show
from chatkeep.agent.tool_errors import told_of
from chatkeep.errors import BudgetExceededError, ModelError, ModelInterruptedError
from chatkeep.models.calls import caller, observer
from chatkeep.models.catalog import Catalog, ModelEntry
from chatkeep.models.direct import Direct, direct
from chatkeep.models.guard import Backpressure, backpressure

_MAX_STEPS = 10  # model calls in one turn; tools that call each other must end somewhere

_NOTHING_SAID = "The model gave no answer. Please try again, or choose another model."

_TRIPWIRES = (InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered)
_log = structlog.get_logger(__name__)


def run_config(catalog: Catalog, entry: ModelEntry | None, *, traced: bool = False) -> RunConfig:
    """Return how runs with a model are configured; None leaves the choice to the agent.

    To be made once for each model: the class reads its own type hints whenever one is made, which
    takes about a twentieth of a turn.
    """
    return RunConfig(
        model=entry.model if entry else None,
        model_provider=catalog,
        tracing_disabled=not traced,
        trace_include_sensitive_data=False,
        # A model that makes a tool up, or its arguments, is told so and may do better.
        tool_not_found_behavior="return_error_to_model",
        tool_error_formatter=told_of,
    )


async def run_agent(
    agent: Agent[Any],
    input_items: list[TResponseInputItem],
    context: TurnContext,
    config: RunConfig,
    entry: ModelEntry | None,
) -> AsyncGenerator[ThreadStreamEvent]:
    """Run the agent and yield its events.

    Args:
        agent: The developer's agent, or the default assistant.
        input_items: The conversation, oldest first.
        context: The turn's context, which tools get as `ctx.context`.
        config: The `run_config` of the entry.
        entry: The model to use; None leaves the choice to the agent.

    Raises:
        CustomStreamError: The turn failed; the message is for the user, and what had been shown
            until then has been finished by `thread.item.done` events.
    """
    converter = EventConverter(context.thread.id, context.generate_id)
    calls = RunCalls(observer.get(), context.stream)
    result, pressure = _start(agent, input_items, context, config, entry, converter, calls)
    shown = _Shown()
    try:
        async with aclosing(_pump(result, converter, context, pressure)) as events:
            async for event in events:
                shown.see(event)
                yield event
        shown.check()
        if context.notes is not None:
            context.notes.completed()
    except (ModelRefusalError, BudgetExceededError) as error:
        for event in _close(
            converter, context.memory
        ):  # a refusal is the answer, and has been shown
            yield event
        _note_budget(error, context)
    except _TRIPWIRES as error:
        context.memory.take()
        for item_id in shown.items:
            yield ThreadItemRemovedEvent(item_id=item_id)
        raise CustomStreamError("This request was stopped by a safety rule.") from error
    except (ModelError, AgentsException) as error:
        for event in _close(converter, context.memory):
            yield event
        raise _for_the_user(error, context, entry) from error
    finally:
        calls.ends()


def _start(
    agent: Agent[Any],
    input_items: list[TResponseInputItem],
    context: TurnContext,
    config: RunConfig,
    entry: ModelEntry | None,
    converter: EventConverter,
    calls: RunCalls,
) -> tuple[RunResultStreaming, Backpressure]:
    """Start the run: the task that the runner makes for it inherits what models look for."""
    pressure, shortcut = Backpressure(), Shortcut(converter, context)
    straight = Direct(shortcut.take)
    hooks = NotingHooks(context.notes, calls, entry.id if entry else None, straight)
    tokens = backpressure.set(pressure), caller.set(context.caller), direct.set(straight)
    with listening(calls):
        result = shortcut.run = Runner.run_streamed(
            agent,
            input_items,
            context=context,
            max_turns=_MAX_STEPS,
            hooks=hooks,
            run_config=config,
        )
    backpressure.reset(tokens[0])
    caller.reset(tokens[1])
    direct.reset(tokens[2])
    pressure.waiting = result._event_queue.qsize  # noqa: SLF001 - there is no other way to ask
    return result, pressure


class _Shown:
    """What a run has shown.

    Attributes:
        items: The ids of its items.
    """

    def __init__(self) -> None:
        self.items: set[str] = set()
        self._answered = False

    def see(self, event: ThreadStreamEvent) -> None:
        """Note an event."""
        if isinstance(event, ThreadItemUpdatedEvent):
            return  # nearly every one
        if isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent):
            self.items.add(event.item.id)
        self._answered = self._answered or _answers(event)

    def check(self) -> None:
        """Return when there was an answer.

        Raises:
            ModelError: The model has ended without a word; the user would wait for one.
        """
        if not self._answered:
            raise ModelError(_NOTHING_SAID)


def _answers(event: ThreadStreamEvent) -> bool:
    """Whether an event is an answer, or a part of one: anything whole but thoughts."""
    match event:
        case ThreadItemDoneEvent(item=WorkflowItem() as item):
            return item.workflow.type != "reasoning"
        case ThreadItemDoneEvent() | ThreadItemReplacedEvent() | ClientEffectEvent():
            return True
        case _:
            return False


async def _pump(
    result: RunResultStreaming,
    converter: EventConverter,
    context: TurnContext,
    pressure: Backpressure,
) -> AsyncGenerator[ThreadStreamEvent]:
    """Yield the events of the run and of its tools as they come."""
    context.before_item(converter.end_thoughts)
    task = asyncio.create_task(_fill(result, converter, context, pressure), name="agent-run")
    try:
        while (event := await context.next_event()) is not None:
            yield event
        await task
    finally:
        await _stop(result, task, context)


async def _fill(
    result: RunResultStreaming,
    converter: EventConverter,
    context: TurnContext,
    pressure: Backpressure,
) -> None:
    try:
        async for event in result.stream_events():
            pressure.taken()
            if (calls := _remembered(event, context.memory)) is not None:
                await context.forward(ThreadItemDoneEvent(item=calls))
            for converted in converter.convert(event):
                await show(converted, context)
        run = result.run_loop_task
        if run is not None and run.cancelled():
            # By something in it, a tool for instance: the runner takes that for its end.
            raise ModelInterruptedError
        await context.end_workflow()
        if (calls := context.memory.take()) is not None:
            await context.forward(ThreadItemDoneEvent(item=calls))
        for converted in converter.finish(context.client_tool_call):
            await context.forward(converted)
    finally:
        await context.forward(None)


def _remembered(event: StreamEvent, memory: ToolMemory) -> HiddenContextItem | None:
    """Return the item that keeps a step's calls of tools, behind the last of their outputs."""
    if event.type != "run_item_stream_event" or event.item.type != "tool_call_output_item":
        return None
    raw: Any = event.item.raw_item
    fields = raw if isinstance(raw, dict) else raw.model_dump()
    return memory.told(str(fields.get("call_id")), fields.get("output"))


def _close(converter: EventConverter, memory: ToolMemory) -> Iterator[ThreadStreamEvent]:
    """Finish what is open, and keep the calls whose outputs were not told of."""
    yield from converter.close()
    if (calls := memory.take()) is not None:
        yield ThreadItemDoneEvent(item=calls)


async def _stop(result: RunResultStreaming, task: asyncio.Task[None], context: TurnContext) -> None:
    """End the run and its task, whatever state they are in."""
    if not task.done():
        result.cancel()
        context.discard()  # a full buffer would hold the task
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    run = result.run_loop_task
    if run is not None and not run.done():
        run.cancel()
        await asyncio.wait([run])
    context.discard()  # what its model said after the end


def _note_budget(error: Exception, context: TurnContext) -> None:
    if isinstance(error, BudgetExceededError) and context.notes:
        context.notes.over_budget(error)


def _for_the_user(
    error: ModelError | AgentsException, context: TurnContext, entry: ModelEntry | None
) -> CustomStreamError:
    """Return what the user reads; the log gets the kind and, for operators, what to do."""
    hint = error.hint if isinstance(error, ModelError) else None
    _log.warning(
        "the model failed",
        model=entry.id if entry else None,
        error=type(error).__name__,
        cause=type(error.__cause__).__name__ if error.__cause__ else None,
        status=getattr(error.__cause__, "status_code", None),
        hint=hint,
        thread=context.thread.id,
    )
    if isinstance(error, MaxTurnsExceeded):
        return CustomStreamError("The answer needed too many steps.", allow_retry=True)
    message = str(error) if isinstance(error, ModelError) else str(ModelError())
    # An anonymous user sits at this very machine, and is the operator.
    if hint and context.request_context.principal.scheme == "anonymous":
        message = f"{message} {hint}"
    return CustomStreamError(message, allow_retry=True)
