"""Turns on a real store: a server that says what a test wants, and a store that fails when told."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, cast

from chatkit.server import ChatKitServer
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)
from pydantic_core import from_json, to_json

from chatkeep.context import RequestContext
from chatkeep.files import open_storage
from chatkeep.files.attachments import Attachments, FileLimits
from chatkeep.files.signing import LinkSigner
from chatkeep.models.catalog import Catalog, ModelEntry
from chatkeep.models.prices import Prices
from chatkeep.models.scripted import ScriptedModel, echo
from chatkeep.ports import Store, Turn
from chatkeep.protocol.accounting import Accounting, Limits
from chatkeep.protocol.hosting import Host
from chatkeep.protocol.orders import Terms
from chatkeep.protocol.wire import parse_request
from chatkeep.testing.client import user_input
from chatkeep.testing.store_samples import asking
from chatkeep.turns.bell import Bell
from chatkeep.turns.engine import TurnEngine
from chatkeep.turns.reading import Then, TurnReader
from support.waiting import PATIENCE

type Say = Callable[[ThreadMetadata, Any], AsyncIterator[ThreadStreamEvent]]

ANN, BOB = asking(), asking("bob")


def added(item_id: str, thread_id: str = "thr_1") -> ThreadItemAddedEvent:
    """A message begins."""
    return ThreadItemAddedEvent(item=_message(item_id, thread_id))


def piece(item_id: str, text: str) -> ThreadItemUpdatedEvent:
    """A message goes on."""
    update = AssistantMessageContentPartTextDelta(content_index=0, delta=text)
    return ThreadItemUpdatedEvent(item_id=item_id, update=update)


def done(item_id: str, text: str, thread_id: str = "thr_1") -> ThreadItemDoneEvent:
    """A message is finished."""
    item = _message(item_id, thread_id)
    item.content = [AssistantMessageContent(text=text)]
    return ThreadItemDoneEvent(item=item)


def _message(item_id: str, thread_id: str) -> AssistantMessageItem:
    return AssistantMessageItem(
        id=item_id, thread_id=thread_id, created_at=datetime.now(UTC), content=[]
    )


def streamed(events: Sequence[dict[str, Any]]) -> str:
    """Return the text that events add to messages."""
    return "".join(
        event["update"]["delta"] for event in events if event["type"] == "thread.item.updated"
    )


class Brittle:
    """A store that fails, or waits, where it is told to.

    Attributes:
        errors: By method, what its next calls raise before they do anything.
        lost: By method, what its next calls raise when they have done everything.
        gates: By method, what its calls wait for.
        calls: The methods that were called, in order.
    """

    def __init__(self, store: Store) -> None:
        self.real = store
        self.errors: defaultdict[str, list[Exception]] = defaultdict(list)
        self.lost: defaultdict[str, list[Exception]] = defaultdict(list)
        self.gates: dict[str, asyncio.Event] = {}
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.real, name)
        if not iscoroutinefunction(attribute):
            return attribute

        async def call(*args: Any, **named: Any) -> Any:
            self.calls.append(name)
            if (gate := self.gates.get(name)) is not None:
                await gate.wait()
            if self.errors[name]:
                raise self.errors[name].pop(0)
            answer = await attribute(*args, **named)
            if self.lost[name]:
                raise self.lost[name].pop(0)
            return answer

        return call

    @property
    def store(self) -> Store:
        """It, as a store."""
        return cast("Store", self)

    def gate(self, name: str) -> asyncio.Event:
        """Have the calls of a method wait for what is returned."""
        return self.gates.setdefault(name, asyncio.Event())


async def silent(thread: ThreadMetadata, context: Any) -> AsyncIterator[ThreadStreamEvent]:
    """Say nothing."""
    del thread, context
    return
    yield


class Talker(ChatKitServer[Any]):
    """Answers with what a test says."""

    def __init__(self, store: Any, attachments: Any, say: Say = silent) -> None:
        super().__init__(store, attachments)
        self.say = say
        self.asked = 0

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answer."""
        del input_user_message
        self.asked += 1
        async for event in self.say(thread, context):
            yield event


def answering(*pieces: str) -> Say:
    """Say one message, in pieces that come one after the other."""

    async def say(thread: ThreadMetadata, _: Any) -> AsyncIterator[ThreadStreamEvent]:
        item_id = f"msg_of_{thread.id}_{datetime.now(UTC).timestamp()}"
        yield added(item_id, thread.id)
        for text in pieces:
            await asyncio.sleep(0)
            yield piece(item_id, text)
        yield done(item_id, "".join(pieces), thread.id)

    return say


