"""Models behind a URL, against a provider that is only fake at the socket."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio
from agents import ModelSettings
from agents.models.interface import ModelTracing

from chatkeep.errors import (
    ModelCredentialsError,
    ModelError,
    ModelInterruptedError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
    SettingsError,
)
from chatkeep.models import choice
from chatkeep.models.catalog import Catalog, ModelEntry
from chatkeep.models.choice import ModelsConfig
from chatkeep.models.guard import Deadlines
from chatkeep.models.offers import Offer
from chatkeep.models.opening import open_models
from chatkeep.models.retrying import RetryPolicy
from chatkeep.models.scripted import Fail, Pause, Text
from chatkeep.testing.provider import MODEL, ScriptedProvider
from support.ports import refusing_port
from support.waiting import until

SECRET = "sk-very-secret-4711"
QUICK = Deadlines(first_token=0.15, between=60, total=60)
PATIENT = Deadlines(first_token=60, between=60, total=60)


@pytest_asyncio.fixture
async def opened() -> AsyncIterator[Callable[..., ModelEntry]]:
    """Open the one model of a configuration; closed at the end."""
    async with AsyncExitStack() as stack:

        def make(base_url: str | None, key: str | None = None, **fields: Any) -> ModelEntry:
            fields = {"name": "m", "deadlines": PATIENT, "tour": False} | fields
            keys = {"OPENAI_API_KEY": key} if key else {}
            config = ModelsConfig(data_dir=Path(), base_url=base_url, keys=keys, **fields)
            catalog = open_models(config)
            stack.push_async_callback(catalog.aclose)
            return catalog.default

        yield make


def arguments(question: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the SDK's runner passes to a model."""
    positional = (None, question, ModelSettings(), [], None, [], ModelTracing.DISABLED)
    named = {"previous_response_id": None, "conversation_id": None, "prompt": None}
    return positional, named


async def ask(entry: ModelEntry, question: str = "hello", heard: list[str] | None = None) -> str:
    """Return the streamed text; `heard` gets the pieces as they come."""
    heard = [] if heard is None else heard
    positional, named = arguments(question)
    async for event in entry.model.stream_response(*positional, **named):
        if event.type == "response.output_text.delta":
            heard.append(event.delta)
    return "".join(heard)


async def whole(entry: ModelEntry, question: str = "hello") -> str:
    """Return an answer that is not streamed."""
    positional, named = arguments(question)
    response = await entry.model.get_response(*positional, **named)
    return "".join(part.text for item in response.output for part in item.content)  # type: ignore[union-attr]


def told(error: BaseException) -> str:
    """Everything of an error that users, operators and logs get to see."""
    return f"{error} {getattr(error, 'hint', None)}"


type Answer = Callable[[str], bytes]
type StartCanned = Callable[[Answer | bytes], Awaitable[str]]


@pytest_asyncio.fixture
async def canned() -> AsyncIterator[StartCanned]:
    """Start servers that answer every request with the same bytes, or by path, and close."""
    servers: list[asyncio.Server] = []

    async def start(answer: Answer | bytes) -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
            await reader.readexactly(int(fields.get("content-length", 0)))
            path = head.split(" ")[1]
            writer.write(answer if isinstance(answer, bytes) else answer(path))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest_asyncio.fixture
async def silent() -> AsyncIterator[str]:
    """A server that takes connections and never says a word."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    server.close()
    server.close_clients()
    await server.wait_closed()


def response(body: str | bytes, kind: str = "application/json", status: str = "200 OK") -> bytes:
    """An HTTP response after which the connection closes."""
    data = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + data


def stream(*events: Any) -> bytes:
    """A stream of these events, as JSON unless they are text already."""
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return response("".join(f"data: {line}\n\n" for line in lines), "text/event-stream")


def chunk(delta: Any, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk of chat completions."""
    choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
    head = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    return {**head, "choices": choices, **fields}


HELLO, END, DONE = chunk({"content": "hello"}), chunk({}, "stop"), "[DONE]"


# --- what is asked, and of whom -----------------------------------------------------------------


