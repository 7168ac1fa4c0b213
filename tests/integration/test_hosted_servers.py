"""A `ChatKitServer` written as the SDK's documentation shows, hosted without a change to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest
from agents import Agent, Runner
from chatkit.agents import AgentContext, simple_to_agent_input, stream_agent_response
from chatkit.server import ChatKitServer, StreamingResult, stream_widget
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ClientToolCallItem,
    HiddenContextItem,
    ProgressUpdateEvent,
    StructuredInputFreeform,
    StructuredInputItem,
    SyncCustomActionResponse,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
)
from chatkit.widgets import DynamicWidgetRoot

from chatkeep.context import RequestContext
from chatkeep.models.scripted import ScriptedModel, Text, Thought
from chatkeep.testing.client import ChatKitClient, ProblemResponse, user_input
from support.live import Connect, StartServer
from support.sdk_store import MemoryStore
from support.waiting import PATIENCE, until

type Send = Callable[[str, dict[str, Any]], Awaitable[list[dict[str, Any]]]]

SAYS_HELLO = Agent[Any](
    name="a",
    instructions="b",
    model=ScriptedModel("own", lambda _: [Thought("Hm. Well."), Text("Hello from an agent.")]),
)


def now() -> datetime:
    """Return the time, as the documentation has it."""
    return datetime.now()  # noqa: DTZ005


def card(text: str) -> DynamicWidgetRoot:
    """Return a widget."""
    return DynamicWidgetRoot.model_validate(
        {"type": "Card", "children": [{"type": "Text", "value": text}]}
    )


class DocumentedServer(ChatKitServer[dict[str, Any]]):
    """As in the documentation: a store, an attachment store, and a context of its own."""

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: dict[str, Any],
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Do what the newest message says."""
        assert context["user_id"]
        order = text_of(input_user_message) if input_user_message else "go on"
        if order == "widget":
            async for event in stream_widget(thread, self._states(), copy_text="a card"):
                yield event
        elif order == "agent":
            page = await self.store.load_thread_items(thread.id, None, 20, "desc", context)
            messages = await simple_to_agent_input(list(reversed(page.data)))
            agent_context = AgentContext(thread=thread, store=self.store, request_context=context)
            result = Runner.run_streamed(SAYS_HELLO, messages, context=agent_context)
            async for event in stream_agent_response(agent_context, result):
                yield event
        else:
            async for event in self._plain(order, thread, context):
                yield event

    async def _plain(
        self, order: str, thread: ThreadMetadata, context: dict[str, Any]
    ) -> AsyncIterator[ThreadStreamEvent]:
        place: dict[str, Any] = {"thread_id": thread.id, "created_at": now()}
        if order == "tool":
            yield ThreadItemDoneEvent(
                item=ClientToolCallItem(
                    id=self.store.generate_item_id("tool_call", thread, context),
                    call_id="call_1",
                    name="pick",
                    arguments={"colour": "red"},
                    **place,
                )
            )
            return
        if order == "ask":
            question = StructuredInputFreeform(id="why", question="Why?")
            item_id = self.store.generate_item_id("message", thread, context)
            yield ThreadItemDoneEvent(
                item=StructuredInputItem(id=item_id, inputs=[question], **place)
            )
            return
        yield ProgressUpdateEvent(text="Looking")
        hidden_id = self.store.generate_item_id("message", thread, context)
        yield ThreadItemDoneEvent(
            item=HiddenContextItem(id=hidden_id, content="not for clients", **place)
        )
        yield ThreadItemDoneEvent(item=self._message(thread, f"You said {order}.", context))
        thread.title = f"About {order}"

    async def action(
        self,
        thread: ThreadMetadata,
        action: Any,
        sender: WidgetItem | None,
        context: dict[str, Any],
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Change the widget that was clicked, and say so."""
        assert sender
        changed = sender.model_copy(update={"widget": card(action.payload["to"])})
        yield ThreadItemReplacedEvent(item=changed)
        yield ThreadItemDoneEvent(item=self._message(thread, "Changed.", context))

    async def sync_action(
        self,
        thread: ThreadMetadata,
        action: Any,
        sender: WidgetItem | None,
        context: dict[str, Any],
    ) -> SyncCustomActionResponse:
        """Answer at once."""
        del thread, action, context
        assert sender
        return SyncCustomActionResponse(updated_item=sender)

    async def _states(self) -> AsyncIterator[DynamicWidgetRoot]:
        for text in ("Wait", "Rome"):
            yield card(text)

    def _message(
        self, thread: ThreadMetadata, text: str, context: dict[str, Any]
    ) -> AssistantMessageItem:
        return AssistantMessageItem(
            id=self.store.generate_item_id("message", thread, context),
            thread_id=thread.id,
            created_at=now(),
            content=[AssistantMessageContent(text=text)],
        )


def text_of(message: UserMessageItem) -> str:
    """Return what was written."""
    return "".join(part.text for part in message.content)


def bare() -> Send:
    """The server as the SDK runs it."""
    server = DocumentedServer(MemoryStore())

    async def send(kind: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        body = json.dumps({"type": kind, "params": params})
        result = await server.process(body, {"user_id": "ann"})
        if not isinstance(result, StreamingResult):
            return [json.loads(result.json)]
        frames = b"".join([frame async for frame in result]).split(b"\n\n")
        return [json.loads(frame.removeprefix(b"data: ")) for frame in frames if frame]

    return send


def hosted(client: ChatKitClient) -> Send:
    """The server as Chatkeep runs it."""

    async def send(kind: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        if kind == "threads.sync_custom_action":
            return [await client.call(kind, **params)]
        async with asyncio.timeout(PATIENCE):
            return [event async for event in client.stream(kind, **params)]

    return send


async def conversation(send: Send) -> list[list[dict[str, Any]]]:
    """Do everything that the protocol has; return the events of each request."""
    answers = [await send("threads.create", {"input": user_input("Rome")})]
    thread = {"thread_id": answers[0][0]["thread"]["id"]}
    message_id = answers[0][1]["item"]["id"]

    async def say(text: str) -> None:
        answers.append(await send("threads.add_user_message", thread | {"input": user_input(text)}))

    for text in ("widget", "agent", "tool"):
        await say(text)
    answers.append(await send("threads.add_client_tool_output", thread | {"result": "red"}))
    await say("ask")
    replies = {"status": "answered", "answers": {"why": {"values": ["because"]}}}
    asked = {"item_id": answers[-1][-1]["item"]["id"], "input": replies}
    answers.append(await send("threads.add_structured_input", thread | asked))
    (widget,) = [
        e["item"]
        for e in answers[1]
        if e["type"] == "thread.item.done" and e["item"]["type"] == "widget"
    ]
    click = {"item_id": widget["id"], "action": {"type": "move", "payload": {"to": "Paris"}}}
    answers.append(await send("threads.custom_action", thread | click))
    answers.append(await send("threads.sync_custom_action", thread | click))
    answers.append(await send("threads.retry_after_item", thread | {"item_id": message_id}))
    return answers


class Normal:
    """Replaces ids by their order, and times by a word."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def __call__(self, value: Any, key: str = "") -> Any:
        """Return a value without what differs from run to run."""
        if isinstance(value, dict):
            return {name: self(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [self(each) for each in value]
        if key in ("id", "item_id", "thread_id") and isinstance(value, str):
            return self._ids.setdefault(value, f"id {len(self._ids)}")
        return "time" if key == "created_at" else value


def joined(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return events with the pieces of a text joined: those that come together are one here."""
    found: list[dict[str, Any]] = []
    for event in events:
        update, before = event.get("update", {}), found[-1].get("update", {}) if found else {}
        if "delta" in update and "delta" in before and event["item_id"] == found[-1]["item_id"]:
            delta = before["delta"] + update["delta"]
            found[-1] = event | {"update": update | {"delta": delta}}
        else:
            found.append(event)
    return found


async def test_events_are_those_of_the_bare_sdk(
    start_server: StartServer, connect: Connect
) -> None:
    """The same events in the same order with the same fields, for every streaming request."""

    def context(request: RequestContext) -> dict[str, Any]:
        return {"user_id": request.principal.user}

    client = connect(await start_server(server=DocumentedServer, context=context))
    answers = await conversation(hosted(client))
    expected = await conversation(bare())

    normal, other = Normal(), Normal()
    for answer, bare_answer in zip(answers, expected, strict=True):
        assert normal(joined(answer)) == other(joined(bare_answer))
    thread_id = answers[0][0]["thread"]["id"]
    kinds = [item["type"] for item in await client.items(thread_id)]
    assert kinds == ["user_message", "assistant_message"]
    assert "not for clients" not in str(answers)


@pytest.mark.parametrize("own_context", [True, False])
async def test_an_object_is_hosted_like_its_class(
    start_server: StartServer, connect: Connect, own_context: bool
) -> None:
    """Its store becomes Chatkeep's; each browser has its own conversations there."""

    class Server(ChatKitServer[Any]):
        async def respond(
            self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Any
        ) -> AsyncIterator[ThreadStreamEvent]:
            """Say who asks, and how much there is."""
            del input_user_message
            # Whatever context goes in, the store knows for whom this is.
            page = await self.store.load_thread_items(thread.id, None, 50, "asc", {"any": "thing"})
            who = context["user"] if own_context else context.principal.user
            yield ThreadItemDoneEvent(
                item=AssistantMessageItem(
                    id=self.store.generate_item_id("message", thread, context),
                    thread_id=thread.id,
                    created_at=now(),
                    content=[AssistantMessageContent(text=f"{who}: {len(page.data)}")],
                )
            )

    make = (lambda request: {"user": request.principal.user}) if own_context else None
    server = await start_server(server=Server(MemoryStore()), context=make)
    ann, bob = connect(server), connect(server)
    first = await ann.say("hello")
    second = await ann.say("again", first.thread_id)
    other = await bob.say("hello")

    user = first.text.partition(":")[0]
    assert (first.text, second.text) == (f"{user}: 1", f"{user}: 3")
    assert other.text.endswith(": 1")
    assert user not in other.text
    with pytest.raises(ProblemResponse):
        await bob.say("let me in", first.thread_id)


async def test_a_hosted_answer_is_resumed_and_stopped(
    start_server: StartServer, connect: Connect
) -> None:
    """It gets all that ours gets, without knowing of it."""
    stopped = asyncio.Event()

    class Slow(ChatKitServer[Any]):
        async def respond(
            self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Any
        ) -> AsyncIterator[ThreadStreamEvent]:
            """Begin, and wait."""
            del input_user_message
            agent = Agent[Any](name="a", instructions="b", model=ScriptedModel("own", self._say))
            agent_context = AgentContext(thread=thread, store=self.store, request_context=context)
            result = Runner.run_streamed(agent, "go", context=agent_context)
            try:
                async for event in stream_agent_response(agent_context, result):
                    yield event
            finally:
                stopped.set()

        def _say(self, _: Any) -> list[Text]:
            return [Text("one two "), Text("three " * 10_000, gap=0.01)]

    client = connect(await start_server(server=Slow))
    async with client.numbered("threads.create", input=user_input("count")) as stream:
        events = [await anext(stream)]
        while "delta" not in events[-1].get("update", ()):
            events.append(await anext(stream))
        turn_id, number = stream.turn_id, stream.number
    assert turn_id
    resumed = client.events(turn_id, number)
    await anext(resumed)
    ended = await client.cancel(turn_id)
    rest = [event async for event in resumed]

    assert (ended["state"], ended["reason"]) == ("cancelled", "stopped")
    await until(stopped.is_set)
    assert rest[-1]["type"] == "thread.item.done"
    texts = await client.texts(events[0]["thread"]["id"])
    assert texts[1][1].startswith("one two ")
    assert texts[1][1] == rest[-1]["item"]["content"][0]["text"]
