"""PgBouncer in transaction mode in front of a server of the tests."""

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from support.ports import reserve_port
from support.postgres import PostgresServer, as_nobody, not_here
from support.waiting import PATIENCE

SESSIONS = 3
"""Fewer than any test has connections: they have to be shared."""

INI = """
[databases]
* = host=127.0.0.1 port={behind} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 200
"""


class PgBouncer:
    """A pooler on a port of its own."""

    def __init__(self, server: PostgresServer) -> None:
        # Debian installs it where only administrators look.
        program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
        if program is None:
            not_here("no PgBouncer: install it (Debian: apt-get install pgbouncer)")
        self.port = reserve_port()
        self._behind = server
        self._home = Path(tempfile.mkdtemp(prefix="chatkeep-pgbouncer-"))
        self._home.chmod(0o755)  # for the user it runs as
        settings = self._home / "pgbouncer.ini"
        settings.write_text(INI.format(behind=server.port, port=self.port, sessions=SESSIONS))
        self._process = subprocess.Popen(
            [program, "--quiet", settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **as_nobody(),
        )
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            assert self._process.poll() is None, "PgBouncer ended"
            try:
                socket.create_connection(("127.0.0.1", self.port), 5).close()
            except OSError:
                assert time.monotonic() < end, "PgBouncer does not answer"
                time.sleep(0.02)
            else:
                return

    def url(self, database: str, **parameters: object) -> str:
        """Return the URL of a database behind it."""
        direct = self._behind.url(database, **parameters)
        return direct.replace(f":{self._behind.port}/", f":{self.port}/")

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._home)