async def test_an_answer_is_streamed(provider: ScriptedProvider, opened: Any) -> None:
    """The question reaches the provider under the model's name, and the answer comes back."""
    text = await ask(opened(provider.base_url), "how are you")
    assert text.startswith("You said: how are you")
    (request,) = provider.streamed
    assert request["model"] == "m"
    assert request["messages"] == [{"role": "user", "content": "how are you"}]


async def test_an_answer_can_come_whole(provider: ScriptedProvider, opened: Any) -> None:
    """Titles are asked for without streaming."""
    assert (await whole(opened(provider.base_url), "hm")).startswith("You said: hm")
    assert provider.streamed == []


async def test_nothing_is_contacted_at_construction(
    provider: ScriptedProvider, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening the models, also without a name, sends nothing anywhere."""

    def connect(*_: object, **__: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket.socket, "connect", connect)
    opened(provider.base_url, name=None)
    opened(None, provider="ollama", ollama_host="nowhere.invalid", name=None)
    await asyncio.sleep(0.02)
    assert provider.requests == []


async def test_without_a_name_the_first_listed_model_answers(
    provider: ScriptedProvider, opened: Any
) -> None:
    """MODEL_NAME unset and a compatible server: it is asked what it has."""
    entry = opened(provider.base_url, name=None)
    assert (entry.id, entry.label) == ("compatible", "First model listed")
    await ask(entry)
    await ask(entry)
    assert [request["model"] for request in provider.streamed] == [MODEL] * 2


@pytest.mark.parametrize(
    "listed",
    [
        response("{}", status="404 Not Found"),
        response("no such page", "text/plain", "404 Not Found"),
        response("<html>my app</html>", "text/html"),
        response("{}"),
        response("[]"),
        response("null"),
        response("{{{"),
        response(b"\xff\xfe"),
        response('{"data": null}'),
        response('{"data": []}'),
        response('{"data": "x"}'),
        response('{"data": [1]}'),
        response('{"data": [{}]}'),
        response('{"data": [{"id": null}]}'),
        response('[{"id": "x"}]'),
    ],
)
async def test_a_server_without_a_list_is_asked_for_the_default(
    canned: StartCanned, opened: Any, listed: bytes
) -> None:
    """A server with one model need not have `/models`; whatever stands there does no harm."""
    base_url = await canned(
        lambda path: listed if path.endswith("/models") else stream(HELLO, END, DONE)
    )
    assert await ask(opened(base_url, name=None)) == "hello"


async def test_a_server_without_a_list_gets_the_name_default(
    canned: StartCanned, opened: Any
) -> None:
    """The name that is sent is `default`."""

    def answer(path: str) -> bytes:
        return response("{}", status="404 Not Found") if path.endswith("/models") else stream(END)

    positional, named = arguments("hello")
    model = opened(await canned(answer), name=None).model
    events = [event async for event in model.stream_response(*positional, **named)]
    assert events[0].response.model == "default"


@pytest.mark.parametrize("empty", ['{"data": []}', '{"data": null}'])
async def test_a_model_that_is_added_later_is_found(
    canned: StartCanned, opened: Any, empty: str
) -> None:
    """A server that had none as it was asked is asked again at the next message."""
    lists = [response(empty), response('{"data": [{"id": "pulled"}]}')]

    def answer(path: str) -> bytes:
        return lists.pop(0) if path.endswith("/models") else stream(HELLO, END, DONE)

    positional, named = arguments("hello")
    model = opened(await canned(answer), name=None).model
    asked = []
    for _ in range(3):
        events = [event async for event in model.stream_response(*positional, **named)]
        asked.append(events[0].response.model)
    assert asked == ["default", "pulled", "pulled"]


async def test_a_list_that_never_comes_is_a_timeout(silent: str, opened: Any) -> None:
    """Looking the model up counts as waiting for the first token."""
    async with asyncio.timeout(30):
        with pytest.raises(ModelTimeoutError):
            await ask(opened(silent, name=None, deadlines=QUICK))


async def test_the_key_is_sent_to_the_url(opened: Any) -> None:
    """OPENAI_API_KEY is the key for OPENAI_BASE_URL; without one something is sent all the same."""
    provider = ScriptedProvider(key=SECRET)
    await provider.start()
    assert (await ask(opened(provider.base_url, SECRET))).startswith("You said")
    with pytest.raises(ModelCredentialsError):
        await ask(opened(provider.base_url))
    await provider.aclose()


async def test_no_proxy_for_this_machine(
    provider: ScriptedProvider, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the environment is not asked for a server on loopback: it could not reach it."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert (await ask(opened(provider.base_url))).startswith("You said")


async def test_a_proxy_for_everything_else(
    canned: StartCanned, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server elsewhere is reached through the proxy of the environment."""
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", (await canned(stream(HELLO, END, DONE))).removesuffix("/v1"))
    assert await ask(opened("http://somewhere.invalid/v1")) == "hello"


def test_a_proxy_that_cannot_be_used_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheme that we cannot speak is one line, not a traceback."""
    monkeypatch.setenv("ALL_PROXY", "ftp://proxy:1")
    keys = {"OPENAI_API_KEY": SECRET}
    with pytest.raises(SettingsError, match="proxy") as caught:
        open_models(ModelsConfig(data_dir=Path(), keys=keys))
    assert "\n" not in str(caught.value)


# --- the catalog that comes out -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "id", "description"),
    [
        ({"provider": "openai", "keys": {"OPENAI_API_KEY": "k"}}, "gpt-5-mini", "OpenAI"),
        ({"keys": {"OPENROUTER_API_KEY": "k"}}, "openrouter/auto", "OpenRouter"),
        ({"keys": {"GEMINI_API_KEY": "k"}, "name": "g"}, "g", "Gemini"),
        ({"ollama_host": "h"}, "ollama", "Ollama at h:11434"),
        ({"ollama_host": "h", "name": "qwen3"}, "qwen3", "Ollama at h:11434"),
        ({"base_url": "http://u:p@h"}, "compatible", "OpenAI-compatible server at h"),
        ({"provider": "scripted"}, "scripted", "Says what it was told"),
    ],
)
async def test_the_entry_of_a_provider(fields: dict[str, Any], id: str, description: str) -> None:
    """The id is the model's name where there is one; who runs it, and where, is said below."""
    catalog = open_models(ModelsConfig(data_dir=Path(), **fields))
    assert (catalog.default.id, catalog.default.description) == (id, description)
    assert [entry.id for entry in catalog.entries] == [id, "tour"]
    await catalog.aclose()


async def test_the_tour_can_be_left_out_and_is_never_doubled() -> None:
    """`models.tour` off: only the provider. Nothing else there: only the tour."""
    without = open_models(ModelsConfig(data_dir=Path(), provider="scripted", tour=False))
    assert [entry.id for entry in without.entries] == ["scripted"]
    alone = open_models(ModelsConfig(data_dir=Path(), provider="tour", tour=False))
    assert [entry.id for entry in alone.entries] == ["tour"]
    await alone.default.probe()


async def test_the_context_can_be_set() -> None:
    """`models.context_tokens` wins over the provider's default, for the provider only."""
    made = ModelsConfig(data_dir=Path(), provider="scripted", context_tokens=4242)
    first, tour = open_models(made).entries
    assert first.context_tokens == 4242
    assert tour.context_tokens != 4242


async def test_the_embedded_model_is_offered_as_it_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Deadlines and what it takes are its own there too, with two minutes to begin otherwise."""
    monkeypatch.setattr(choice, "find_spec", {"xllamacpp": object()}.get)
    weights = tmp_path / "own.gguf"
    weights.write_bytes(b"GGUF")
    offers = (
        Offer("plain", "embedded"),
        Offer("own", "embedded", first_token_timeout=5, total_timeout=60, tools=False),
    )
    models = open_models(ModelsConfig(tmp_path, gguf=weights, tour=False, offered=offers))
    plain, own = models.entries
    inner: list[Any] = [entry.model.__dict__["_inner"] for entry in (plain, own)]
    assert inner[0]._deadlines == Deadlines(120, 30, 600)
    assert inner[1]._deadlines == Deadlines(5, 30, 60)
    assert (plain.tools, own.tools, inner[1]._profile.tools) == (True, False, False)
    await models.aclose()


def test_nothing_configured_opens_the_tour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without key, URL, Ollama and embedded model, the guide answers."""
    monkeypatch.setattr(choice, "OLLAMA_PORT", 1)
    monkeypatch.setattr(choice, "find_spec", lambda _: None)
    assert isinstance(catalog := open_models(ModelsConfig(data_dir=Path())), Catalog)
    assert catalog.default.id == "tour"


# --- failures -----------------------------------------------------------------------------------


async def test_a_wrong_key_shows_neither_key_nor_answer(
    opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The provider quotes the key in its answer; message, hint and log do not."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpcore2").setLevel(logging.INFO)
    provider = ScriptedProvider(key=SECRET)
    await provider.start()
    entry = opened(provider.base_url, f"{SECRET}-wrong")
    for call in (ask(entry), whole(entry), entry.probe()):
        with pytest.raises(ModelCredentialsError) as caught:
            await call
        assert SECRET not in told(caught.value)
        assert "OPENAI_API_KEY" in (caught.value.hint or "")
        assert provider.base_url.split("/")[2] in (caught.value.hint or "")
    assert SECRET not in "".join(r.getMessage() for r in caplog.records if r.levelno > 10)
    await provider.aclose()


async def test_a_hint_shows_no_password(opened: Any) -> None:
    """A password in the URL is no part of what the operator is told to look at."""
    entry = opened(f"http://user:{SECRET}@127.0.0.1:1/v1")
    with pytest.raises(ModelUnavailableError) as caught:
        await ask(entry)
    assert "127.0.0.1:1" in told(caught.value)
    assert SECRET not in told(caught.value)


async def test_a_dead_port_is_unavailable(opened: Any) -> None:
    """Nobody listens: the user reads so at once, the operator where."""
    with refusing_port() as port:
        entry = opened(f"http://127.0.0.1:{port}/v1")
        for call in (ask(entry), whole(entry), entry.probe()):
            with pytest.raises(ModelUnavailableError) as caught:
                await call
            assert f"127.0.0.1:{port}" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ModelRequestError),
        (401, ModelCredentialsError),
        (403, ModelCredentialsError),
        (404, ModelRequestError),
        (422, ModelRequestError),
        (429, ModelRateLimitError),
        (500, ModelUnavailableError),
        (502, ModelUnavailableError),
        (503, ModelUnavailableError),
    ],
)
async def test_a_status_has_a_meaning(
    provider: ScriptedProvider, opened: Any, status: int, kind: type[ModelError]
) -> None:
    """The provider's words stay with the provider; what may pass by itself is tried again."""
    provider.script = lambda _: [Fail(status, "quoted: your prompt")]
    with pytest.raises(kind) as caught:
        await ask(opened(provider.base_url))
    assert type(caught.value) is kind
    assert "quoted" not in told(caught.value)
    assert isinstance(caught.value.__cause__, openai.APIStatusError)
    assert len(provider.requests) == (3 if status == 429 or status >= 500 else 1)


