"""An OpenAI-compatible provider that plays a script: fake at the socket, real everywhere else.

    provider = ScriptedProvider()
    await provider.start()          # → provider.base_url
    ...
    await provider.aclose()

or `python -m chatkeep.testing.provider --port 9200` for a server of its own. Requests are recorded
as they came; `closed_early` counts streams that the client left.
"""

import argparse
import asyncio
import itertools
import json
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from chatkeep.errors import ModelError
from chatkeep.ids import new_id
from chatkeep.models.scripted import (
    Call,
    Citation,
    Fail,
    Message,
    Pause,
    Player,
    Script,
    Step,
    Text,
    Thought,
    echo,
    read_messages,
)

MODEL = "scripted-model"
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_MAX_RECORDED = 1_000


class _Cut(Exception):  # noqa: N818 - not an error: the script wants the connection to break
    """The connection is to be broken off here."""


class ScriptedProvider:
    """Serves `/v1/chat/completions`, `/v1/responses` and `/v1/models` on 127.0.0.1.

    Args:
        script: What to answer.
        key: The API key to insist on; None takes any.
        finish: Whether streams end with a finish reason and `[DONE]`; without, as if cut off.
    """

    def __init__(
        self, script: Script = echo, *, key: str | None = None, finish: bool = True
    ) -> None:
        self.script = script
        self.key = key
        self.finish = finish
        self.requests: list[dict[str, Any]] = []
        self.closed_early = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def base_url(self) -> str:
        """The URL for `OPENAI_BASE_URL`."""
        if self._server is None:
            raise RuntimeError("the provider has not been started")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    @property
    def streamed(self) -> list[dict[str, Any]]:
        """The recorded requests for a streamed answer."""
        return [request for request in self.requests if request.get("stream")]

    async def start(self, port: int = 0) -> None:
        """Start to listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    async def aclose(self) -> None:
        """Close every connection and stop listening."""
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, _Cut):
                while await self._serve_one(reader, writer):
                    await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        path = request_line.split(" ")[1]
        if self.key is not None and headers.get("authorization") != f"Bearer {self.key}":
            error = {"message": f"Incorrect API key provided: {self.key}", "code": "invalid_key"}
            _write_json(writer, {"error": error}, HTTPStatus.UNAUTHORIZED)
        elif path.endswith("/models"):
            _write_json(writer, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        elif path.endswith("/chat/completions"):
            await self._noticing(self._complete(json.loads(body), reader, writer))
        elif path.endswith("/responses"):
            await self._noticing(self._respond(json.loads(body), writer))
        else:
            _write_json(writer, {"error": {"message": "not found"}}, HTTPStatus.NOT_FOUND)
        return True

    async def _noticing(self, answer: Coroutine[None, None, None]) -> None:
        """Count a client that leaves before its answer is complete."""
        try:
            await answer
        except ConnectionError:
            self.closed_early += 1
            raise

    async def _complete(
        self, request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.requests = [*self.requests, request][-_MAX_RECORDED:]
        steps = iter(self.script(_messages(request)))
        if not request.get("stream"):
            text = ""
            for step in steps:
                if isinstance(step, Fail) and not text:
                    _write_failure(writer, step)
                    return
                text += step.text if isinstance(step, Text) else ""
                if isinstance(step, Pause):
                    await _sleep(step.seconds, reader)
            _write_json(writer, _completion(text))
            return
        first = next(steps, None)
        while isinstance(first, Pause):
            await _sleep(first.seconds, reader)
            first = next(steps, None)
        if isinstance(first, Fail):
            _write_failure(writer, first)
            return
        writer.write(_STREAM_HEAD)
        await self._stream([] if first is None else [first], steps, reader, writer)

    async def _respond(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """Answer by the Responses API, with the events that the in-process model has."""
        self.requests = [*self.requests, request][-_MAX_RECORDED:]
        steps = iter(self.script(read_messages(request.get("instructions"), request["input"])))
        first = next(steps, None)
        if isinstance(first, Fail):
            _write_failure(writer, first)
            return
        events = Player(MODEL).play(itertools.chain([] if first is None else [first], steps))
        if not request.get("stream"):
            whole = [event async for event in events if event.type == "response.completed"]
            _write_json(writer, whole[0].response.model_dump(mode="json"))
            return
        writer.write(_STREAM_HEAD)
        try:
            async for event in events:
                if self.finish or event.type != "response.completed":
                    data = f"event: {event.type}\ndata: {event.model_dump_json()}\n\n"
                    _write_frame(writer, data.encode())
                    await writer.drain()
        except ModelError as error:
            raise _Cut from error
        writer.write(b"0\r\n\r\n")

    async def _stream(
        self,
        begun: Iterable[Step],
        steps: Iterator[Step],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        reason = "stop"
        for step in itertools.chain(begun, steps):
            for delta, gap in _deltas(step):
                if gap:
                    await _sleep(gap, reader)
                if delta is not None:
                    _write_event(writer, _chunk(delta))
                    await writer.drain()
            if isinstance(step, Call):
                reason = "tool_calls"
        if not self.finish:
            raise _Cut
        _write_event(writer, _chunk({}, reason))
        _write_event(writer, {**_chunk({}), "choices": [], "usage": _usage()})
        _write_frame(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")


async def _sleep(seconds: float, reader: asyncio.StreamReader) -> None:
    """Wait, but notice a client that leaves meanwhile."""
    try:
        async with asyncio.timeout(seconds):
            if not await reader.read(1):
                raise ConnectionResetError
    except TimeoutError:
        return


def _deltas(step: Step) -> Iterator[tuple[dict[str, Any] | None, float]]:
    """Yield what to send, and how long to wait before."""
    match step:
        case Text():
            for piece in step.pieces():
                yield {"content": piece}, step.gap
        case Thought():
            yield {"reasoning_content": step.text}, 0
        case Call():
            function = {"name": step.tool, "arguments": json.dumps(step.arguments)}
            call = {"index": 0, "id": new_id("call"), "type": "function", "function": function}
            yield {"tool_calls": [call]}, 0
        case Pause():
            yield None, step.seconds
        case Fail():
            raise _Cut
        case Citation():
            return  # chat completions have no such thing


def _messages(request: dict[str, Any]) -> list[Message]:
    found = []
    for message in request["messages"]:
        content = message.get("content") or ""
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content)
        found.append(Message(message["role"], content))
    return found


def _chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }


def _completion(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": _usage(),
    }


def _usage() -> dict[str, int]:
    return {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def _write_event(writer: asyncio.StreamWriter, data: dict[str, Any]) -> None:
    _write_frame(writer, b"data: " + json.dumps(data).encode() + b"\n\n")


def _write_frame(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


def _write_failure(writer: asyncio.StreamWriter, step: Fail) -> None:
    error = {"message": step.message, "type": "scripted", "code": step.code}
    _write_json(writer, {"error": error}, HTTPStatus(step.status), step.headers)


def _write_json(
    writer: asyncio.StreamWriter,
    data: dict[str, Any],
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> None:
    body = json.dumps(data).encode()
    all_headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
    writer.write(f"HTTP/1.1 {status} {status.phrase}\r\n{lines}\r\n".encode() + body)


async def _main(port: int) -> None:
    provider = ScriptedProvider()
    await provider.start(port)
    print(f"scripted provider at {provider.base_url}", flush=True)  # noqa: T201 - a script's output
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A scripted OpenAI-compatible provider")
    parser.add_argument("--port", type=int, default=0)
    with suppress(KeyboardInterrupt):
        asyncio.run(_main(parser.parse_args().port))
