"""The processes of a run: servers to measure, the provider that they ask, and PostgreSQL."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self

import procs
from client import Protocol

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support.postgres import PostgresServer, find_binaries

HERE = Path(__file__).parent
PEERS = HERE.parent / ".tools" / "peers" / "bin"

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0

type Store = Literal["sqlite", "postgres"]

_LITELLM = """
model_list:
  - model_name: mock-model
    litellm_params: {{model: openai/mock-model, api_base: "{upstream}", api_key: none}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """Something to measure.

    Attributes:
        title: Its column.
        what: The source of a Chatkeep, `baseline`, another server's file, or a peer.
        store: Chatkeep's.
        protocol: What it speaks.
    """

    title: str
    what: str
    store: Store = "sqlite"
    protocol: Protocol = "chatkit"

    @property
    def is_chatkeep(self) -> bool:
        """Whether it has what only Chatkeep has."""
        return Path(self.what).is_dir()


BASELINE = Server("baseline", "baseline")
PEER_SERVERS = (
    Server("LiteLLM", "litellm", protocol="openai"),
    Server("pydantic-ai", "pydantic-ai", protocol="ag-ui"),
)


class Running(NamedTuple):
    """A server that runs."""

    server: Server
    origin: str
    pid: int
    start_s: float

    @property
    def url(self) -> str:
        """Where it takes messages."""
        paths = {"chatkit": "/chatkit", "openai": "/v1/chat/completions", "ag-ui": "/ag-ui"}
        return self.origin + paths[self.server.protocol]


class Machine:
    """Cores, the provider, and PostgreSQL when it is asked for. Everything ends with it.

    The server that is measured has the first core for itself; provider, load generator and
    database share the last one.
    """

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.server_core, self.tool_core = cores[0], cores[-1]
        self._stack = ExitStack()
        self._postgres: PostgresServer | None = None
        self._databases = 0

    def __enter__(self) -> Self:
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        os.sched_setaffinity(0, {self.tool_core})
        port = _free_port()
        command = [sys.executable, str(HERE / "mockllm.py"), "--port", str(port)]
        self._stack.enter_context(self._process(command, self.tool_core, {}))
        self.upstream = f"http://127.0.0.1:{port}/v1"
        _wait(f"{self.upstream}/models")
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextmanager
    def running(self, server: Server) -> Iterator[Running]:
        """Start a server afresh, with nothing stored, and stop it again."""
        port = _free_port()
        with tempfile.TemporaryDirectory(dir=self.directory) as data:
            command, environment, ready = self._command(server, port, data)
            started = time.perf_counter()
            with self._process(command, self.server_core, environment) as child:
                origin = f"http://127.0.0.1:{port}"
                _wait(origin + ready, child)
                yield Running(server, origin, child.pid, time.perf_counter() - started)

    def _command(
        self, server: Server, port: int, data: str
    ) -> tuple[list[str], dict[str, str], str]:
        """Return command, environment, and the path that answers when it is ready."""
        environment = {"OPENAI_BASE_URL": self.upstream, "OPENAI_API_KEY": "none", "HOME": data}
        at = ["--port", str(port)]
        match server.what:
            case "litellm":
                config = Path(data) / "litellm.yaml"
                config.write_text(_LITELLM.format(upstream=self.upstream))
                command = [str(PEERS / "litellm"), "--config", str(config), *at]
                return command, environment, "/health/liveliness"
            case "pydantic-ai":
                script = HERE / "peer_pydantic_ai.py"
                return [str(PEERS / "python"), str(script), *at], environment, "/livez"
            case "baseline":
                return [sys.executable, str(HERE / "baseline.py"), *at], environment, "/livez"
            case other if other.endswith(".py"):
                return [sys.executable, other, *at], environment, "/livez"
            case source:
                ours = {
                    **environment,
                    "PYTHONPATH": source,
                    "MODEL_NAME": "mock-model",
                    "CHATKEEP_DATA_DIR": data,
                    "CHATKEEP_MODELS_TITLES": "words",
                    "CHATKEEP_LOG_LEVEL": "warning",
                }
                if server.store == "postgres":
                    ours["DATABASE_URL"] = self._database()
                    migrate = [sys.executable, "-m", "chatkeep", "migrate"]
                    subprocess.run(
                        migrate,
                        env={"PATH": os.environ["PATH"], **ours},
                        cwd=self.directory,
                        check=True,
                        capture_output=True,
                    )
                return [sys.executable, "-m", "chatkeep", "serve", *at], ours, "/livez"

    def _database(self) -> str:
        """Return the URL of an empty database, of a server that syncs its commits."""
        if self._postgres is None:
            binaries = find_binaries()
            if binaries is None:
                raise SystemExit("no PostgreSQL here; see CONTRIBUTING.md, or --store sqlite")
            self._postgres = PostgresServer(binaries)
            self._stack.callback(self._postgres.remove)
            self._postgres.create({"fsync": "on", "full_page_writes": "on", "autovacuum": "on"})
        self._databases += 1
        name = f"bench_{self._databases}"
        asyncio.run(self._postgres.execute(f"CREATE DATABASE {name}"))
        return self._postgres.url(name)

    @contextmanager
    def _process(
        self, command: list[str], core: int, environment: dict[str, str]
    ) -> Iterator[subprocess.Popen[bytes]]:
        log = tempfile.TemporaryFile(dir=self.directory)  # noqa: SIM115 - closed below
        os.sched_setaffinity(0, {core})  # inherited
        try:
            child = subprocess.Popen(
                command,
                cwd=self.directory,
                env={"PATH": os.environ["PATH"], **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C is for us; we end it
            )
        finally:
            os.sched_setaffinity(0, {self.tool_core})
        try:
            yield child
        except (Exception, SystemExit):
            log.seek(0)
            said = log.read()[-4000:].decode(errors="replace")
            status = child.poll()
            state = "running" if status is None else f"ended with status {status}"
            print(f"\n{said}\n{command[1:]}: {state}", file=sys.stderr)
            raise
        finally:
            child.terminate()
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            log.close()


class Noise:
    """How much of the server's core other processes took."""

    def __init__(self, machine: Machine, pid: int) -> None:
        self._machine, self._pid = machine, pid
        self._busy = procs.core_busy(machine.server_core)
        self._own, self._start = procs.usage(pid).cpu, time.perf_counter()

    def share(self) -> float:
        """Return the share since this was made."""
        busy = procs.core_busy(self._machine.server_core) - self._busy
        own = procs.usage(self._pid).cpu - self._own
        return max(0.0, (busy - own) / (time.perf_counter() - self._start))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str, child: subprocess.Popen[bytes] | None = None) -> None:
    """Return when the URL answers."""
    end = time.perf_counter() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            if time.perf_counter() > end or (child and child.poll() is not None):
                raise SystemExit(f"{url} does not answer") from None
            time.sleep(0.02)