async def test_too_long_a_conversation_says_what_to_do(canned: StartCanned, opened: Any) -> None:
    """The code of OpenAI and the type of llama.cpp: the user is told to start a new one."""
    for error in ({"code": "context_length_exceeded"}, {"type": "exceed_context_size_error"}):
        body = json.dumps({"error": {"message": "quoted prompt", **error}})
        entry = opened(await canned(response(body, status="400 Bad Request")))
        with pytest.raises(ModelRequestError, match="too long for the model"):
            await ask(entry)


async def test_no_first_token_is_a_timeout(provider: ScriptedProvider, opened: Any) -> None:
    """A provider that says nothing is left within the deadline, and its socket closed."""
    for seconds in (0.15, 1.5, 15):
        entry = opened(provider.base_url, deadlines=replace(PATIENT, first_token=seconds))
        async with asyncio.timeout(30):
            with pytest.raises(ModelTimeoutError):
                await ask(entry, "!hang")
            await hung_up(provider)
        if provider.streamed:  # or this machine was too slow to ask at all
            break
    assert provider.closed_early == 1


async def test_silence_between_tokens_is_a_timeout(provider: ScriptedProvider, opened: Any) -> None:
    """A provider that stops in the middle is left; what it said was passed on."""
    provider.script = lambda _: [Text("one two"), Pause(60)]
    heard: list[str] = []

    class Impatient:
        """Waits for what will come, however slow this machine is, and briefly for the rest."""

        first_token = total = 60

        @property
        def between(self) -> float:
            return 0.15 if "".join(heard) == "one two" else 60

    async with asyncio.timeout(30):
        with pytest.raises(ModelTimeoutError):
            await ask(opened(provider.base_url, deadlines=Impatient()), heard=heard)
        await hung_up(provider)
    assert "".join(heard) == "one two"


