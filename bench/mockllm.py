"""A cheap, deterministic stand-in for an OpenAI-compatible provider.

It answers `POST …/chat/completions` and `POST …/responses` (streamed or not) and `GET …/models`,
and costs far less than any server in front of it: a raw asyncio protocol, every chunk encoded once
at start-up, one timer wheel instead of a timer for each stream.

A directive in the newest user message says what to send; the last one in a request wins, so that
the history in front of it does not matter:

    bench:tokens=200,first=0,gap=20,seed=3;

    tokens  number of text chunks
    first   milliseconds before the first chunk
    gap     milliseconds between two chunks; each is a write of its own
    pack    without a gap: chunks in one write; 0 for all
    seed    which text; the same seed and tokens always give the same text
    status  answer with this HTTP status and an error instead
    cut     close the connection after this many chunks

`reply_text(seed, tokens)` is the text.
"""

import argparse
import asyncio
import json
import re
import signal
from typing import Any, Protocol

import uvloop

MODEL = "mock-model"

_WORDS = (
    "The answer depends on how the request is routed through each service , "
    "so it helps to look at the path one step at a time . First the client opens "
    "a connection and sends the question ; then the server loads the history , "
    "builds a prompt , and waits for the model .\n\n A café in Zürich used “smart” "
    "quotes , a tab\tand a back\\slash , while 東京 was written twice 🙂 . Keep "
    "latency low , keep memory flat , and never drop a single character of the "
    'reply "as it was sent" , because readers notice . **Measure** before you '
    "`optimise()` ; after that , measure again .\n - one more item \n - and another"
).split(" ")
_PIECES = [_WORDS[0]] + [f" {word}" for word in _WORDS[1:]]
_CREATED = 1_700_000_000
_RESPONSE, _MESSAGE = "resp_mock00000000000000000000", "msg_mock000000000000000000000"
_DIRECTIVE = re.compile(rb"bench:([a-z]+=\d+(?:,[a-z]+=\d+)*);")
_STREAM = re.compile(rb'"stream"\s*:\s*true')
_DEFAULTS = {"tokens": 200, "first": 0, "gap": 0, "pack": 0, "seed": 0}
_LAST_CHUNK = b"0\r\n\r\n"

type Json = dict[str, Any]


def _piece(seed: int, position: int) -> int:
    return (seed * 17 + position) % len(_PIECES)


def reply_text(seed: int, tokens: int) -> str:
    """Return the text of a reply."""
    return "".join(_PIECES[_piece(seed, position)] for position in range(tokens))


