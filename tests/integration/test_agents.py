"""Agents with tools, guardrails and endless appetites, through a real socket."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    RunContextWrapper,
    StopAtTools,
    function_tool,
    input_guardrail,
)
from chatkit.agents import AgentContext, ClientToolCall
from chatkit.types import ClientEffectEvent, CustomTask, LockedStatus, ProgressUpdateEvent, Workflow
from chatkit.widgets import DynamicWidgetRoot

from chatkeep.auth.anonymous import AnonymousAuthenticator, load_key
from chatkeep.context import RequestContext
from chatkeep.models.scripted import Call, Message, ScriptedModel, Step, Text, Thought
from chatkeep.ports import Credentials
from chatkeep.testing.client import ChatKitClient, ProblemResponse
from chatkeep.testing.provider import ScriptedProvider
from support.live import Connect, LiveServer, StartServer

Context = RunContextWrapper[AgentContext[RequestContext]]


def calls_then_says(tool: str, arguments: dict[str, Any], text: str) -> Any:
    """A script that calls a tool once and then speaks."""

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        if messages[-1].role == "tool":
            return [Text(text)]
        return [Call(tool, arguments)]

    return script


@function_tool
async def show(context: Context, name: str) -> str:
    """Show everything a tool can show."""
    chat = context.context
    await chat.stream(ProgressUpdateEvent(text=f"Looking for {name}"))
    await chat.start_workflow(Workflow(type="custom", tasks=[]))
    await chat.add_workflow_task(CustomTask(title="Searched"))
    await chat.end_workflow()
    widget = {"type": "Card", "children": [{"type": "Text", "value": name}]}
    await chat.stream_widget(DynamicWidgetRoot.model_validate(widget), copy_text=name)
    await chat.stream(ClientEffectEvent(name="shown", data={"name": name}))
    return "shown"


@function_tool
async def pick(context: Context, colour: str) -> str:
    """Let the page do something."""
    context.context.client_tool_call = ClientToolCall(name="pick", arguments={"colour": colour})
    return "asked"


async def test_a_tool_shows_progress_workflow_widget_and_effect(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """What a tool streams arrives in its order, is stored, and does not disturb the next turn."""
    provider.script = calls_then_says("show", {"name": "Rome"}, "There it is.")
    client = connect(await start_server(Agent(name="a", instructions="b", tools=[show])))

    answer = await client.say("show me Rome")
    again = await client.say("and again", answer.thread_id)

    kinds = [e["type"] for e in answer.events]
    assert kinds.index("progress_update") < kinds.index("client_effect")
    stored = [item["type"] for item in await client.items(answer.thread_id)]
    assert stored == ["user_message", "workflow", "widget", "assistant_message"] * 2
    assert again.error is None
    assert "Rome" in str(provider.streamed[-1]["messages"])


async def test_a_client_tool_runs_in_the_page_and_the_run_goes_on(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """The call is handed to the client with the model's call id; its result reaches the model."""
    agent = Agent(
        name="a",
        instructions="b",
        tools=[pick],
        tool_use_behavior=StopAtTools(stop_at_tool_names=["pick"]),
    )
    provider.script = calls_then_says("pick", {"colour": "red"}, "Red it is.")
    client = connect(await start_server(agent))

    asked = await client.say("pick a colour")
    call = asked.of("thread.item.done")[-1]["item"]
    stream = client.stream(
        "threads.add_client_tool_output", thread_id=asked.thread_id, result={"picked": "red"}
    )
    texts = [
        event["item"]["content"][0]["text"]
        async for event in stream
        if event["type"] == "thread.item.done"
    ]

    assert (call["type"], call["name"], call["status"]) == ("client_tool_call", "pick", "pending")
    assert texts == ["Red it is."]
    sent = provider.streamed[-1]["messages"]
    assert sent[-2]["tool_calls"][0]["id"] == sent[-1]["tool_call_id"] == call["call_id"]
    assert "picked" in sent[-1]["content"]
    with pytest.raises(ProblemResponse) as refused:
        await client.call(
            "threads.add_client_tool_output", thread_id=asked.thread_id, result="twice"
        )
    assert refused.value.status == 409