async def test_an_endless_answer_is_a_timeout(provider: ScriptedProvider, opened: Any) -> None:
    """Tokens in time do not extend the total."""
    provider.script = lambda _: [Text(" more" * 20_000, gap=0.02)]
    entry = opened(provider.base_url, deadlines=Deadlines(60, 60, 0.2))
    async with asyncio.timeout(30):
        with pytest.raises(ModelTimeoutError):
            await ask(entry)


async def test_a_whole_answer_has_a_deadline(silent: str, opened: Any) -> None:
    """A call that is not streamed ends within the total."""
    async with asyncio.timeout(30):
        with pytest.raises(ModelTimeoutError):
            await whole(opened(silent, deadlines=Deadlines(60, 60, 0.15)))


async def test_a_consumer_that_leaves_closes_the_socket(
    provider: ScriptedProvider, opened: Any
) -> None:
    """Cancelling the reader of a stream ends the request at the provider."""
    provider.script = lambda _: [Text(" more" * 20_000, gap=0.02)]
    heard: list[str] = []
    task = asyncio.create_task(ask(opened(provider.base_url), heard=heard))
    await until(lambda: heard)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await hung_up(provider)


async def hung_up(provider: ScriptedProvider) -> None:
    """Wait until no client is connected; the provider itself would not close for a minute."""
    await until(lambda: not provider._writers)


