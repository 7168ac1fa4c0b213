"""The n-th await of a turn goes wrong, for n = 1, 2, … until a turn passes untouched.

After each, everything that a user was told must be so, and the turn must have an end. It is found
again by another instance on the same database, as it is after a crash.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, cast

import pytest
import pytest_asyncio
from agents import Agent, Model, function_tool
from chatkit.server import ChatKitServer
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartTextDelta,
    AttachmentCreateParams,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)

from chatkeep.errors import ChatkeepError
from chatkeep.models.scripted import Call, Message, ScriptedModel, Step, Text
from chatkeep.ports import Turn, TurnState
from chatkeep.testing.client import user_input
from chatkeep.testing.store_samples import message, question, thread
from chatkeep.turns import keeping
from support.faults import Faults, Mode
from support.instance import Instance, Shared
from support.instant import instant
from support.sizes import full, note
from support.visitor import Sent, text_of

FIRST, SECOND = "Let me send.", "It was sent."
SPOKEN = [FIRST, SECOND]
_GAP = 0.06
_PATIENCE = 3600.0
"""Seconds of a time that does not pass."""

_users = count()


@pytest_asyncio.fixture
async def shared(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shared]:
    """A database, in a loop whose time passes only while the database does nothing."""
    monkeypatch.setattr(keeping, "_FLUSH_SECONDS", 0.0)  # by the clock of the machine
    made = Shared()
    await made.store.open()
    with instant(asyncio.get_running_loop(), lambda: made.busy):
        yield made
        await made.store.aclose()


def script(messages: Sequence[Message]) -> Iterable[Step]:
    """Say something, call the tool, and say something more."""
    if messages[-1].role == "tool":
        return [Text(SECOND, _GAP)]
    return [Text(FIRST, _GAP), Call("send_mail", {"to": "Ann"})]


class Case:
    """One user, who sends one message while something goes wrong.

    Attributes:
        loses: An instance ends, or a task of it, with what it has not stored.
        effects: What the tool has done.
        sent: The message, as its sender has seen it.
    """

    def __init__(self, shared: Shared, mode: Mode) -> None:
        self.shared = shared
        self.loses = mode is not Mode.RAISE
        self.user = f"user {next(_users)}"
        self.effects: list[str] = []
        self.sound = self.instance(Faults())
        self.sent = Sent("question", "key", {})
        self.old: list[str] = []

    def instance(self, faults: Faults) -> Instance:
        """Return an instance for this user."""
        model = ScriptedModel("model", script)
        return Instance(self.shared, self.user, self._agent, model, faults, self.hosted)

    hosted: Callable[[Faults], ChatKitServer[Any]] | None = None
    """Makes the server that is hosted, where it is not Chatkeep's own."""

    def _agent(self, model: Model, faults: Faults) -> Agent[Any]:
        @function_tool
        async def send_mail(to: str) -> str:
            """Send a mail."""
            await faults.point(RuntimeError, "before the tool")
            self.effects.append(to)
            await faults.point(RuntimeError, "behind the tool")
            return "sent"

        return Agent(name="Agent", instructions="Send it.", model=model, tools=[send_mail])

    async def prepare(self) -> None:
        """Write a message with a file."""

        async def content() -> AsyncIterator[bytes]:
            yield b"text"

        given = AttachmentCreateParams(name="a.txt", size=4, mime_type="text/plain")
        file = await self.sound.attachments.add(given, content(), self.sound.context)
        message = user_input(self.sent.text, attachments=[file.id])
        self.sent.body = {"type": "threads.create", "params": {"input": message}}

    async def send(self, faults: Faults) -> None:
        """Send the message to an instance where something goes wrong."""
        instance = self.instance(faults)
        await self._while_it_lives(instance, instance.send(self.sent))

    async def _while_it_lives(self, instance: Instance, work: Any) -> None:
        """Do something until it is done or the process is gone; leave nothing of it behind."""
        before = asyncio.all_tasks()
        faults, engine = instance.faults, instance.engine
        doing = asyncio.create_task(work)
        idle = 0
        # A turn that was given up here has readers who wait for another instance.
        while not faults.dead.is_set() and (engine.running or (idle < 2 and not doing.done())):
            idle = 0 if engine.running else idle + 1
            await asyncio.sleep(1)
        while running := self.shared.underway:
            await asyncio.wait(running)
        faults.bury()
        while left := asyncio.all_tasks() - before:
            for task in left:
                task.cancel()
            await asyncio.wait(left)
        if not doing.cancelled():
            doing.result()

    async def recover(self) -> Sent:
        """Let a sound instance take over, read on there, and send the message again."""
        sound, sent = self.sound, self.sent
        async with asyncio.timeout(_PATIENCE):
            while await self._open():
                if not sound.engine.running:
                    await sound.take_over()
                await asyncio.sleep(0.1)
        if sent.turn_id is None:
            await sound.send(sent)
        elif not sent.ended:
            await sound.resume(sent)
        assert sent.ended
        again = Sent(sent.text, sent.key, sent.body)
        await sound.send(again)
        assert again.turn_id == sent.turn_id
        assert again.ended
        return again

    async def _open(self) -> bool:
        states = [TurnState.QUEUED, TurnState.RUNNING]
        return bool(await self.shared.store.load_turns(states, 10))

    async def check(self, again: Sent) -> Turn:
        """Compare what was seen with what is kept."""
        store, context = self.shared.store, self.sound.context
        turn: Turn = await store.load_turn(self.sent.turn_id, context)
        threads = (await store.load_threads(10, None, "asc", context)).data
        assert [thread.id for thread in threads] == [turn.thread_id], "I2"
        page = await store.load_thread_items(turn.thread_id, None, 100, "asc", context)
        items = [item.model_dump(mode="json") for item in page.data]
        kept = {item["id"]: text_of(item) for item in items}
        assert [text_of(item) for item in _of(items, "user_message")] == [self.sent.text], "I1 I2"
        for seen in (self.sent, again):
            self._check_seen(seen, kept)
        self._check_answers(turn, items, again)
        await self._check_effects(turn, again)
        return turn

    def _check_seen(self, seen: Sent, kept: dict[str, str]) -> None:
        assert seen.message_id is None or seen.message_id in kept, "I1"
        for item_id, type_, text in seen.done:
            assert kept.get(item_id) == text, ("I4", type_, text)
        told = list(dict.fromkeys(item_id for item_id, _, _ in seen.done))
        assert [item_id for item_id in kept if item_id in told] == told, "I4"
        for item_id, text in seen.shown.items():
            whole = kept.get(item_id, "")
            # What was not stored yet is gone with whoever had it.
            gone = self.loses and text.startswith(whole)
            assert whole.startswith(text) or gone, ("I5", text, whole)

    def _check_answers(self, turn: Turn, items: list[Any], again: Sent) -> None:
        answers = {item["id"]: text_of(item) for item in _of(items, "assistant_message")}
        old = [answers.pop(item_id) for item_id in self.old if item_id in answers]
        texts = list(answers.values())
        if turn.state is TurnState.COMPLETED:
            assert (old, texts) == ([], SPOKEN), "I3"
            assert again.error is None
            return
        assert turn.state in (TurnState.FAILED, TurnState.INTERRUPTED)
        assert again.error is not None
        assert old == (SPOKEN if self.old else []), "the old answer is kept"
        assert all(whole.startswith(text) for text, whole in zip(texts, SPOKEN, strict=False)), "I3"
        assert len(texts) <= 2, "I3"

    async def _check_effects(self, turn: Turn, again: Sent) -> None:
        assert len(self.effects) <= 1, "I10"
        calls = await self.shared.store.load_tool_calls(turn.id, self.sound.context)
        assert len(calls) >= len(self.effects), "I10"
        if turn.state is TurnState.INTERRUPTED and any(call.ended_at is None for call in calls):
            assert "send_mail" in (again.error or ""), "I10"


