"""A browser that nothing discourages: it sends with keys, resumes, and writes down what it saw."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic
from typing import Any, Self
from uuid import uuid4

import httpx2

from chatkeep.testing.client import user_input
from support.waiting import PATIENCE

_FOR_NOW = {HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE}
_PAUSE = 0.1
_SILENCE = 40.0
"""Seconds without a byte after which a stream is given up; there is a comment every 15."""


@dataclass(slots=True, eq=False)
class Sent:
    """A message, and everything that its sender was told.

    What was not told is unknown: without `message_id` the message may be there or not.

    Attributes:
        text: The message.
        key: Its idempotency key.
        body: The request.
        thread_id: The thread, known from the start or from the first event.
        turn_id: The turn.
        message_id: The message's id: it was acknowledged.
        done: The items that were shown as done: id, type and text.
        shown: What was streamed of each item.
        last: The number of the last event.
        bodies: How each stream of the turn ended: `end`, `reconnect`, `cut`, or `left`.
        error: The text of the event that told of a failure.
        gone: The events are not kept any more.
        home: The instance that the request was sent to.
        asked: The instance of the last resume.
        first_bytes: For each resume, the seconds until its first byte, and whether it was asked
            of that instance.
        statuses: What was answered to the request itself, in order.
    """

    text: str
    key: str
    body: dict[str, Any]
    thread_id: str | None = None
    turn_id: str | None = None
    message_id: str | None = None
    done: list[tuple[str, str, str]] = field(default_factory=list)
    shown: dict[str, str] = field(default_factory=dict)
    last: int = 0
    bodies: list[str] = field(default_factory=list)
    error: str | None = None
    gone: bool = False
    home: str | None = None
    asked: str | None = None
    first_bytes: list[tuple[float, bool]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def name(self) -> str:
        """What the provider knows it by."""
        return self.text.partition(":")[0]

    @property
    def ended(self) -> bool:
        """Whether the turn's stream was read to its end."""
        return bool(self.bodies) and self.bodies[-1] == "end"

    @property
    def streamed(self) -> str:
        """All text that was shown piece by piece."""
        return "".join(self.shown.values())

    def heard(self, number: int, event: dict[str, Any]) -> None:
        """Write an event down.

        Raises:
            AssertionError: Its number is not higher than the last one's.
        """
        assert number > self.last, (number, self.last, self.text)
        self.last = number
        match event["type"]:
            case "thread.created":
                self.thread_id = event["thread"]["id"]
            case "thread.item.added":
                self.shown[event["item"]["id"]] = ""
            case "thread.item.updated":
                self.shown[event["item_id"]] += event["update"].get("delta", "")
            case "thread.item.done":
                item = event["item"]
                self.done.append((item["id"], item["type"], text_of(item)))
                if item["type"] == "user_message":
                    self.message_id = item["id"]
            case "error":
                assert self.error is None, "two errors"
                self.error = str(event["message"])
            case _:
                pass
        self.changed.set()

    async def until_shown(self, size: int) -> None:
        """Return when so many characters were shown, or the stream has ended."""
        async with asyncio.timeout(PATIENCE):
            while len(self.streamed) < size and not self.bodies:
                self.changed.clear()
                await self.changed.wait()


def text_of(item: dict[str, Any]) -> str:
    """Return the text of a message; nothing of any other item."""
    content = item.get("content") or []
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content) if isinstance(content, list) else ""