async def test_an_end_without_a_reason_is_a_cut(provider: ScriptedProvider, opened: Any) -> None:
    """A stream that just ends is no answer, though every word of it arrived."""
    provider.finish = False
    heard: list[str] = []
    with pytest.raises(ModelInterruptedError):
        await ask(opened(provider.base_url), heard=heard)
    assert "".join(heard).endswith("conversation.")


async def test_a_broken_connection_is_a_cut(provider: ScriptedProvider, opened: Any) -> None:
    """A stream that breaks off in the middle is interrupted, and what came was passed on."""
    heard: list[str] = []
    with pytest.raises(ModelInterruptedError):
        await ask(opened(provider.base_url), "!cut", heard)
    assert "".join(heard) == "You said: !cut"


GARBAGE_BODIES = {
    "html": response("<html>secret page</html>", "text/html"),
    "html as json": response("<html>secret page</html>"),
    "html as events": response("<html>secret page</html>", "text/event-stream"),
    "nothing": response(""),
    "null": response("null"),
    "list": response("[]"),
    "object": response("{}"),
    "half json": response('{"choices": ['),
    "bad utf-8": response(b"\xff\xfe{}"),
    "error with 200": response('{"error": {"message": "secret", "code": 529}}'),
    "null choices": response('{"choices": null}'),
    "text choices": response('{"choices": "abc"}'),
    "number choice": response('{"choices": [1]}'),
    "no content": response("", status="204 No Content"),
    "comments only": response(": hi\n\n: hi\n\n", "text/event-stream"),
    "not http": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "bad gzip": response("hello").replace(b"\r\n", b"\r\nContent-Encoding: gzip\r\n", 1),
    "endless redirect": response("", status="302 Found\r\nLocation: /v1/x"),
    "redirect to nowhere": response("", status="302 Found\r\nLocation: ftp://x/"),
    "page of a gateway": response("<html>secret</html>", "text/html", "502 Bad Gateway"),
    "codes of odd types": response(
        '{"error": {"message": "secret", "code": [1], "type": {}}}', status="400 Bad Request"
    ),
}


@pytest.mark.parametrize("name", GARBAGE_BODIES)
async def test_garbage_in_place_of_an_answer(canned: StartCanned, opened: Any, name: str) -> None:
    """Whatever answers at the URL, the failure is a `ModelError` with a hint, without its words."""
    entry = opened(await canned(GARBAGE_BODIES[name]))
    for call in (ask(entry), whole(entry)):
        with pytest.raises((ModelUnavailableError, ModelRequestError)) as caught:
            await call
        assert "secret" not in told(caught.value)
        assert "MODEL_NAME" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["html", "null", "list", "half json", "not http"])
