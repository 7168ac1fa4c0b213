"""A ChatKit client for tests: what the front end does, without a browser."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, suppress
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


class NumberedStream:
    """The numbered events of a turn, or of a thread's turns: an iterator of events.

    Args:
        response: The response that they come in, not begun.

    Attributes:
        turn_id: The turn that the response is of, or that the events are of now.
        number: The number of the last event that came.
        comments: What came as comments, heartbeats (empty ones) too.
    """

    def __init__(self, response: AbstractAsyncContextManager[httpx2.Response]) -> None:
        self._opening = response
        self._stack = AsyncExitStack()
        self._lines: AsyncIterator[str] | None = None
        self.turn_id: str | None = None
        self.number = 0
        self.comments: list[str] = []

    @property
    def ended(self) -> str | None:
        """How the body ended: `end`, `reconnect`, or None: it was cut, or has not."""
        last = self.comments[-1] if self.comments else None
        return last if last in ("end", "reconnect") else None

    async def __aenter__(self) -> Self:
        """Send the request.

        Raises:
            ProblemResponse: The server refused it.
        """
        if self._lines is None:
            response = await self._stack.enter_async_context(self._opening)
            await _checked(response)
            self.turn_id = response.headers.get("x-chatkeep-turn")
            self._lines = lines = _lines(response)
            self._stack.push_async_callback(lines.aclose)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""
        await self._stack.aclose()

    def __aiter__(self) -> Self:
        """Return the stream."""
        return self

    async def __anext__(self) -> Event:
        """Return the next event.

        Raises:
            ProblemResponse: The server refused the request, which the first call sends.
        """
        await self.__aenter__()
        assert self._lines is not None
        async for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "id":
                self.number = int(value)
            elif name == "data":
                event: Event = json.loads(value)
                return event
            elif line.startswith(":"):
                self.comments.append(value)
                if value.startswith("turn "):
                    self.turn_id = value.removeprefix("turn ")
        await self._stack.aclose()
        raise StopAsyncIteration


def user_input(text: str, **options: Any) -> dict[str, Any]:
    """Return a `UserMessageInput` with one text."""
    content = [{"type": "input_text", "text": text}]
    return {"content": content, "attachments": [], "inference_options": {}} | options


class ChatKitClient:
    """One browser: keeps its cookies. Use it as an async context manager.

    Args:
        base_url: The server.
        transport: For instance `httpx2.ASGITransport(app)`; the network by default.

    Attributes:
        turn_id: The turn of the last stream that was begun.
    """

    def __init__(
        self, base_url: str, *, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self.http = httpx2.AsyncClient(
            base_url=base_url, transport=transport, timeout=60, trust_env=False
        )
        self._streams: WeakSet[AsyncGenerator[Event]] = WeakSet()
        self._numbered: WeakSet[NumberedStream] = WeakSet()
        self.turn_id: str | None = None

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the streams that were not read to their end, and the connections."""
        for events in list(self._streams):
            with suppress(RuntimeError):  # somebody reads it right now, and will close it
                await events.aclose()
        for numbered in list(self._numbered):
            with suppress(RuntimeError):
                await numbered.__aexit__()
        await self.http.aclose()

    async def call(self, type: str, **params: Any) -> Any:
        """Return the JSON answer to a request.

        Raises:
            ProblemResponse: The server refused it.
        """
        response = await self.http.post("/chatkit", json={"type": type, "params": params})
        await _checked(response)
        return response.json()

    def stream(
        self, type: str, *, idempotency_key: str | None = None, **params: Any
    ) -> AsyncGenerator[Event]:
        """Yield the events of a streaming request; closing them closes the connection.

        Raises:
            ProblemResponse: The server refused it.
        """
        events = self._stream({"type": type, "params": params}, _headers(idempotency_key))
        self._streams.add(events)
        return events

    async def _stream(self, body: dict[str, Any], headers: dict[str, str]) -> AsyncGenerator[Event]:
        request = self.http.stream("POST", "/chatkit", json=body, headers=headers)
        async with request as response:
            await _checked(response)
            self.turn_id = response.headers["x-chatkeep-turn"]
            async with aclosing(_lines(response)) as lines:
                async for line in lines:
                    if line.startswith("data: "):
                        yield json.loads(line.removeprefix("data: "))

    def numbered(
        self, type: str, *, idempotency_key: str | None = None, **params: Any
    ) -> NumberedStream:
        """Return the events of a streaming request with their numbers."""
        body = {"type": type, "params": params}
        headers = _headers(idempotency_key) | {"X-Chatkeep-Events": "numbered"}
        return self._open(self.http.stream("POST", "/chatkit", json=body, headers=headers))

    def events(self, turn_id: str, after: int = 0) -> NumberedStream:
        """Return a turn's events behind a number."""
        path = f"/chatkit/turns/{turn_id}/events"
        return self._open(self.http.stream("GET", path, params={"after": after}))

    def follow(self, thread_id: str, after: int | None = None) -> NumberedStream:
        """Return the events of a thread's turns, from the one that runs, or behind a number."""
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        path = f"/chatkit/threads/{thread_id}/events"
        return self._open(self.http.stream("GET", path, headers=headers))

    def _open(self, response: AbstractAsyncContextManager[httpx2.Response]) -> NumberedStream:
        stream = NumberedStream(response)
        self._numbered.add(stream)
        return stream

    async def turn(self, turn_id: str) -> dict[str, Any]:
        """Return a turn.

        Raises:
            ProblemResponse: There is none.
        """
        return await self._turn("GET", f"/chatkit/turns/{turn_id}")

    async def cancel(self, turn_id: str) -> dict[str, Any]:
        """Stop a turn, and return it.

        Raises:
            ProblemResponse: There is none.
        """
        return await self._turn("POST", f"/chatkit/turns/{turn_id}/cancel")

    async def open_turn(self, thread_id: str) -> dict[str, Any] | None:
        """Return the turn of a thread that runs, or is the next to.

        Raises:
            ProblemResponse: There is no such thread.
        """
        return await self._turn("GET", f"/chatkit/threads/{thread_id}/turn") or None

    async def _turn(self, method: str, path: str) -> dict[str, Any]:
        response = await self.http.request(method, path)
        await _checked(response)
        turn: dict[str, Any] = response.json() if response.content else {}
        return turn

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


def _headers(idempotency_key: str | None) -> dict[str, str]:
    return {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}


async def _checked(response: httpx2.Response) -> None:
    """Return when the server did not refuse the request.

    Raises:
        ProblemResponse: It did.
    """
    if not response.is_success:
        await response.aread()
        raise ProblemResponse(response)


async def _lines(response: httpx2.Response) -> AsyncGenerator[str]:
    """Yield the lines of a body; the client's own would also end one at U+2028."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode()