class Visitor:
    """One user.

    Args:
        urls: The instances.
        seed: What decides which of them it asks.
    """

    def __init__(self, urls: Sequence[str], seed: int = 0) -> None:
        self.urls = urls
        self.sent: list[Sent] = []
        self._chance = random.Random(seed)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
        timeout = httpx2.Timeout(30, read=_SILENCE, pool=None)
        self.http = httpx2.AsyncClient(limits=limits, timeout=timeout, trust_env=False)

    async def __aenter__(self) -> Self:
        """Get a cookie."""
        await self.call("threads.list", limit=1)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.http.aclose()

    async def ask(self, method: str, path: str, at: int | None = None, **how: Any) -> Any:
        """Return the response of an instance, of any if that does not matter: one that is there."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    response = await self.http.request(method, self._url(at) + path, **how)
                except httpx2.TransportError:
                    await asyncio.sleep(_PAUSE)
                    continue
                if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                    return response
                await asyncio.sleep(_PAUSE)

    async def call(self, type: str, **params: Any) -> Any:
        """Return the answer to a request that is answered at once."""
        response = await self.ask("POST", "chatkit", json={"type": type, "params": params})
        assert response.status_code == HTTPStatus.OK, response.text
        return response.json()

    async def turn(self, sent: Sent) -> dict[str, Any]:
        """Return a turn as the server tells of it."""
        response = await self.ask("GET", f"chatkit/turns/{sent.turn_id}")
        assert response.status_code == HTTPStatus.OK, response.text
        told: dict[str, Any] = response.json()
        return told

    async def cancel(self, sent: Sent, at: int | None = None) -> dict[str, Any]:
        """Stop a turn."""
        response = await self.ask("POST", f"chatkit/turns/{sent.turn_id}/cancel", at)
        assert response.status_code == HTTPStatus.OK, response.text
        told: dict[str, Any] = response.json()
        return told

    def draft(self, text: str, thread_id: str | None = None, key: str | None = None) -> Sent:
        """Return a message that is about to be sent."""
        params: dict[str, Any] = {"input": user_input(text)}
        kind = "threads.create"
        if thread_id is not None:
            kind = "threads.add_user_message"
            params["thread_id"] = thread_id
        body = {"type": kind, "params": params}
        sent = Sent(text, key or uuid4().hex, body, thread_id)
        self.sent.append(sent)
        return sent

    async def say(self, text: str, thread_id: str | None = None, **how: Any) -> Sent:
        """Send a message, and read its answer to the end."""
        sent = self.draft(text, thread_id)
        await self.follow(sent, **how)
        return sent

    async def follow(
        self,
        sent: Sent,
        *,
        at: int | None = None,
        cuts: Sequence[int] = (),
        leave: int | None = None,
    ) -> None:
        """Send a message again and again until it is taken, and read on until the turn's end.

        Args:
            sent: The message.
            at: The instance to send it to; any by default.
            cuts: After so many events, further ones each time, the connection is closed by us.
            leave: After so many events we leave, and do not come back.
        """
        stops = [*cuts, leave]
        async with asyncio.timeout(PATIENCE):
            while not (sent.ended or sent.gone):
                stop = stops[0] if stops else None
                if sent.turn_id is None:
                    body = await self._read(sent, self._post(sent, at), stop)
                else:
                    body = await self._read(sent, self._resume(sent), stop)
                at = None
                if body is None:
                    await asyncio.sleep(_PAUSE)
                    continue
                sent.bodies.append(body)
                sent.changed.set()
                if body == "left" and stops.pop(0) is leave and not stops:
                    return

    async def try_once(self, sent: Sent, at: int | None = None) -> int:
        """Send a message once and read what comes; return the status, 0 if there was no answer."""
        before = len(sent.statuses)
        body = await self._read(sent, self._post(sent, at), None)
        if body is not None:
            sent.bodies.append(body)
        return sent.statuses[-1] if len(sent.statuses) > before else 0

    def _url(self, at: int | None) -> str:
        return self._chance.choice(self.urls) if at is None else self.urls[at]

    @asynccontextmanager
    async def _post(self, sent: Sent, at: int | None = None) -> AsyncIterator[httpx2.Response]:
        headers = {"Idempotency-Key": sent.key, "X-Chatkeep-Events": "numbered"}
        home = self._url(at)
        async with self.http.stream(
            "POST", f"{home}chatkit", json=sent.body, headers=headers
        ) as response:
            sent.statuses.append(response.status_code)
            if response.status_code == HTTPStatus.OK:
                turn_id = response.headers["X-Chatkeep-Turn"]
                assert sent.turn_id in (None, turn_id)
                sent.turn_id, sent.home = turn_id, home
            yield response

    @asynccontextmanager
    async def _resume(self, sent: Sent) -> AsyncIterator[httpx2.Response]:
        sent.asked = self._url(None)
        url = f"{sent.asked}chatkit/turns/{sent.turn_id}/events"
        headers = {"Last-Event-ID": str(sent.last)}
        async with self.http.stream("GET", url, headers=headers) as response:
            sent.gone = response.status_code == HTTPStatus.GONE
            yield response

    async def _read(self, sent: Sent, opened: Any, stop: int | None) -> str | None:
        """Read one body; return how it ended, None if there was none."""
        body: str | None = None
        asked = None if sent.turn_id is None else monotonic()
        try:
            async with opened as response:
                if response.status_code != HTTPStatus.OK:
                    await response.aread()
                    accepted = _FOR_NOW | {HTTPStatus.GONE}
                    assert response.status_code in accepted, (response.status_code, response.text)
                    return None
                body = "cut"
                async with aclosing(_lines(response)) as lines:
                    return await self._take(sent, lines, stop, asked)
        except httpx2.TransportError:
            return body

    async def _take(
        self, sent: Sent, lines: AsyncGenerator[str], stop: int | None, asked: float | None
    ) -> str:
        number = events = 0
        async for line in lines:
            if asked is not None:
                sent.first_bytes.append((monotonic() - asked, sent.asked == sent.home))
                asked = None
            if line.startswith("id: "):
                number = int(line.removeprefix("id: "))
            elif line.startswith("data: "):
                sent.heard(number, json.loads(line.removeprefix("data: ")))
                events += 1
                if events == stop:
                    return "left"
            elif line in (": end", ": reconnect"):
                # Nothing comes behind it.
                assert [rest async for rest in lines if rest] == []
                return line.removeprefix(": ")
        return "cut"


async def _lines(response: httpx2.Response) -> AsyncGenerator[str]:
    async for line in response.aiter_lines():
        yield line