async def test_a_probe_finds_garbage(canned: StartCanned, opened: Any, name: str) -> None:
    """`chatkeep check` says that this is no provider."""
    with pytest.raises(ModelUnavailableError):
        await opened(await canned(GARBAGE_BODIES[name])).probe()


async def test_a_probe_accepts_a_server_without_a_list(canned: StartCanned, opened: Any) -> None:
    """404 for `/models` comes from somebody who is there."""
    await opened(await canned(response("{}", status="404 Not Found"))).probe()


@pytest.mark.parametrize(
    "events",
    [
        ["{{{"],
        ["<html>"],
        ["1"],
        ['"x"'],
        ["[]"],
        ["null"],
        [chunk("abc")],
        [chunk({"content": 5})],
        [chunk({}, choices=[1])],
        [{"error": {"message": "secret", "code": 500}}],
        [{"error": "secret"}],
        ["\x00"],
    ],
    ids=repr,
)
async def test_garbage_within_a_stream(canned: StartCanned, opened: Any, events: list[Any]) -> None:
    """What came before the garbage was passed on; then the answer counts as cut off."""
    heard: list[str] = []
    with pytest.raises(ModelInterruptedError) as caught:
        await ask(opened(await canned(stream(HELLO, *events, END, DONE))), heard=heard)
    assert heard == ["hello"]
    assert "secret" not in told(caught.value)


@pytest.mark.parametrize(
    "harmless",
    [
        chunk({}, choices=None),
        {"id": "c"},
        chunk({}, choices=[]),
        chunk(None),
        chunk({"content": None}),
        chunk({"content": ""}),
        chunk({"content": [{"type": "image"}, 1]}),
        chunk({"unknown": {"deep": [1]}}),
        chunk({}, usage={"prompt_tokens": "x"}),
        chunk({"tool_calls": "x"}),
    ],
    ids=repr,
)
async def test_odd_chunks_do_no_harm(canned: StartCanned, opened: Any, harmless: Any) -> None:
    """Chunks without content, as many servers send them, are passed over."""
    base_url = await canned(stream(HELLO, harmless, END, DONE))
    assert await ask(opened(base_url)) == "hello"


async def test_an_emoji_in_two_deltas_is_one(canned: StartCanned, opened: Any) -> None:
    """Halves of a surrogate pair, escaped by the provider, are joined over deltas."""
    halves = [chunk({"content": "a\ud83d"}), chunk({"content": "\ude00b"})]
    assert await ask(opened(await canned(stream(*halves, END, DONE)))) == "a\U0001f600b"


async def test_half_an_emoji_does_not_end_a_stream(canned: StartCanned, opened: Any) -> None:
    """A half without the other becomes U+FFFD, and everything can be encoded."""
    halves = [chunk({"content": "\ude00a\ud83d"}), chunk({"content": "b"})]
    text = await ask(opened(await canned(stream(*halves, END, DONE))))
    assert text == "\ufffda\ufffdb"
    text.encode()


async def test_a_model_of_the_responses_api_needs_its_end(canned: StartCanned, opened: Any) -> None:
    """OpenAI's own API through a URL: a page in place of the stream is a `ModelError`, too."""
    base_url = await canned(response("<html>", "text/html"))
    entry = opened(base_url, SECRET, provider="openai")
    with pytest.raises(ModelError):
        await whole(entry)


async def test_a_dead_connection_is_replaced_at_once(opened: Any) -> None:
    """A provider that hangs up on an idle connection costs no turn, not even one of the tries."""
    answers: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(2):
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            except asyncio.IncompleteReadError:
                break
            await reader.readexactly(int(head.partition("content-length: ")[2].split()[0]))
            answers.append(number)
            if number == 0:
                writer.write(stream(HELLO, END, DONE).replace(b"Connection: close\r\n", b""))
                await writer.drain()
        writer.close()  # the second request on a connection gets no answer

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    entry = opened(base_url, retries=RetryPolicy(tries=1))
    assert [await ask(entry) for _ in range(3)] == ["hello"] * 3
    assert answers == [0, 1, 0, 1, 0]
    server.close()
    server.close_clients()
    await server.wait_closed()