async def test_a_guardrail_takes_back_what_was_shown(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """A tripped guardrail ends the turn with an error, and nothing of the answer is kept."""

    @input_guardrail
    async def never(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    provider.script = lambda _: [Text("forbidden words")]
    agent = Agent[Any](name="a", instructions="b", input_guardrails=[never])
    client = connect(await start_server(agent))

    answer = await client.say("hello")

    assert answer.error
    assert "safety" in answer.error["message"]
    assert await client.texts(answer.thread_id) == [("user_message", "hello")]


async def test_an_agent_that_never_ends_is_ended(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """Tools that call each other for ever end in an error after a bounded number of steps."""
    provider.script = lambda _: [Call("show", {"name": "x"})]
    client = connect(await start_server(Agent(name="a", instructions="b", tools=[show])))

    answer = await client.say("go")

    assert answer.error
    assert "too many steps" in answer.error["message"]
    assert len(provider.streamed) == 10


async def test_a_failing_tool_is_told_to_the_model_and_not_to_the_client(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """An exception in a tool does not end the turn, and its text does not leave the server."""

    @function_tool
    def broken() -> str:
        """Fail."""
        raise RuntimeError("password=hunter2")

    provider.script = calls_then_says("broken", {}, "It did not work.")
    client = connect(await start_server(Agent(name="a", instructions="b", tools=[broken])))

    answer = await client.say("go")

    assert answer.texts == ["It did not work."]
    assert "hunter2" not in str(answer.events)


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("pick", {"color": "red"}, "its arguments must be one JSON object that fits its schema"),
        ("imagine", {}, "Tool 'imagine' not found."),
    ],
    ids=["arguments", "tool"],
)
async def test_a_call_that_comes_to_no_tool_is_told_to_the_model(
    start_server: StartServer,
    connect: Connect,
    provider: ScriptedProvider,
    tool: str,
    arguments: dict[str, Any],
    told: str,
) -> None:
    """A tool that is made up, or wrong arguments: the model hears what was wrong, and goes on."""
    provider.script = calls_then_says(tool, arguments, "I will do without.")
    agent = Agent(name="a", instructions="b", tools=[pick])
    client = connect(await start_server(agent))
    answer = await client.say("pick a colour")
    assert answer.text == "I will do without."
    assert answer.error is None
    assert told in provider.requests[1]["messages"][-1]["content"]
    assert (await client.say("and now?", answer.thread_id)).error is None


@pytest.mark.parametrize("steps", [[], [Thought("Well.")], [Text(" ")]], ids=["no", "mind", "air"])
async def test_an_answer_without_a_word_is_an_error(
    client: ChatKitClient, provider: ScriptedProvider, steps: list[Step]
) -> None:
    """The user would wait for it for ever; the next message is answered."""
    provider.script = lambda _: steps
    answer = await client.say("hello?")
    assert answer.error
    assert "no answer" in answer.error["message"]
    assert answer.error["allow_retry"]
    assert client.turn_id
    assert (await client.turn(client.turn_id))["state"] == "failed"
    provider.script = lambda _: [Text("Here.")]
    assert (await client.say("hello?", answer.thread_id)).text == "Here."


async def test_a_tool_can_be_the_answer(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """A model need not add a word to what its tool has shown."""
    provider.script = calls_then_says("show", {"name": "Ada"}, "")
    agent = Agent(name="a", instructions="b", tools=[show])
    answer = await connect(await start_server(agent)).say("show me")
    assert answer.error is None
    assert answer.texts == []


async def test_an_agent_with_a_model_of_its_own_keeps_it(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """The agent's model answers unless the user chose another one."""
    own = ScriptedModel("own", lambda _: [Text("my own words")])
    client = connect(await start_server(Agent(name="a", instructions="b", model=own)))

    first = await client.say("hello")
    chosen = await client.say("hello", inference_options={"model": "tour"})

    assert first.text == "my own words"
    assert "tour" in chosen.text
    assert provider.requests == []


async def test_a_locked_thread_takes_no_message(server: LiveServer, client: ChatKitClient) -> None:
    """A locked or closed thread answers 409 with its reason; it can still be read."""
    answer = await client.say("hello")
    store, context = server.chatkeep.store, await context_of(server, client)
    thread = await store.load_thread(answer.thread_id, context)
    thread.status = LockedStatus(reason="Handed to a person.")
    await store.save_thread(thread, context)

    with pytest.raises(ProblemResponse) as refused:
        await client.say("more", answer.thread_id)

    assert refused.value.status == 409
    assert refused.value.body["detail"] == "Handed to a person."
    assert len(await client.texts(answer.thread_id)) == 2


async def context_of(server: LiveServer, client: ChatKitClient) -> RequestContext:
    """Return the context of this browser's user."""
    key = load_key(server.chatkeep.settings.data_dir)
    identity = await AnonymousAuthenticator(key).authenticate(
        Credentials(headers={}, cookies=dict(client.http.cookies))
    )
    return RequestContext(identity.principal, "req_test")
