"""The user's choice of a tool: for the first call of a run, from what is offered."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from agents import Agent, function_tool

from chatkeep import Chatkeep, load_settings
from chatkeep.context import RequestContext
from chatkeep.errors import SettingsError
from chatkeep.models.scripted import Call, Message, Step, Text
from chatkeep.testing.client import ChatKitClient, ProblemResponse
from chatkeep.testing.provider import ScriptedProvider
from support.live import Connect, LiveServer, StartServer


@function_tool
def find(what: str) -> str:
    """Find something."""
    return f"found {what}"


def agent() -> Agent[Any]:
    """Return an agent with a tool and somebody to hand over to."""
    expert = Agent[Any](name="Expert", instructions="You know.")
    return Agent(name="a", instructions="b", tools=[find], handoffs=[expert])


def obedient(messages: Sequence[Message]) -> Iterable[Step]:
    """Use the tool first."""
    return [Text("Here.")] if messages[-1].role == "tool" else [Call("find", {"what": "it"})]


def choose(tool: str) -> dict[str, Any]:
    """Return the options of a message."""
    return {"inference_options": {"tool_choice": {"id": tool}}}


async def test_the_first_call_has_to_use_it(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """Behind it the model is free, and so it is in the next turn."""
    provider.script = obedient
    client = connect(await start_server(agent()))

    first = await client.say("find it", **choose("find"))
    await client.say("more", first.thread_id)

    forced = {"type": "function", "function": {"name": "find"}}
    assert [each.get("tool_choice") for each in provider.streamed][:2] == [forced, None]
    assert not any("tool_choice" in each for each in provider.streamed[1:])
    assert first.text == "Here."


async def test_a_hand_off_can_be_chosen(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """Who is handed over to is not made to use a tool that it does not have."""

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        told = messages[-1].role == "tool"
        return [Text("I know.")] if told else [Call("transfer_to_expert")]

    provider.script = script
    client = connect(await start_server(agent()))

    answer = await client.say("ask", **choose("transfer_to_expert"))

    assert answer.text == "I know."
    assert [("tool_choice" in each) for each in provider.streamed] == [True, False]


@pytest.mark.parametrize("chosen", ["look_up", "required", ""])
async def test_what_is_not_offered_is_refused(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider, chosen: str
) -> None:
    """Before anything is stored, with what there is to choose from."""
    client = connect(await start_server(agent()))

    with pytest.raises(ProblemResponse) as refused:
        await client.say("go", **choose(chosen))

    assert refused.value.status == 400
    assert "find, transfer_to_expert" in refused.value.body["detail"]
    assert provider.requests == []
    assert (await client.call("threads.list"))["data"] == []


async def test_an_agent_without_tools_offers_nothing(client: ChatKitClient) -> None:
    """As the plain assistant is."""
    with pytest.raises(ProblemResponse) as refused:
        await client.say("go", **choose("find"))

    assert refused.value.status == 400


async def test_what_is_offered_can_depend_on_who_asks(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """A function gives the ids of the page's composer tools, and the tools that they mean."""
    asked: list[str] = []

    def offer(context: RequestContext) -> dict[str, str]:
        asked.append(context.principal.tenant)
        return {"search": "find", "nonsense": "no_such_tool"}

    provider.script = obedient
    client = connect(await start_server(agent(), tool_choices=offer))

    answer = await client.say("find it", **choose("search"))

    assert answer.text == "Here."
    assert provider.streamed[0]["tool_choice"]["function"]["name"] == "find"
    assert set(asked) == {"local"}
    for other in ("find", "nonsense"):
        with pytest.raises(ProblemResponse):
            await client.say("go", **choose(other))


async def test_an_offer_of_what_is_not_there_stops_the_start(tmp_path: Any) -> None:
    """A mistake in the code shows at once."""
    settings = load_settings(environ={}, overrides={"data_dir": tmp_path})

    with pytest.raises(SettingsError, match="no tool or hand-off look_up"):
        Chatkeep(agent(), tool_choices={"search": "look_up"}, settings=settings)


async def test_a_stored_choice_that_is_not_offered_any_more(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider, server: LiveServer
) -> None:
    """A retry is answered without it."""
    provider.script = obedient
    client = connect(await start_server(agent()))
    first = await client.say("find it", **choose("find"))

    provider.script = ScriptedProvider().script
    other = connect(server)
    other.http.cookies = client.http.cookies
    retried = other.stream(
        "threads.retry_after_item", thread_id=first.thread_id, item_id=first.user_item
    )

    assert "thread.item.done" in [event["type"] async for event in retried]
    assert "tool_choice" not in provider.streamed[-1]
