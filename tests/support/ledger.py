"""Clients that write, and what they were told has been saved."""

import asyncio
import random
from collections import defaultdict
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx2

from chatkeep.testing.client import ChatKitClient, ProblemResponse, user_input

_REFUSED_FOR_NOW = {HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE}


@dataclass(slots=True)
class Ledger:
    """What was acknowledged. A value under way when the server died may be there or not.

    Attributes:
        items: The ids of each thread's acknowledged items, in their order.
        texts: The text of each acknowledged message of a user, by item.
        titles: What a renamed thread may be called.
        feedback: What a judgement of (thread, item) may be.
    """

    items: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    texts: dict[str, str] = field(default_factory=dict)
    titles: dict[str, set[str]] = field(default_factory=dict)
    feedback: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    count: int = 0
    _awaited: int = 0
    _reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def more(self, number: int) -> None:
        """Return when this many further writes have been acknowledged."""
        self._awaited = self.count + number
        self._reached.clear()
        await self._reached.wait()

    def acknowledged(self) -> None:
        """Count one."""
        self.count += 1
        if self.count >= self._awaited:
            self._reached.set()


class Writer:
    """A browser that creates threads, goes on in them, renames and judges, until it is cut off."""

    def __init__(self, name: str, client: ChatKitClient, ledger: Ledger, seed: int) -> None:
        self._name = name
        self._client = client
        self._ledger = ledger
        self._random = random.Random(seed)
        self._threads: list[str] = []
        self._number = 0

    async def write(self) -> None:
        """Write one thing after the other until the server is gone."""
        try:
            while True:
                await self.once()
        except httpx2.TransportError:
            return

    async def once(self) -> None:
        """Write one thing."""
        acts = [self._create]
        if self._threads:
            acts = [self._create, self._create, self._go_on, self._go_on, self._rename, self._judge]
        try:
            await self._random.choice(acts)()
        except ProblemResponse as problem:
            if problem.status not in _REFUSED_FOR_NOW:
                raise

    async def _create(self) -> None:
        await self._say("threads.create")

    async def _go_on(self) -> None:
        await self._say("threads.add_user_message", self._random.choice(self._threads))

    async def _say(self, type: str, thread_id: str | None = None) -> None:
        self._number += 1
        text = f"{self._name}, message {self._number}"
        named = {} if thread_id is None else {"thread_id": thread_id}
        events = self._client.stream(type, input=user_input(text), **named)
        async with aclosing(events):
            async for event in events:
                if event["type"] == "thread.created":
                    thread_id = str(event["thread"]["id"])
                    self._threads.append(thread_id)
                elif event["type"] == "thread.item.done" and thread_id is not None:
                    item = event["item"]
                    self._ledger.items[thread_id].append(item["id"])
                    if item["type"] == "user_message":
                        self._ledger.texts[item["id"]] = text
                    self._ledger.acknowledged()

    async def _rename(self) -> None:
        self._number += 1
        thread_id, title = self._random.choice(self._threads), f"{self._name}-{self._number}"
        if thread_id in self._ledger.titles:
            self._ledger.titles[thread_id].add(title)
        await self._client.call("threads.update", thread_id=thread_id, title=title)
        self._ledger.titles[thread_id] = {title}
        self._ledger.acknowledged()

    async def _judge(self) -> None:
        thread_id = self._random.choice(self._threads)
        item_id = self._random.choice(self._ledger.items[thread_id] or [None])
        if item_id is None:
            return
        kind = self._random.choice(["positive", "negative"])
        key = thread_id, item_id
        if key in self._ledger.feedback:
            self._ledger.feedback[key].add(kind)
        await self._client.call(
            "items.feedback", thread_id=thread_id, item_ids=[item_id], kind=kind
        )
        self._ledger.feedback[key] = {kind}
        self._ledger.acknowledged()
