"""The embedded model: a small real language model on the CPU, in need of no key and no network.

It proves that everything works, and is no assistant: the default has 135 million parameters and is
often wrong, which the page says. It answers within seconds and needs about 400 MB.

llama.cpp runs it, behind an OpenAI-compatible URL, in a process of its own, because

* a crash in native code then costs an answer, not the conversations: the next request restarts it;
* loading holds Python's lock for a second or more, in which the event loop would stand still.

The process listens on 127.0.0.1 only, asks for a random key, so that other users of the machine
cannot use it, and ends with its parent, however that ends.
"""

import asyncio
import contextvars
import json
import logging
import secrets
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents import ModelSettings

from chatkeep.errors import ModelUnavailableError, SettingsError
from chatkeep.models.weights import Weights, verify

DESCRIPTION = "A small local model, often wrong"
INSTRUCTIONS = "You are a helpful assistant. Keep answers short."
"""The system message with which the default model was least wrong. It needs one: without, it may
answer in another language, and longer ones it takes for the conversation."""

SETTINGS = ModelSettings(
    temperature=0,
    max_tokens=400,
    # Without this it repeats a phrase until the limit. Other penalties also forbid the words of the
    # question, after which it gets even names wrong.
    extra_body={"dry_multiplier": 0.8, "dry_base": 1.75, "dry_allowed_length": 3},
)
"""How to call the default model: any randomness makes it worse."""

_CHILD = Path(__file__).with_name("_embedded_server.py")
_STOP_SECONDS = 3.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the model answers, and the key it wants."""

    base_url: str
    api_key: str = field(repr=False)


class EmbeddedServer:
    """The process of the embedded model. Nothing is started before the first `ready()`.

    Failure: weights that are wrong, a runtime that is missing, a process that dies while loading
    or takes too long raise `ModelUnavailableError`, whose `hint` says which. A process that died
    later is replaced at the next call; until then requests fail to connect.

    Attributes:
        model: The name to ask for.
        context_tokens: What question, history and answer together may have. Reading takes about a
            second per hundred tokens that the last request did not have.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        context_tokens: int = 2816,
        slots: int = 3,
        threads: int = 1,
        start_seconds: float = 60.0,
    ) -> None:
        """Remember what to run.

        Args:
            weights: The model.
            context_tokens: The context of each slot, best a multiple of 256.
            slots: Answers written at the same time; further ones wait.
            threads: More than one is slower whenever the other cores have work.
            start_seconds: How long loading may take.
        """
        self.model = weights.name
        self.context_tokens = context_tokens
        self._weights = weights
        self._slots = slots
        self._threads = threads
        self._start_seconds = start_seconds
        self._api_key = secrets.token_urlsafe(32)
        self._child: _Child | None = None
        self._endpoint: Endpoint | None = None
        self._starting: asyncio.Task[Endpoint] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The running process, if there is one."""
        return self._child.pid if self._child is not None and self._child.alive else None

    async def start(self) -> None:
        """Start the process unless it runs; calls at the same time start one.

        Raises:
            ModelUnavailableError: It cannot be started, or `aclose` was called.
        """
        await self.ready()

    async def ready(self) -> Endpoint:
        """Return where the model answers, when it does.

        The address is another one after a restart: ask before every request.

        Raises:
            ModelUnavailableError: It cannot be started, or `aclose` was called.
        """
        if self._closed:
            raise _unavailable("The embedded model was stopped.")
        if self._endpoint is not None and self.pid is not None:
            return self._endpoint
        if self._starting is None:
            # In a context of its own: what the process says later is not of this request.
            context = contextvars.Context()
            self._starting = asyncio.create_task(self._start(), context=context)
            self._starting.add_done_callback(self._started)
        # A caller that gives up does not stop the loading: others wait for it, or soon will.
        return await asyncio.shield(self._starting)

    async def aclose(self) -> None:
        """End the process. Idempotent; there is no way back."""
        self._closed = True
        if self._child is not None:
            await self._child.stop()
        if self._starting is not None:
            with suppress(ModelUnavailableError):
                await asyncio.shield(self._starting)

    def _started(self, starting: asyncio.Task[Endpoint]) -> None:
        self._starting = None
        # Fetched, so that nobody complains that it was not when all callers have given up.
        if not starting.cancelled():
            starting.exception()

    async def _start(self) -> Endpoint:
        self._endpoint = None
        if self._child is not None:
            await self._child.stop()
        try:
            await asyncio.to_thread(verify, self._weights)
        except SettingsError as error:
            raise _unavailable(str(error)) from error
        if self._closed:
            raise _unavailable("The embedded model was stopped.")
        self._child = child = await _spawn()
        ready = False
        try:
            # `aclose` may have come while the process was made, and found none to end.
            if not self._closed:
                async with asyncio.timeout(self._start_seconds):
                    port = await child.configure(self._config())
                ready = not self._closed
        except TimeoutError as error:
            raise _unavailable(
                f"The embedded model did not load within {self._start_seconds:g} s."
            ) from error
        finally:
            if not ready:
                await child.stop()
        if not ready:
            raise _unavailable("The embedded model was stopped.")
        _log.info("embedded model loaded: %s", self.model)
        self._endpoint = Endpoint(f"http://127.0.0.1:{port}/v1", self._api_key)
        return self._endpoint

    def _config(self) -> dict[str, Any]:
        return {
            "path": str(self._weights.path),
            "name": self.model,
            "api_key": self._api_key,
            "slots": self._slots,
            "context_tokens": self.context_tokens,
            "threads": self._threads,
        }


class _Child:
    """A process, what it says, and its end."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        stdin: asyncio.StreamWriter,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader,
    ) -> None:
        self._process = process
        self._stdin = stdin
        self._stdout = stdout
        self._said: deque[str] = deque(maxlen=20)
        # A pipe that nobody reads fills up, and then the process stands still.
        self._listening = asyncio.create_task(self._listen(stderr))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def configure(self, config: dict[str, Any]) -> int:
        """Tell the process what to do, and return its port once it accepts requests."""
        # By this way and not as arguments: those can be read by every user of the machine.
        with suppress(ConnectionError):
            self._stdin.write(json.dumps(config).encode() + b"\n")
            await self._stdin.drain()
        line = await self._stdout.readline()
        if line:
            return int(json.loads(line)["port"])
        await self.stop()
        for said in self._said:
            _log.warning("embedded model: %s", said)
        last = self._said[-1] if self._said else "without a word"
        raise _unavailable(
            f"The embedded model ended while loading (exit status {self._process.returncode}): "
            f"{last}"
        )

    async def stop(self) -> None:
        """End the process, with force if need be, and wait for it: no zombie stays."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._stdin.close()
        await self._listening

    async def _listen(self, stderr: asyncio.StreamReader) -> None:
        while chunk := await stderr.read(1 << 16):
            for line in chunk.decode(errors="replace").splitlines():
                self._said.append(line)
                _log.debug("embedded model: %s", line)


async def _spawn() -> _Child:
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            # Neither the working directory nor this one may shadow the standard library.
            "-P",
            str(_CHILD),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Ctrl-C is for the parent, which lets answers finish.
            start_new_session=True,
        )
    except OSError as error:
        raise _unavailable(f"The embedded model cannot be started ({error.strerror}).") from error
    # They are pipes, as asked for above.
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    if stdin is None or stdout is None or stderr is None:
        raise RuntimeError("a process without pipes")
    return _Child(process, stdin, stdout, stderr)


def _unavailable(hint: str) -> ModelUnavailableError:
    error = ModelUnavailableError("The embedded model is not available right now.")
    error.hint = hint
    return error