class Hold:
    """Says two halves of a message; between them it waits until a test lets it go on."""

    def __init__(self, first: str = "one ", second: str = "two") -> None:
        self.first = first
        self.second = second
        self.go = asyncio.Event()
        self.stopped = 0

    async def say(self, thread: ThreadMetadata, _: Any) -> AsyncIterator[ThreadStreamEvent]:
        """Say it."""
        item_id = f"msg_{datetime.now(UTC).timestamp()}"
        yield added(item_id, thread.id)
        yield piece(item_id, self.first)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        yield piece(item_id, self.second)
        yield done(item_id, self.first + self.second, thread.id)


class Instance:
    """An engine with a server of its own, on a store that others may use, too."""

    def __init__(
        self,
        store: Store,
        directory: Path,
        say: Say = silent,
        *,
        own: bool = True,
        holder: str | None = None,
        lease: float = 3600,
    ) -> None:
        limits = FileLimits(1000, ("*/*",), 10_000, 60, 60)
        attachments = Attachments(
            store, open_storage(None, data_dir=directory), LinkSigner(b"key"), limits
        )
        self.store = store
        self.server = Talker(store, attachments, say)
        echoing = ModelEntry("model", "Model", "A model", ScriptedModel("model", echo))
        accounting = Accounting(Prices(), Limits(), Catalog([echoing]))
        self.host = Host(self.server, store, attachments, own=own, accounting=accounting)
        self.bell = Bell()
        self.engine = TurnEngine(store, self.host, self.bell, lease=lease, holder=holder)

    async def ask(
        self,
        text: str = "question",
        thread_id: str | None = None,
        *,
        context: RequestContext = ANN,
        key: str | None = None,
        queue: bool = False,
    ) -> Turn:
        """Send a message, in a new thread or a given one; return its turn."""
        params: dict[str, Any] = {"input": user_input(text)}
        kind = "threads.create"
        if thread_id is not None:
            kind, params = "threads.add_user_message", params | {"thread_id": thread_id}
        return await self.request(kind, params, context=context, key=key, queue=queue)

    async def request(
        self,
        kind: str,
        params: dict[str, Any],
        *,
        context: RequestContext = ANN,
        key: str | None = None,
        queue: bool = False,
    ) -> Turn:
        """Begin the turn of a request."""
        body = to_json({"type": kind, "params": params})
        terms = Terms(self.engine.holder, self.engine.lease, key, queue)
        parsed: Any = parse_request(body)
        ordered = await self.host.order(parsed, body, context, terms)
        opening = [self.host.encode(event) for event in ordered.opening]
        return await self.engine.begin(ordered.order, opening, context, ordered.given)

    def reader(self, turn_id: str, after: int = 0, context: RequestContext = ANN) -> TurnReader:
        """Return a reader of a turn."""
        return TurnReader(self.engine, self.store, turn_id, after, context)

    async def read(
        self, turn_id: str, after: int = 0, *, until: int | None = None
    ) -> list[tuple[int, dict[str, Any]]]:
        """Return a turn's numbered events behind a number, to its end or up to a number."""
        found: list[tuple[int, dict[str, Any]]] = []
        async with asyncio.timeout(PATIENCE):
            with self.reader(turn_id, after) as reader:
                while True:
                    batch = await reader.next(0.05)
                    found += [(number, from_json(json)) for number, json in batch.events]
                    if batch.then is not Then.MORE:
                        assert batch.then is Then.NOTHING
                        return found
                    if until is not None and found and found[-1][0] >= until:
                        return found

    async def events(self, turn_id: str) -> list[dict[str, Any]]:
        """Return all events of a turn, up to its end."""
        return [event for _, event in await self.read(turn_id)]

    async def ended(self, turn_id: str, context: RequestContext = ANN) -> Turn:
        """Return a turn when it has ended."""
        async with asyncio.timeout(PATIENCE):
            while True:
                turn = await self.store.load_turn(turn_id, context)
                if turn.ended_at is not None and self.engine.find(turn_id) is None:
                    return turn
                await asyncio.sleep(0.005)

    async def aclose(self) -> None:
        """End what runs."""
        await self.engine.drain(0)


async def stored_items(
    store: Store, thread_id: str, context: RequestContext = ANN
) -> list[ThreadItem]:
    """Return the items of a thread, oldest first, hidden ones too."""
    page = await store.load_thread_items(thread_id, None, 100, "asc", context)
    return page.data


async def stored_texts(store: Store, thread_id: str) -> list[tuple[str, str]]:
    """Return the messages of a thread as (type, text), oldest first."""
    return [
        (item.type, "".join(part.text for part in item.content))
        for item in await stored_items(store, thread_id)
        if isinstance(item, UserMessageItem | AssistantMessageItem)
    ]


async def taken(store: Store, turn: Turn, holder: str = "another") -> Turn:
    """Take a turn over, as another instance does when a lease has run out."""
    await store.release_turn(turn.id, turn.fence, ANN)
    claimed = await store.claim_turn(holder, 3600)
    assert claimed
    assert claimed.id == turn.id
    return claimed