class Retry(Case):
    """The user asks for another answer, which takes the place of one that there is."""

    async def prepare(self) -> None:
        """Store a message with its answers."""
        store, context = self.shared.store, self.sound.context
        made = thread(f"thread of {self.user}")
        asked = question(f"asked by {self.user}", text=self.sent.text, thread_id=made.id)
        await store.create_thread(made, asked, context)
        self.old = [f"first of {self.user}", f"second of {self.user}"]
        for item_id, text in zip(self.old, SPOKEN, strict=True):
            await store.add_thread_item(made.id, message(item_id, text, thread_id=made.id), context)
        self.sent.body = {
            "type": "threads.retry_after_item",
            "params": {"thread_id": made.id, "item_id": asked.id},
        }


class Foreign(ChatKitServer[Any]):
    """A server of somebody else, who knows nothing of all this: it says, does, and says."""

    def __init__(self, faults: Faults, effects: list[str]) -> None:
        super().__init__(cast("Any", None))
        self._faults = faults
        self._effects = effects

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answer as Chatkeep's own agent does."""
        assert input_user_message
        for text in SPOKEN:
            async for event in self._say(text, thread, context):
                yield event
            if not self._effects:
                await self._faults.point(RuntimeError, "before the tool")
                self._effects.append("Ann")
                await self._faults.point(RuntimeError, "behind the tool")

    async def _say(
        self, text: str, thread: ThreadMetadata, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        item_id = self.store.generate_item_id("message", thread, context)
        item = message(item_id, "", thread_id=thread.id).model_copy(update={"content": []})
        yield ThreadItemAddedEvent(item=item)
        empty = AssistantMessageContent(text="", annotations=[])
        part = AssistantMessageContentPartAdded(content_index=0, content=empty)
        yield ThreadItemUpdatedEvent(item_id=item_id, update=part)
        for word in re.split("(?<= )", text):
            await self._faults.point(RuntimeError, "before a word")
            await asyncio.sleep(_GAP)
            delta = AssistantMessageContentPartTextDelta(content_index=0, delta=word)
            yield ThreadItemUpdatedEvent(item_id=item_id, update=delta)
        yield ThreadItemDoneEvent(item=message(item_id, text, thread_id=thread.id))


class Hosted(Case):
    """The server is somebody else's: its code is never run twice for one message."""

    def hosted(self, faults: Faults) -> ChatKitServer[Any]:
        """Return the server."""
        return Foreign(faults, self.effects)

    async def _check_effects(self, turn: Turn, again: Sent) -> None:
        del again
        assert len(self.effects) <= 1, "I10"
        assert self.effects or turn.state is not TurnState.COMPLETED, "I3"


class Takeover(Case):
    """An instance is gone in the middle, and it goes wrong at the one that takes over."""

    where, number = "behind response.output_text.delta", 5

    async def prepare(self) -> None:
        """Let one begin, and end."""
        await super().prepare()
        self.loses = True
        gone = Faults(self.number, Mode.KILL, self.where)
        await super().send(gone)
        assert gone.dead.is_set()

    async def send(self, faults: Faults) -> None:
        """Take over."""
        instance = self.instance(faults)
        await self._while_it_lives(instance, _quietly(instance.take_over()))


class EarlyTakeover(Takeover):
    """The same, before anything was shown: the turn begins again."""

    where, number = "before the model", 1


class ToolTakeover(Takeover):
    """The same, when nobody knows what became of the tool."""

    where, number = "behind the tool", 1


async def _quietly(work: Any) -> None:
    with suppress(ChatkeepError):
        await work


def _of(items: list[Any], type: str) -> list[Any]:
    return [item for item in items if item["type"] == type]


def cases() -> Iterator[Any]:
    """Yield what is tried; a few that are much like others only in the long run."""
    for kind in (Case, Retry, Hosted, Takeover, ToolTakeover, EarlyTakeover):
        for mode in Mode:
            alike = kind is EarlyTakeover or (kind is Hosted and mode is Mode.CANCEL)
            alike = alike or (kind in (Retry, ToolTakeover) and mode is not Mode.KILL)
            if full() or not alike:
                yield pytest.param(kind, mode, id=f"{kind.__name__}-{mode.value}")


@pytest.mark.parametrize(("kind", "mode"), list(cases()))
async def test_every_await_of_a_turn_may_go_wrong(
    shared: Shared, kind: type[Case], mode: Mode
) -> None:
    """Each in its turn; the last one passes untouched."""
    states: dict[str, int] = {}
    for number in count(1):
        case = kind(shared, mode)
        await case.prepare()
        faults = Faults(number, mode)
        try:
            await case.send(faults)
            turn = await case.check(await case.recover())
        except BaseException as error:
            error.add_note(f"{kind.__name__}, {mode}, await {number}, {faults.fired}: {case.sent}")
            raise
        states[turn.state] = states.get(turn.state, 0) + 1
        if not faults.fired:
            break
    assert number > 10
    note(f"n-th await, {kind.__name__}, {mode.value}", awaits=number - 1, **states)
