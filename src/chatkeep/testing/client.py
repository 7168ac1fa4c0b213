"""A ChatKit client for tests: what the front end does, without a browser."""

import json
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from weakref import WeakSet

import httpx2

type Event = dict[str, Any]


class ProblemResponse(Exception):  # noqa: N818 - a response, in the words of RFC 9457
    """The server refused a request before a stream began."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        self.body: dict[str, Any] = response.json()
        super().__init__(f"{self.status}: {self.body.get('detail')}")


@dataclass(slots=True)
class Answer:
    """What came back for one message."""

    thread_id: str
    events: list[Event] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """The finished assistant messages, in order."""
        return [
            "".join(part["text"] for part in event["item"]["content"])
            for event in self.of("thread.item.done")
            if event["item"]["type"] == "assistant_message"
        ]

    @property
    def text(self) -> str:
        """All text of the answer."""
        return "".join(self.texts)

    @property
    def streamed(self) -> str:
        """The text as it was streamed, delta by delta."""
        return "".join(
            str(event["update"]["delta"])
            for event in self.of("thread.item.updated")
            if event["update"]["type"] == "assistant_message.content_part.text_delta"
        )

    @property
    def user_item(self) -> str:
        """The id of the message that was sent."""
        return next(
            str(event["item"]["id"])
            for event in self.of("thread.item.done")
            if event["item"]["type"] == "user_message"
        )

    @property
    def error(self) -> Event | None:
        """The event that ended a failed stream."""
        return next(iter(self.of("error")), None)

    def of(self, type: str) -> list[Event]:
        """Return the events of a type."""
        return [event for event in self.events if event["type"] == type]


def user_input(text: str, **options: Any) -> dict[str, Any]:
    """Return a `UserMessageInput` with one text."""
    content = [{"type": "input_text", "text": text}]
    return {"content": content, "attachments": [], "inference_options": {}} | options


class ChatKitClient:
    """One browser: keeps its cookies. Use it as an async context manager.

    Args:
        base_url: The server.
        transport: For instance `httpx2.ASGITransport(app)`; the network by default.
    """

    def __init__(
        self, base_url: str, *, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self.http = httpx2.AsyncClient(
            base_url=base_url, transport=transport, timeout=60, trust_env=False
        )
        self._streams: WeakSet[AsyncGenerator[Event]] = WeakSet()

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the streams that were not read to their end, and the connections."""
        for events in list(self._streams):
            with suppress(RuntimeError):  # somebody reads it right now, and will close it
                await events.aclose()
        await self.http.aclose()

    async def call(self, type: str, **params: Any) -> Any:
        """Return the JSON answer to a request.

        Raises:
            ProblemResponse: The server refused it.
        """
        response = await self.http.post("/chatkit", json={"type": type, "params": params})
        if response.status_code != httpx2.codes.OK:
            raise ProblemResponse(response)
        return response.json()

    def stream(self, type: str, **params: Any) -> AsyncGenerator[Event]:
        """Yield the events of a streaming request; closing them closes the connection.

        Raises:
            ProblemResponse: The server refused it.
        """
        events = self._stream({"type": type, "params": params})
        self._streams.add(events)
        return events

    async def _stream(self, body: dict[str, Any]) -> AsyncGenerator[Event]:
        async with self.http.stream("POST", "/chatkit", json=body) as response:
            if response.status_code != httpx2.codes.OK:
                await response.aread()
                raise ProblemResponse(response)
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    async def say(self, text: str, thread_id: str | None = None, **options: Any) -> Answer:
        """Send a message, in a new thread or a given one, and return the whole answer."""
        message = user_input(text, **options)
        if thread_id is None:
            events = self.stream("threads.create", input=message)
        else:
            events = self.stream("threads.add_user_message", thread_id=thread_id, input=message)
        answer = Answer(thread_id or "", [event async for event in events])
        if thread_id is None:
            answer.thread_id = answer.of("thread.created")[0]["thread"]["id"]
        return answer

    async def items(self, thread_id: str, **params: Any) -> list[Any]:
        """Return the newest items of a thread, oldest first."""
        page = await self.call("items.list", thread_id=thread_id, limit=100, **params)
        return list(reversed(page["data"]))

    async def texts(self, thread_id: str) -> list[tuple[str, str]]:
        """Return the messages of a thread as (type, text), oldest first."""
        return [
            (item["type"], "".join(part["text"] for part in item["content"]))
            for item in await self.items(thread_id)
            if item["type"] in ("user_message", "assistant_message")
        ]