def _json(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _frame(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Api(Protocol):
    """How one of the two APIs says things."""

    head: bytes
    pieces: list[bytes]

    def tail(self, seed: int, tokens: int) -> bytes:
        """Return what ends a stream."""

    def whole(self, seed: int, tokens: int) -> Json:
        """Return the answer to a request that asked for no stream."""


class ChatCompletions:
    """`/chat/completions`."""

    def __init__(self) -> None:
        self.head = self._chunk({"role": "assistant", "content": "", "refusal": None})
        self.pieces = [self._chunk({"content": piece}) for piece in _PIECES]

    def tail(self, seed: int, tokens: int) -> bytes:
        del seed
        usage = self._chunk(None, usage=self._usage(tokens))
        return self._chunk({}, finish="stop") + usage + b"data: [DONE]\n\n"

    def whole(self, seed: int, tokens: int) -> Json:
        message = {"role": "assistant", "content": reply_text(seed, tokens), "refusal": None}
        choice = {"index": 0, "finish_reason": "stop", "logprobs": None, "message": message}
        return {
            "id": "chatcmpl-mock",
            "object": "chat.completion",
            "created": _CREATED,
            "model": MODEL,
            "choices": [choice],
            "usage": self._usage(tokens),
        }

    def _chunk(
        self, delta: Json | None, finish: str | None = None, usage: Json | None = None
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {
            "id": "chatcmpl-mock0000000000000000000000",
            "object": "chat.completion.chunk",
            "created": _CREATED,
            "model": MODEL,
            "service_tier": "default",
            "system_fingerprint": "fp_mock",
            "choices": [] if delta is None else [choice],
            "usage": usage,
        }
        return b"data: " + _json(chunk) + b"\n\n"

    def _usage(self, tokens: int) -> Json:
        return {
            "prompt_tokens": 25,
            "completion_tokens": tokens,
            "total_tokens": 25 + tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }


class Responses:
    """`/responses`."""

    def __init__(self) -> None:
        message = self._message("in_progress", None)
        self.head = (
            self._event("response.created", 0, response=self._response("in_progress", []))
            + self._event("response.output_item.added", 1, output_index=0, item=message)
            + self._about_text("response.content_part.added", 2, part=self._text(""))
        )
        self.pieces = [
            self._about_text("response.output_text.delta", 3, delta=piece, logprobs=[])
            for piece in _PIECES
        ]

    def tail(self, seed: int, tokens: int) -> bytes:
        text = reply_text(seed, tokens)
        message = self._message("completed", text)
        return (
            self._about_text("response.output_text.done", 4, text=text, logprobs=[])
            + self._about_text("response.content_part.done", 5, part=self._text(text))
            + self._event("response.output_item.done", 6, output_index=0, item=message)
            + self._event("response.completed", 7, response=self.whole(seed, tokens))
        )

    def whole(self, seed: int, tokens: int) -> Json:
        usage = {
            "input_tokens": 25,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 25 + tokens,
        }
        message = self._message("completed", reply_text(seed, tokens))
        return self._response("completed", [message], usage)

    def _event(self, kind: str, number: int, **fields: Any) -> bytes:
        event = {"type": kind, "sequence_number": number, **fields}
        return f"event: {kind}\n".encode() + b"data: " + _json(event) + b"\n\n"

    def _about_text(self, kind: str, number: int, **fields: Any) -> bytes:
        return self._event(
            kind, number, item_id=_MESSAGE, output_index=0, content_index=0, **fields
        )

    def _text(self, text: str) -> Json:
        return {"type": "output_text", "text": text, "annotations": []}

    def _message(self, status: str, text: str | None) -> Json:
        return {
            "id": _MESSAGE,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [] if text is None else [self._text(text)],
        }

    def _response(self, status: str, output: list[Json], usage: Json | None = None) -> Json:
        return {
            "id": _RESPONSE,
            "object": "response",
            "created_at": _CREATED,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "model": MODEL,
            "output": output,
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "metadata": {},
            "usage": usage,
        }


_APIS: dict[bytes, Api] = {b"/chat/completions": ChatCompletions(), b"/responses": Responses()}
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\nx-request-id: req_mock\r\ntransfer-encoding: chunked\r\n\r\n"
)


class Wheel:
    """One timer of a millisecond for all streams; a slot holds those that are due at its tick."""

    _SLOTS = 8192

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self._tick = self._waiting = 0
        self._running = False
        self._slots: list[list[Reply]] = [[] for _ in range(self._SLOTS)]

    def after(self, reply: "Reply", ms: int, since: int | None) -> int:
        """Have the reply's next step taken, and return the tick of it."""
        if not self._running:
            self._running = True
            self._tick = self._now()
            self._loop.call_later(0.001, self._run)
            since = None
        due = max((self._tick if since is None else since) + max(1, ms), self._tick + 1)
        due = min(due, self._tick + self._SLOTS - 1)
        self._slots[due % self._SLOTS].append(reply)
        self._waiting += 1
        return due

    def _now(self) -> int:
        return int((self._loop.time() - self._start) * 1000)

    def _run(self) -> None:
        now = self._now()
        while self._tick < now:
            self._tick += 1
            index = self._tick % self._SLOTS
            due, self._slots[index] = self._slots[index], []
            self._waiting -= len(due)
            for reply in due:
                reply.step()
        self._running = bool(self._waiting)
        if self._running:
            self._loop.call_later(0.001, self._run)


class Reply:
    """One streamed reply on one connection."""

    def __init__(self, connection: "Connection", api: Api, wanted: dict[str, int]) -> None:
        self._connection, self._api = connection, api
        self._tokens, self._gap, self._seed = wanted["tokens"], wanted["gap"], wanted["seed"]
        self._pack = 1 if wanted["gap"] else wanted["pack"] or self._tokens or 1
        self._cut = wanted.get("cut")
        self._sent = 0
        self._due: int | None = None
        self._first = wanted["first"]
        self._held_back = False

    def start(self) -> None:
        """Send the head, and the first chunk unless it is to come later."""
        self._connection.transport.write(_HEAD + _frame(self._api.head))
        if self._first:
            self._due = self._connection.wheel.after(self, self._first, None)
        else:
            self.step()

    def step(self) -> None:
        """Send what is due."""
        connection = self._connection
        if connection.reply is not self:
            return  # the client has gone
        while self._sent < self._tokens:
            if self._cut is not None and self._sent >= self._cut:
                connection.transport.close()
                return
            if connection.paused:
                self._held_back = True
                return
            end = min(self._tokens, self._sent + self._pack, self._cut or self._tokens)
            pieces = [
                self._api.pieces[_piece(self._seed, position)]
                for position in range(self._sent, end)
            ]
            connection.transport.write(_frame(b"".join(pieces)))
            self._sent = end
            if self._gap and self._sent < self._tokens:
                self._due = connection.wheel.after(self, self._gap, self._due)
                return
        connection.transport.write(_frame(self._api.tail(self._seed, self._tokens)) + _LAST_CHUNK)
        connection.finished()

    def resume(self) -> None:
        """Go on: the client reads again."""
        if self._held_back:
            self._held_back, self._due = False, None
            self.step()


class Connection(asyncio.Protocol):
    """One connection of a client, with one request at a time."""

    transport: asyncio.Transport

    def __init__(self, wheel: Wheel) -> None:
        self.wheel = wheel
        self.paused = False
        self.reply: Reply | None = None
        self._buffer = bytearray()
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(high=1 << 20)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.reply = None

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if self.reply is not None:
            self.reply.resume()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def finished(self) -> None:
        """Take the next request."""
        self.reply, self._busy = None, False
        if self._buffer:
            self._next()

    def _next(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if self._busy or end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        found = re.search(rb"content-length:\s*(\d+)", head)
        size = end + 4 + (int(found[1]) if found else 0)
        if len(self._buffer) < size:
            return
        body = bytes(self._buffer[end + 4 : size])
        del self._buffer[:size]
        self._busy = True
        self._answer(head.split(b" ", 2)[1].partition(b"?")[0], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        if path.endswith(b"/models"):
            model = {"id": MODEL, "object": "model", "created": _CREATED, "owned_by": "mock"}
            self._plain(200, {"object": "list", "data": [model]})
            return
        api = next((api for end, api in _APIS.items() if path.endswith(end)), None)
        if api is None:
            self._plain(404, {"error": {"message": "not found"}})
            return
        wanted = dict(_DEFAULTS)
        if directives := _DIRECTIVE.findall(body):
            for pair in directives[-1].decode().split(","):
                name, _, value = pair.partition("=")
                wanted[name] = int(value)
        if status := wanted.get("status"):
            self._plain(status, {"error": {"message": "mock failure", "type": "mock"}})
        elif not _STREAM.search(body):
            self._plain(200, api.whole(wanted["seed"], wanted["tokens"]))
        else:
            self.reply = Reply(self, api, wanted)
            self.reply.start()

    def _plain(self, status: int, value: Json) -> None:
        body = _json(value)
        head = f"HTTP/1.1 {status} Mock\r\ncontent-type: application/json\r\n"
        self.transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self.finished()


async def serve(host: str, port: int) -> None:
    """Answer until SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    wheel = Wheel()
    server = await loop.create_server(lambda: Connection(wheel), host, port, backlog=4096)
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop.set)
    print(f"mockllm on http://{host}:{port}/v1", flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100)
    options = parser.parse_args()
    uvloop.run(serve(options.host, options.port))
